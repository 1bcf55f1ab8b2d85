"""`make gas`: what every step of a round costs, and whether the largest round keeps within the bounds.

Each size plays three rounds, on anvils of its own: one whose verifiers agree; one with as many noisy verifiers as
a majority bears, whose votes are not opened, and all miners returning; and one in which no two votes are alike, every
vote is opened and each part of each entry is decided by its own majority. The dearest counts, so that slashing,
first-time accounts and the referenced ommer are in the figures.
"""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from eth_account import Account
from rich.console import Console
from rich.table import Table
from web3 import Web3

from pole.chain.abi import to_abi
from pole.chain.commitments import ballot_digest, solution_commitment, test_set_commitment, vote_commitment
from pole.chain.deployment import ContractName, Deployment
from pole.chain.profiles import LOCAL
from pole.chain.structs import BallotPhase, Phase, TaskTerms, VerdictKind
from pole.chain.verdicts import Part, pack_verdict
from pole.storage.cid import RAW, Cid
from testbed.chain import MNEMONIC, development_chain, web3_at
from testbed.deployer import deploy_with_web3

MINER_COUNTS = (3, 16, 64)
VERIFIER_COUNTS = (3, 21)
CALL_LIMIT_GAS = 6_000_000
"""No call of the protocol may use more; EIP-7825 allows 16,777,216."""
MINER_LIMIT_GAS = 165_000
"""A miner's commit and reveal together must not cost more."""
MINER_TOTAL = ("miner", "commit + reveal")
TALLY, SPLIT_TALLY = ("anyone", "tally, a digest decides"), ("anyone", "tally, all opened")
REVEAL, OPEN = ("verifier", "reveal vote"), ("verifier", "open vote")
STEP_LIMITS_GAS = {REVEAL: 90_000, OPEN: 300_000, TALLY: 1_000_000, SPLIT_TALLY: 4_000_000}
"""What the ballots promise, whatever the number of models and verifiers."""

_CLAIM_PPM = 950_000
_SALT = bytes(range(1, 33))
_PREDICTIONS = to_abi(Cid(RAW, Web3.keccak(text="predictions")))
_TEST_SET = Cid(RAW, Web3.keccak(text="test set"))
_FIRST_MINER, _FIRST_VERIFIER = 2, 70
ACCOUNTS = _FIRST_VERIFIER + max(VERIFIER_COUNTS)

Step = tuple[str, str]
Votes = list[Sequence[int]]
"""One packed list per verifier."""


@dataclass
class Measurement:
    """Gas by (role, step); of several calls of one step, the dearest."""

    miners: int
    verifiers: int
    gas: dict[Step, int] = field(default_factory=dict)

    def add(self, role: str, step: str, used_gas: int) -> None:
        self.gas[role, step] = max(used_gas, self.gas.get((role, step), 0))

    @property
    def name(self) -> str:
        return f"{self.miners} miners, {self.verifiers} verifiers"


class Bench:
    """Plays rounds from the unlocked accounts of a development chain and notes what each call used."""

    def __init__(self, web3: Web3, deployment: Deployment, measurement: Measurement) -> None:
        self.web3, self.deployment, self.measurement = web3, deployment, measurement
        self.chain_id = web3.eth.chain_id
        accounts = list(web3.eth.accounts)
        self.client, self.anyone = accounts[1], accounts[0]
        self.miners = accounts[_FIRST_MINER : _FIRST_MINER + measurement.miners]
        self.verifiers = accounts[_FIRST_VERIFIER : _FIRST_VERIFIER + measurement.verifiers]

    def contract(self, name: ContractName) -> Any:
        deployed = self.deployment.contracts[name]
        address: Any = deployed.address
        return self.web3.eth.contract(address=address, abi=deployed.abi)

    def call(self, role: str, step: str, sender: str, function: Any, value_wei: int = 0) -> int:
        sent = function.transact({"from": sender, "value": value_wei, "gas": 25_000_000})
        receipt = self.web3.eth.wait_for_transaction_receipt(sent, poll_latency=0.01)
        if receipt["status"] != 1:
            raise RuntimeError(f"{step} of {role} reverted with {self.measurement.name}")
        self.measurement.add(role, step, receipt["gasUsed"])
        return int(receipt["gasUsed"])

    def stake(self) -> None:
        stake = self.contract("VerifierCommittee").functions.stake()
        for verifier in self.verifiers:
            self.call("verifier", "stake", verifier, stake, LOCAL.committee.min_stake_wei)

    def play(self, votes: Votes, *, is_split: bool = False) -> None:
        """One round from submission to block."""
        self._submit()
        chain = self.contract("LearningChain").functions
        self.call("anyone", "open the round", self.anyone, chain.openRound())
        round_id = chain.roundCount().call()
        for _ in range(2):  # the previous hash comes from the block after the opening
            pass_time(self.web3)
        keys = chain.publishKeys(round_id, self.round(round_id)["previousHash"], to_abi(_TEST_SET))
        self.call("client", "publish keys", self.client, keys)
        self._solve(round_id)
        self.call("anyone", "end the reveals, open the ballot", self.anyone, chain.advance(round_id))
        self._vote(self.round(round_id)["ballotId"], votes, is_split)
        self.call("anyone", "finalise the block", self.anyone, chain.advance(round_id))
        if self.round(round_id)["phase"] != Phase.FINALISED:
            raise RuntimeError(f"round {round_id} ended without a block")

    def round(self, round_id: int) -> dict[str, Any]:
        """A round by the names of its fields."""
        function = self.contract("LearningChain").functions.round(round_id)
        names = [field["name"] for field in function.abi["outputs"][0]["components"]]
        return dict(zip(names, function.call(), strict=True))

    def _submit(self) -> None:
        market = self.contract("TaskMarket")
        commitment = test_set_commitment(self.chain_id, market.address, self.client, _TEST_SET, _SALT)
        terms = TaskTerms(_TEST_SET, commitment, 600, 900_000, 0, len(self.miners), 0)
        payment_wei = LOCAL.market.client_bond_wei + 10**18
        self.call("client", "submit", self.client, market.functions.submit(to_abi(terms), 0), payment_wei)

    def _solve(self, round_id: int) -> None:
        chain = self.contract("LearningChain")
        previous_hash = self.round(round_id)["previousHash"]
        value_wei = LOCAL.chain.miner_bond_wei + chain.functions.judgingFeeOf(round_id).call()
        used_gas = dict.fromkeys(self.miners, 0)
        for miner in self.miners:
            address, model = chain.address, _model(round_id, miner)
            hashed = solution_commitment(self.chain_id, address, round_id, miner, previous_hash, model, _SALT)
            commit = chain.functions.commit(round_id, previous_hash, hashed, _CLAIM_PPM, 0)
            used_gas[miner] += self.call("miner", "commit", miner, commit, value_wei)
        self.call("anyone", "close commits", self.anyone, chain.functions.advance(round_id))
        pass_time(self.web3)
        release = chain.functions.releaseTestSet(round_id, to_abi(_TEST_SET), _SALT)
        self.call("client", "release the test set", self.client, release)
        for place, miner in enumerate(self.miners, start=1):
            reveal = chain.functions.reveal(round_id, place, to_abi(_model(round_id, miner)), _SALT)
            self.measurement.add(*MINER_TOTAL, used_gas[miner] + self.call("miner", "reveal", miner, reveal))

    def _vote(self, ballot_id: int, votes: Votes, is_split: bool) -> None:
        """Commit, reveal, open what has to be opened, tally."""
        committee = self.contract("VerifierCommittee")
        functions = committee.functions
        cast = dict(zip(self.verifiers, votes, strict=True))
        digests = {
            verifier: ballot_digest(self.chain_id, committee.address, ballot_id, vote)
            for verifier, vote in cast.items()
        }
        for verifier, digest in digests.items():
            hashed = vote_commitment(self.chain_id, committee.address, ballot_id, verifier, digest, _SALT)
            self.call(
                "verifier",
                "commit vote",
                verifier,
                functions.commitVote(ballot_id, self.index_of(ballot_id, verifier), hashed),
            )
        self.call("anyone", "close vote commits", self.anyone, functions.advance(ballot_id))
        for verifier, digest in digests.items():
            index = self.index_of(ballot_id, verifier)
            self.call(*REVEAL, verifier, functions.revealVote(ballot_id, index, digest, _SALT, _PREDICTIONS))
        lists = list(dict.fromkeys(map(tuple, votes)))
        if len(lists) > 1:
            self.call("anyone", "close vote reveals", self.anyone, functions.advance(ballot_id))
            lists = (
                self._open_votes(ballot_id, cast)
                if is_split
                else self._open_votes(ballot_id, dict([next(iter(cast.items()))]))
            )
            pass_time(self.web3, LOCAL.committee.vote_opening_window_s)
        step = SPLIT_TALLY if is_split else TALLY
        self.call(*step, self.anyone, functions.tally(ballot_id, lists))
        if functions.ballot(ballot_id).call()[2] != BallotPhase.CLOSED:
            raise RuntimeError(f"ballot {ballot_id} was not closed")

    def _open_votes(self, ballot_id: int, cast: dict[Any, Sequence[int]]) -> list[tuple[int, ...]]:
        functions = self.contract("VerifierCommittee").functions
        for verifier, vote in cast.items():
            index = self.index_of(ballot_id, verifier)
            self.call(*OPEN, verifier, functions.openVote(ballot_id, index, vote))
        return [tuple(vote) for vote in cast.values()]

    def index_of(self, ballot_id: int, verifier: Any) -> int:
        """By which its votes name a member."""
        members: list[Any] = self.contract("VerifierCommittee").functions.members(ballot_id).call()
        return members.index(verifier)

    def agreed(self) -> Votes:
        """All verifiers find the same."""
        vote = [_scored(_CLAIM_PPM, 940_000 - entry) for entry in range(len(self.miners))]
        return [vote] * len(self.verifiers)

    def noisy(self) -> Votes:
        """As many as a majority bears have another root each; the first is of the majority."""
        count = (len(self.verifiers) - 1) // 2
        votes = self.agreed()
        for place in range(1, count + 1):
            votes[-place] = [_scored(_CLAIM_PPM, 1_000 * place, bytes([place])) for _ in self.miners]
        return votes

    def split(self) -> Votes:
        """No two votes are alike: as many as a majority bears are noise, and all differ on one test part."""
        votes = self.noisy()
        for place, vote in enumerate(votes):
            first = _scored(_CLAIM_PPM, 900_000 + place, bytes([place + 100]))
            votes[place] = [vote[0] >> 96 << 96 | first % (1 << 96), *vote[1:]]
        return votes


def measure(miners: int, verifiers: int) -> Measurement:
    """Play the three rounds of one size."""
    measurement = Measurement(miners, verifiers)
    with _bench(measurement) as bench:
        bench.stake()
        bench.play(bench.agreed())
        bench.play(bench.noisy())
    with _bench(measurement) as bench:
        bench.stake()
        bench.play(bench.split(), is_split=True)
    return measurement


def violations(measurement: Measurement) -> list[str]:
    """What exceeds a bound, in words; empty if nothing does."""
    found = [
        f"{measurement.name}: {role}, {step}: {gas:,} gas exceed {CALL_LIMIT_GAS:,}"
        for (role, step), gas in measurement.gas.items()
        if gas > CALL_LIMIT_GAS
    ]
    for step, limit in STEP_LIMITS_GAS.items():
        if (used := measurement.gas.get(step, 0)) > limit:
            found.append(f"{measurement.name}: {', '.join(step)}: {used:,} gas exceed {limit:,}")
    if (total := measurement.gas.get(MINER_TOTAL, 0)) > MINER_LIMIT_GAS:
        found.append(f"{measurement.name}: a miner's commit + reveal: {total:,} gas exceed {MINER_LIMIT_GAS:,}")
    return found


def gas_table(measurements: Sequence[Measurement]) -> Table:
    """One row per role and step, one column per size."""
    table = Table(title="Gas per step (dearest of three rounds)")
    table.add_column("role")
    table.add_column("step")
    for measurement in measurements:
        table.add_column(f"{measurement.miners} miners\n{measurement.verifiers} verifiers", justify="right")
    for role, step in sorted(measurements[0].gas, key=lambda key: key[0]):
        table.add_row(role, step, *(f"{measurement.gas[role, step]:,}" for measurement in measurements))
    return table


@contextmanager
def _bench(measurement: Measurement) -> Iterator[Bench]:
    Account.enable_unaudited_hdwallet_features()
    with development_chain(block_time_s=None, accounts=ACCOUNTS) as node:
        web3 = web3_at(node.rpc_url)
        deployer = Account.from_mnemonic(MNEMONIC)
        yield Bench(web3, deploy_with_web3(web3, deployer, LOCAL, _TEST_SET), measurement)


def _model(round_id: int, miner: str) -> Cid:
    return Cid(RAW, Web3.keccak(text=f"{round_id} {miner}"))


def _scored(train_ppm: int, test_ppm: int, tag: bytes = b"") -> int:
    """A valid entry; verifiers with other tags have found other predictions."""
    train, test = (
        Part(VerdictKind.SCORED, ppm, Web3.keccak(tag + bytes([part])))
        for part, ppm in enumerate((train_ppm, test_ppm))
    )
    return pack_verdict(train, test)


def pass_time(web3: Web3, seconds: int = 1) -> None:
    """A block so much later."""
    web3.provider.make_request("evm_increaseTime", [seconds])  # type: ignore[arg-type]
    web3.provider.make_request("evm_mine", [])  # type: ignore[arg-type]


def main() -> int:
    console = Console(width=None if sys.stdout.isatty() else 140)
    sizes = [(miners, verifiers) for miners in MINER_COUNTS for verifiers in VERIFIER_COUNTS]
    with console.status("Playing rounds ..."):
        measurements = [measure(*size) for size in sizes]
    return report(console, measurements)


def report(console: Console, measurements: Sequence[Measurement]) -> int:
    """Print the table and what exceeds a bound; returns the exit status."""
    console.print(gas_table(measurements))
    found = [line for measurement in measurements for line in violations(measurement)]
    for line in found:
        console.print(f"[red]error:[/red] {line}")
    if not found:
        console.print(
            f"No call above {CALL_LIMIT_GAS:,}; a miner's commit + reveal in a round at most {MINER_LIMIT_GAS:,}."
        )
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
