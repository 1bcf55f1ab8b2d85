"""Steps of a round for the contract tests: each is one method, taken by the right account with usable values."""

from collections.abc import Sequence
from enum import IntEnum
from types import SimpleNamespace
from typing import Any

from eth_abi.abi import encode
from eth_utils.crypto import keccak

GWEI = 10**9
MIN_STAKE_WEI = 10_000 * GWEI
MINER_BOND_WEI = 2_000 * GWEI
CLIENT_BOND_WEI = 5_000 * GWEI
FEE_WEI = 10_000 * GWEI
REWARD_WEI = 90_000 * GWEI
ROUND_S = 14 * 60
JUDGING_WEI = 10 * GWEI + REWARD_WEI * 25 // 1000
IDLE_JUDGING_WEI = 10 * GWEI
WINNER_REWARD = 32 * 10**18
WINDOW_S = 120
TIME_LIMIT_S = 300
ESCROW, BOND, STAKE = range(3)
SALT = keccak(text="salt")
ZERO_HASH = bytes(32)
NO_PREDICTIONS = (0, ZERO_HASH)
ZERO_ADDRESS = "0x" + "00" * 20
ROOT = keccak(text="all predictions of this model on this part")

Cid = tuple[int, bytes]


class Phase(IntEnum):
    NONE, KEYS, TRAINING, OVERTIME, RELEASE, REVEAL, VOTING, FINALISED, ABORTED = range(9)


class AbortReason(IntEnum):
    NONE, KEYS_MISSING, NO_SOLUTION, NOTHING_REVEALED, QUORUM_LOST, NO_VALID_SOLUTION, BELOW_FLOOR, UNDECIDED = range(8)


class BallotPhase(IntEnum):
    NONE, COMMIT, REVEAL, OPENING, CLOSED, VOID = range(6)


class Fault(IntEnum):
    NO_COMMIT, NO_REVEAL, LACKING, NOISE = range(4)


class Exit(IntEnum):
    REQUESTED, DISPLACED, EJECTED = range(3)


class Seating(IntEnum):
    ENOUGH, WAITING, LAPSED = range(3)


class Kind(IntEnum):
    NONE, SCORED, INVALID, UNAVAILABLE, WITHHELD, UNDECIDED = range(6)


Verdict = tuple[Kind, int, Kind, int]
"""Kind and ppm of the train part, and of the test part."""
Vote = Sequence[Verdict | int]
"""One verdict per entry; a number is a packed one as it is."""
INVALID: Verdict = (Kind.INVALID, 0, Kind.NONE, 0)
GONE: Verdict = (Kind.UNAVAILABLE, 0, Kind.UNAVAILABLE, 0)
UNDECIDED: Verdict = (Kind.UNDECIDED, 0, Kind.UNDECIDED, 0)


class TaskState(IntEnum):
    NONE, PENDING, IN_ROUND, SOLVED, REFUNDED, CANCELLED = range(6)


def make_cid(name: str) -> Cid:
    return (0x55, keccak(text=name))


TEST_SET = make_cid("test set")
KEYS = make_cid("keys")


def account_of(number: int) -> bytes:
    """The reservoir's account of a task, a round's bonds or a ballot."""
    return number.to_bytes(32, "big")


def valid(train_ppm: int, test_ppm: int) -> Verdict:
    return (Kind.SCORED, train_ppm, Kind.SCORED, test_ppm)


def trained(train_ppm: int, test: Kind = Kind.NONE) -> Verdict:
    """Valid, and without a test score."""
    return (Kind.SCORED, train_ppm, test, 0)


def pack_part(kind: int, ppm: int, root: bytes = ROOT) -> int:
    """96 bits: 8 of kind, 24 of ppm, and the first 8 bytes of the hash over both and the root of all predictions."""
    hashed = keccak(encode(["uint8", "uint32", "bytes32"], [kind, ppm, root]))
    fingerprint = int.from_bytes(hashed[:8], "big") if kind == Kind.SCORED else 0
    return int(kind) << 88 | ppm << 64 | fingerprint


def pack(verdict: Verdict | int, root: bytes = ROOT) -> int:
    if isinstance(verdict, int):
        return verdict
    train, train_ppm, test, test_ppm = verdict
    return pack_part(train, train_ppm, root) << 96 | pack_part(test, test_ppm, root)


def packed(vote: Vote) -> list[int]:
    return [pack(verdict) for verdict in vote]


def plain(verdicts: Any) -> list[Verdict]:
    """Verdicts as ape returns them, as tuples."""
    return [(Kind(each.train), each.trainPpm, Kind(each.test), each.testPpm) for each in verdicts]


def outcome_of(committee: Any, ballot_id: int) -> list[Verdict]:
    """What was decided: six entries of 40 bits to a word, train above test, each a ppm or 1,000,001 and the kind."""
    words = list(committee.outcome(ballot_id))
    if not words:
        return []
    entries = [words[1 + entry // 6] >> 40 * (entry % 6) for entry in range(committee.ballot(ballot_id).entryCount)]
    return [(*_half(each >> 20 & 0xFFFFF), *_half(each & 0xFFFFF)) for each in entries]


def _half(plain_part: int) -> tuple[Kind, int]:
    return (Kind.SCORED, plain_part) if plain_part <= 1_000_000 else (Kind(plain_part - 1_000_001), 0)


def outcome_digest(committee: Any, ballot_id: int) -> bytes:
    words = list(committee.outcome(ballot_id))
    return words[0].to_bytes(32, "big") if words else ZERO_HASH


def vote_on(committee: Any, commitments: Any, ballot_id: int, votes: dict[Any, Vote]) -> None:
    """Commits and reveals these votes and closes the ballot; absent members must be waited for by the caller."""
    for verifier, vote in votes.items():
        commit_vote(committee, commitments, ballot_id, verifier, vote)
    committee.advance(ballot_id, sender=next(iter(votes)))
    for verifier, vote in votes.items():
        reveal_vote(committee, commitments, ballot_id, verifier, vote)
    committee.tally(ballot_id, lists_of(votes), sender=next(iter(votes)))


def lists_of(votes: dict[Any, Vote]) -> list[list[int]]:
    """Every list once, as a tally needs them."""
    return [list(words) for words in dict.fromkeys(tuple(packed(vote)) for vote in votes.values())]


def digest_of(committee: Any, commitments: Any, ballot_id: int, vote: Vote) -> bytes:
    return bytes(commitments.ballot(committee.address, ballot_id, packed(vote)))


def commit_vote(committee: Any, commitments: Any, ballot_id: int, verifier: Any, vote: Vote) -> None:
    digest = digest_of(committee, commitments, ballot_id, vote)
    hashed = commitments.vote(committee.address, ballot_id, verifier.address, digest, SALT)
    committee.commitVote(ballot_id, index_of(committee, ballot_id, verifier), hashed, sender=verifier)


def reveal_vote(committee: Any, commitments: Any, ballot_id: int, verifier: Any, vote: Vote) -> None:
    digest = digest_of(committee, commitments, ballot_id, vote)
    index = index_of(committee, ballot_id, verifier)
    committee.revealVote(ballot_id, index, digest, SALT, NO_PREDICTIONS, sender=verifier)


def index_of(committee: Any, ballot_id: int, verifier: Any) -> int:
    """Its place among the ballot's members; that of no member for others."""
    members = list(committee.members(ballot_id))
    return members.index(verifier.address) if verifier.address in members else len(members)


class Play:
    """A deployed system and who acts on it. `round_id` is the current round's."""

    def __init__(self, system: SimpleNamespace, network: Any, commitments: Any, **roles: Any) -> None:
        self.system = system
        self.chain, self.committee, self.market = system.chain, system.committee, system.market
        self.reservoir, self.token, self.ledger = system.reservoir, system.token, system.ledger
        self.network, self.commitments = network, commitments
        self.client, self.stranger = roles["client"], roles["stranger"]
        self.miners, self.verifiers = roles["miners"], roles["verifiers"]

    def on(self, system: SimpleNamespace) -> "Play":
        """The same people on another deployment."""
        roles = {"client": self.client, "miners": self.miners, "verifiers": self.verifiers, "stranger": self.stranger}
        return Play(system, self.network, self.commitments, **roles)

    # --- reading ---

    @property
    def round_id(self) -> int:
        return int(self.chain.roundCount())

    @property
    def round(self) -> Any:
        return self.chain.round(self.round_id)

    @property
    def phase(self) -> Phase:
        return Phase(self.round.phase)

    @property
    def ballot_id(self) -> int:
        return int(self.round.ballotId)

    def credit_wei(self, account: Any) -> int:
        return int(self.reservoir.creditOf(account))

    def held_wei(self, pot: int, task_id: int) -> int:
        """What the reservoir holds for a task, or with 0 for this lane's idle round."""
        account = account_of(task_id) if task_id else int(self.chain.address, 16).to_bytes(32, "big")
        return int(self.reservoir.balanceOf(self.system.market, pot, account))

    def body_of(self, height: int) -> list[bytes]:
        """The values that the block's body root was made of."""
        logs = self.ledger.BlockAppended.range(self.network.blocks.height + 1)
        return next([bytes(value) for value in log.body] for log in logs if log.height == height)

    def transcript_of(self, round_id: int, *ballot_ids: int) -> bytes:
        """The round's own transcript and those of its ballots, as a block's body has it."""
        transcript = bytes(self.chain.round(round_id).transcript)
        for ballot_id in ballot_ids:
            votes = bytes(self.committee.ballot(ballot_id).transcript)
            transcript = keccak(encode(["bytes32", "bytes32"], [transcript, votes]))
        return transcript

    def occupancy_wei(self, ended_at: int, limit_s: int = TIME_LIMIT_S) -> int:
        """What the client pays for a round that ended then, without a block."""
        occupied_s: int = min(ended_at - self.round.openedAt, limit_s + ROUND_S)
        return REWARD_WEI * 200_000 * occupied_s // (1_000_000 * (limit_s + ROUND_S))

    @property
    def now_s(self) -> int:
        """Of the latest block."""
        return int(self.network.blocks.head.timestamp)

    def credits_wei(self, accounts: Sequence[Any]) -> list[int]:
        return [self.credit_wei(account) for account in accounts]

    def check_settled(self, task_id: int) -> None:
        """The round's accounts are empty and the reservoir's invariant holds."""
        assert [self.held_wei(pot, task_id) for pot in (ESCROW, BOND)] == [0, 0]
        accounted_wei = sum(self.reservoir.total(pot) for pot in range(3)) + self.reservoir.totalCredits()
        assert self.reservoir.balance == accounted_wei

    def check_aborted(self, reason: AbortReason) -> None:
        assert (self.phase, self.round.abortReason, self.round.deadline) == (Phase.ABORTED, reason, 0)

    # --- time ---

    def wait(self, seconds: int) -> None:
        self.network.mine(deltatime=seconds)

    def wait_for_deadline(self) -> None:
        self.network.pending_timestamp = self.round.deadline
        self.network.mine()

    # --- steps ---

    def stake(self, *amounts_wei: int) -> None:
        for verifier, amount_wei in zip(self.verifiers, amounts_wei, strict=False):
            self.committee.stake(sender=verifier, value=amount_wei)

    def test_set_commitment(self, client: Any) -> bytes:
        return bytes(self.commitments.test_set(self.market.address, client.address, TEST_SET, SALT))

    def submit(self, create_task: Any, **terms: Any) -> int:
        return int(create_task(self.market, testSetCommitment=self.test_set_commitment(self.client), **terms))

    def open(self, *, has_keys: bool = True) -> int:
        """And mine the block that the previous hash comes from."""
        self.chain.openRound(sender=self.stranger)
        self.network.mine(2)
        if has_keys:
            self.publish_keys()
        return self.round_id

    def open_idle(self) -> int:
        self.chain.openIdleRound(sender=self.stranger)
        self.network.mine(2)
        return self.round_id

    def publish_keys(self, sender: Any = None, keys: Cid = KEYS) -> Any:
        return self.chain.publishKeys(self.round_id, self.round.previousHash, keys, sender=sender or self.client)

    def solution(self, miner: Any, model: Cid | None = None) -> bytes:
        previous_hash = self.round.previousHash
        model = model or self.model(miner)
        return bytes(
            self.commitments.solution(self.chain.address, self.round_id, miner.address, previous_hash, model, SALT)
        )

    def model(self, miner: Any) -> Cid:
        """The model that this miner has trained in this round."""
        return make_cid(f"model of {miner.address} in {self.round_id}")

    def commit(self, *miners: Any, claim_ppm: int | None = None) -> None:
        """Claims to qualify in training, and not to in overtime."""
        if claim_ppm is None:
            claim_ppm = 500_000 if self.phase == Phase.OVERTIME else 950_000
        for miner in miners:
            self.commit_hash(miner, self.solution(miner), claim_ppm)

    def commit_hash(
        self,
        miner: Any,
        hashed: bytes,
        claim_ppm: int = 950_000,
        *,
        round_id: int = 0,
        value_wei: int | None = None,
        place: int = 0,
    ) -> Any:
        """Of the current round unless `round_id` is given; with bond and judging fee."""
        where = (round_id or self.round_id, self.round.previousHash)
        if value_wei is None:
            value_wei = MINER_BOND_WEI + self.chain.judgingFeeOf(self.round_id)
        return self.chain.commit(*where, hashed, claim_ppm, place, sender=miner, value=value_wei)

    def advance(self) -> None:
        self.chain.advance(self.round_id, sender=self.stranger)

    def release(self) -> None:
        self.chain.releaseTestSet(self.round_id, TEST_SET, SALT, sender=self.client)

    def reveal(self, *miners: Any) -> None:
        for miner in miners:
            place = self.chain.placeOf(self.round_id, miner)
            self.chain.reveal(self.round_id, place, self.model(miner), SALT, sender=miner)

    def vote(self, vote: Vote) -> None:
        """All seated verifiers cast the same vote; the ballot closes."""
        self.vote_each({verifier: vote for verifier in self.verifiers if self.committee.verifier(verifier).isSeated})

    def vote_each(self, votes: dict[Any, Vote]) -> None:
        vote_on(self.committee, self.commitments, self.ballot_id, votes)

    # --- stretches ---

    def to_reveal(self, *miners: Any) -> None:
        """From training: these miners commit, commits close, the client releases."""
        self.commit(*miners)
        if not self.chain.isDue(self.round_id):
            self.wait_for_deadline()
        self.advance()
        if self.phase == Phase.RELEASE:
            self.release()

    def to_voting(self, *miners: Any) -> None:
        self.to_reveal(*miners)
        self.reveal(*miners)
        self.advance()

    def to_unreleased_reveal(self, *miners: Any) -> None:
        """From training: these miners commit, and the client withholds the test set."""
        self.commit(*miners)
        if not self.chain.isDue(self.round_id):
            self.wait_for_deadline()
        self.advance()
        self.wait_for_deadline()
        self.advance()

    def to_overtime(self) -> None:
        """From training: nobody qualifies in time."""
        self.wait_for_deadline()
        self.advance()

    def finish(self, vote: Vote) -> None:
        """From voting."""
        self.vote(vote)
        self.advance()

    def play(self, create_task: Any, vote: Vote) -> None:
        """A whole round over a new task, with one miner for each verdict."""
        self.submit(create_task, solutionsWanted=len(vote))
        self.open()
        self.to_voting(*self.miners[: len(vote)])
        self.finish(vote)
        assert self.phase == Phase.FINALISED

    def play_idle(self, vote: Vote) -> None:
        """A whole idle round, with one miner for each verdict."""
        self.open_idle()
        self.to_voting(*self.miners[: len(vote)])
        self.finish(vote)
