"""VerifierCommittee: stakes, seats, and the ballots that both chains vote in."""

from collections.abc import Collection, Sequence
from contextlib import suppress

from pole.chain.abi import from_abi, to_abi
from pole.chain.client import Event, Receipt
from pole.chain.commitments import ballot_digest
from pole.chain.contracts.base import BaseContract
from pole.chain.structs import Ballot, CommitteeParameters, Member, Verdict, VerdictKind, Verifier
from pole.chain.verdicts import expand_outcome
from pole.errors import BadInput
from pole.storage.cid import Cid

_FIRST_LOOK_BLOCKS = 256


class VerifierCommittee(BaseContract):
    name = "VerifierCommittee"

    # --- reading -----------------------------------------------------------------------------------------------------

    def verifier(self, address: str) -> Verifier:
        found: Verifier = from_abi(Verifier, self._read("verifier", address))
        return found

    def seated(self) -> list[str]:
        return list(self._read("seated"))

    def ballot(self, ballot_id: int) -> Ballot:
        ballot: Ballot = from_abi(Ballot, self._read("ballot", ballot_id), ballot_id=ballot_id)
        return ballot

    def ballot_count(self) -> int:
        """Number of ballots so far, which is the newest ballot's id."""
        return int(self._read("nextBallotId")) - 1

    def is_due(self, ballot_id: int) -> bool:
        """Whether `advance` would move the ballot on."""
        return bool(self._read("isDue", ballot_id))

    def members(self, ballot_id: int) -> list[str]:
        return list(self._read("members", ballot_id))

    def member(self, ballot_id: int, address: str) -> Member:
        """What a verifier did on a ballot; its digest is `pole.chain.commitments.ballot_digest` of its vote."""
        found: Member = from_abi(Member, self._read("memberOf", ballot_id, address))
        return found

    def digests(self, ballot_id: int) -> dict[str, bytes]:
        """Of all votes revealed so far, by member."""
        members = self.members(ballot_id)
        self._client.expect(*((self.name, "memberOf", (ballot_id, address)) for address in members))
        found = {address: self.member(ballot_id, address) for address in members}
        return {address: member.digest for address, member in found.items() if member.has_revealed}

    def digest(self, ballot_id: int, words: Sequence[int]) -> bytes:
        """What a list of words hashes to on this ballot, see `pole.chain.commitments.ballot_digest`."""
        return ballot_digest(self._client.deployment.chain_id, self.address, ballot_id, words)

    def opened_lists(self, ballot_id: int, digests: Collection[bytes]) -> dict[bytes, list[int]]:
        """The lists behind these digests, by digest, as far as they were opened; each is checked against its digest.

        Looks back through the events until all are found, so that a long chain costs no more than a short one.
        """
        first, last = self._client.deployment.block_number, self._client.block_number()
        found: dict[bytes, list[int]] = {}
        reach = _FIRST_LOOK_BLOCKS
        while digests:
            start = max(first, last - reach)
            for event in self._client.logs(self.name, "VoteOpened", start, last, ballotId=ballot_id):
                words = [int(word) for word in event.arguments["verdicts"]]
                found[self.digest(ballot_id, words)] = words
            if start == first or set(digests) <= found.keys():
                break
            reach *= 8
        return {digest: found[digest] for digest in digests if digest in found}

    def is_opened(self, ballot_id: int, digest: bytes) -> bool:
        """Whether somebody showed the list behind this digest, so that every tally needs it."""
        return bool(self._read("isOpened", ballot_id, digest))

    def penalties(self, verifier: str, blocks: int) -> list[Event]:
        """What it was slashed for, within so many of the newest blocks."""
        return self._client.logs(self.name, "Slashed", *self._newest(blocks), verifier=verifier)

    def exits(self, verifier: str, blocks: int) -> list[Event]:
        """How it lost its seat, within so many of the newest blocks."""
        return self._client.logs(self.name, "Unseated", *self._newest(blocks), verifier=verifier)

    def _newest(self, blocks: int) -> tuple[int, int]:
        """The first and the last of so many blocks, none before the deployment."""
        newest = self._client.node_block()
        return max(self._client.deployment.block_number, newest - blocks), newest

    def outcome(self, ballot_id: int) -> list[Verdict]:
        """What was decided about every entry; empty until the ballot is closed."""
        words = [int(word) for word in self._read("outcome", ballot_id)]
        return expand_outcome(words, self.ballot(ballot_id).entry_count) if words else []

    def outcome_digest(self, ballot_id: int) -> bytes:
        """`pole.chain.commitments.ballot_digest` of the packed outcome; 32 zero bytes until the ballot is closed."""
        words = self._read("outcome", ballot_id)
        return int(words[0]).to_bytes(32, "big") if words else bytes(32)

    def repeated_outcome(self, first_ballot_id: int, ballot_id: int) -> list[Verdict]:
        """The verdicts of a round: the first ballot's, with what it left undecided taken from the second.

        `first_ballot_id`: 0 where there was only one, as in `Round`.
        """
        last = self.outcome(ballot_id)
        if not first_ballot_id:
            return last
        repeated = iter(last)
        first = self.outcome(first_ballot_id)
        return [next(repeated, each) if each.train is VerdictKind.UNDECIDED else each for each in first]

    def outcome_words(self, ballot_id: int) -> list[int]:
        """What was decided with its fingerprints, from the events; empty until the ballot is closed."""
        events = self._client.logs(self.name, "BallotTallied", ballotId=ballot_id)
        return [int(word) for event in events[-1:] for word in event.arguments["outcome"]]

    def published_predictions(self, ballot_id: int) -> dict[str, Cid]:
        """Where the members of a ballot say that their predictions are, by address."""
        found = {}
        for event in self._client.logs(self.name, "VoteRevealed", ballotId=ballot_id):
            where = event.arguments["predictions"]
            with suppress(BadInput):  # a stranger may name anything
                if any(where["digest"]):
                    found[event.arguments["verifier"]] = Cid.from_tuple(where["codec"], where["digest"])
        return found

    def parameters(self) -> CommitteeParameters:
        parameters: CommitteeParameters = self._read_once(CommitteeParameters)
        return parameters

    # --- writing -----------------------------------------------------------------------------------------------------

    def stake(self, amount_wei: int, *, key: str) -> Receipt:
        """Add to the account's stake; with enough of it, take a seat."""
        return self._write(key, "stake", value_wei=amount_wei)

    def request_unstake(self, *, key: str) -> Receipt:
        """Give up the seat; the stake is released after the unbonding period."""
        return self._write(key, "requestUnstake")

    def complete_unstake(self, *, key: str) -> Receipt:
        """Turn a released stake into a credit."""
        return self._write(key, "completeUnstake")

    def set_voter(self, voter: str, *, key: str) -> Receipt:
        """Let another account vote for this one; the zero address: nobody."""
        return self._write(key, "setVoter", voter)

    def commit_vote(self, ballot_id: int, index: int, commitment: bytes, *, key: str) -> Receipt:
        """`index`: of the member. `commitment`: 32 bytes, see `pole.chain.commitments.vote_commitment`."""
        return self._write(key, "commitVote", ballot_id, index, commitment)

    def reveal_vote(
        self, ballot_id: int, index: int, digest: bytes, salt: bytes, predictions: Cid | None, *, key: str | None = None
    ) -> Receipt:
        """`index`: of the member. `predictions`: where others can read them, see `pole.exact.published`."""
        where = to_abi(predictions)
        return self._write(key or f"vote-reveal/{ballot_id}", "revealVote", ballot_id, index, digest, salt, where)

    def open_vote(self, ballot_id: int, index: int, words: Sequence[int], *, key: str) -> Receipt:
        """Show the list behind the digest that this member revealed; `words`: see `pole.chain.verdicts`."""
        return self._write(key, "openVote", ballot_id, index, list(words))

    def tally(self, ballot_id: int, lists: Sequence[Sequence[int]], *, key: str) -> Receipt:
        """Decide a ballot; needs every list that was opened or, before the deadline, all that were revealed."""
        return self._write(key, "tally", ballot_id, [list(words) for words in lists])

    def advance(self, ballot_id: int, *, key: str) -> Receipt:
        """Move a ballot on that is due, or end one in which nobody opened anything."""
        return self._write(key, "advance", ballot_id)
