"""Votes on ballots of either chain: decided once, journaled, committed, revealed."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass

from pole.chain.commitments import SALT_BYTES, vote_commitment
from pole.chain.structs import Ballot, BallotPhase, Verdict
from pole.node.context import RoleContext
from pole.node.loop import Waiting


@dataclass(frozen=True)
class Vote:
    """What a vote's commitment binds, in entry order. The salt is secret until the reveal."""

    verdicts: list[Verdict]
    salt: bytes

    def __repr__(self) -> str:
        return f"Vote({self.verdicts})"


class VoteBook:
    """The account's votes; what was decided is in the journal before it is committed on chain.

    `sent` counts the transactions of this process.
    """

    def __init__(self, context: RoleContext) -> None:
        self._context = context
        self.sent = 0

    def carry(self, ballot: Ballot, decide: Callable[[], Vote | Waiting]) -> Waiting:
        """Brings the vote on a ballot as far as its phase allows; `decide` is asked unless a vote is committed."""
        committee, ballot_id = self._context.contracts.verifier_committee, ballot.ballot_id
        address = self._context.address
        if committee.weight_wei(ballot_id, address) == 0:
            return Waiting(
                f"ballot {ballot_id}, which I am no member of, to end", ballot.deadline or None, "look for the next"
            )
        has_committed = any(committee.vote_commitment(ballot_id, address))
        if ballot.phase is BallotPhase.COMMIT and not has_committed:
            vote = decide()
            if isinstance(vote, Waiting):
                return vote
            self.commit(ballot, vote)
        if ballot.phase is BallotPhase.REVEAL and has_committed and not committee.votes(ballot_id, address):
            own = self.recall(ballot_id)
            if own is None:
                self._context.log.error(f"ballot {ballot_id}: committed from another --home, cannot reveal from here")
                return Waiting("the ballot to end without my vote", ballot.deadline, "look for the next round")
            self.reveal(ballot, own)
        return _after_vote(ballot)

    def recall(self, ballot_id: int) -> Vote | None:
        """What was decided on this ballot, also by a process before this one."""
        fact = self._context.journal.recall(f"vote/{ballot_id}")
        if fact is None:
            return None
        return Vote([Verdict(*verdict) for verdict in fact["verdicts"]], bytes.fromhex(fact["salt"]))

    def decide(self, ballot_id: int, verdicts: list[Verdict]) -> Vote:
        """Once and for all; a vote that was decided before stands."""
        fact = {
            "verdicts": [[verdict.is_valid, verdict.train_ppm, verdict.test_ppm] for verdict in verdicts],
            "salt": secrets.token_bytes(SALT_BYTES).hex(),
        }
        self._context.journal.remember_once(f"vote/{ballot_id}", lambda: fact)
        vote = self.recall(ballot_id)
        assert vote is not None
        return vote

    def commit(self, ballot: Ballot, vote: Vote) -> None:
        deployment = self._context.chain.deployment
        commitment = vote_commitment(
            deployment.chain_id,
            deployment.address("VerifierCommittee"),
            ballot.ballot_id,
            self._context.address,
            vote.verdicts,
            vote.salt,
        )
        key = f"vote-commit/{ballot.ballot_id}"
        self._context.contracts.verifier_committee.commit_vote(ballot.ballot_id, commitment, key=key)
        self.sent += 1
        self._context.log.info(f"ballot {ballot.ballot_id}: committed to {len(vote.verdicts)} verdicts")

    def reveal(self, ballot: Ballot, vote: Vote) -> None:
        self._context.contracts.verifier_committee.reveal_vote(ballot.ballot_id, vote.verdicts, vote.salt)
        self.sent += 1
        self._context.log.info(f"ballot {ballot.ballot_id}: revealed {len(vote.verdicts)} verdicts")


def _after_vote(ballot: Ballot) -> Waiting:
    if ballot.phase is BallotPhase.COMMIT:
        return Waiting("the other verifiers to commit their votes", ballot.deadline, "reveal mine")
    if ballot.phase is BallotPhase.REVEAL:
        return Waiting("the other verifiers to reveal their votes", ballot.deadline, "see what was decided")
    return Waiting("somebody to settle what was decided", None, "look for the next")
