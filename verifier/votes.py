"""Votes on ballots of either chain: decided once, journaled, committed, revealed, and opened where they differ."""

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pole.chain.commitments import SALT_BYTES, vote_commitment
from pole.chain.structs import Ballot, BallotPhase, Member
from pole.chain.turns import is_urgent
from pole.chain.verdicts import unpack_verdicts
from pole.errors import JournalError, TransactionReverted
from pole.node.context import RoleContext
from pole.node.loop import Waiting
from verifier.judging.session import Judgement
from verifier.publishing import Publisher


@dataclass(frozen=True)
class Vote:
    """What a vote's commitment binds: packed words in entry order, see `pole.chain.verdicts`.

    The salt is secret until the reveal; so are the words, whose fingerprints others could copy.
    """

    words: list[int]
    salt: bytes

    def __repr__(self) -> str:
        return f"Vote({unpack_verdicts(self.words)})"


class VoteBook:
    """A verifier's votes; what was decided is in the journal before it is committed on chain.

    `owner`: whose stake the votes weigh, if the account is another's voter. `sent` counts the transactions of this
    process.
    """

    def __init__(self, context: RoleContext, owner: str | None = None) -> None:
        self._context = context
        self._publisher = Publisher(context)
        self.owner = owner or context.address
        self.sent = 0

    def carry(self, ballot: Ballot, decide: Callable[[], Vote | Waiting]) -> Waiting:
        """Brings the vote on a ballot as far as its phase allows; `decide` is asked unless a vote is committed."""
        committee, ballot_id = self._context.contracts.verifier_committee, ballot.ballot_id
        member = committee.member(ballot_id, self.owner)
        if member.weight_wei == 0:
            return Waiting(
                f"ballot {ballot_id}, which I am no member of, to end", ballot.deadline or None, "look for the next"
            )
        if ballot.phase is BallotPhase.COMMIT and not member.has_committed:
            vote = decide()
            if isinstance(vote, Waiting):
                return vote
            self.commit(ballot, member, vote)
        if ballot.phase is BallotPhase.REVEAL and member.has_committed and not member.has_revealed:
            own = self.recall(ballot_id)
            if own is None:
                self._context.log.error(f"ballot {ballot_id}: committed from another --home, cannot reveal from here")
                text = f"at risk: the penalty of ballot {ballot_id}, which was committed to from another --home"
                self._context.notices.tell(f"risk/ballot/{ballot_id}", text)
                return Waiting("the ballot to end without my vote", ballot.deadline, "look for the next round")
            self.reveal(ballot, member, own)
        if member.has_revealed:
            self._publisher.forget(ballot_id)
        if ballot.phase is BallotPhase.OPENING and member.has_revealed:
            self._open(ballot, member)
        return _after_vote(ballot)

    def recall(self, ballot_id: int) -> Vote | None:
        """What was decided on this ballot, also by a process before this one; raises JournalError for an old format."""
        fact = self._context.journal.recall(f"vote/{ballot_id}")
        if fact is None:
            return None
        if "words" not in fact:
            raise JournalError(
                f"the vote on ballot {ballot_id} in {self._context.journal.path} is older than exact verdicts; "
                "its contracts are too: finish with that version, or use another --home"
            )
        return Vote([int(word, 16) for word in fact["words"]], bytes.fromhex(fact["salt"]))

    def own_list(self, ballot_id: int) -> list[int] | None:
        """The words of this account's vote, for a tally; see `pole.chain.tally`."""
        vote = self.recall(ballot_id)
        return None if vote is None else vote.words

    def decide(self, ballot_id: int, judgements: Sequence[Judgement]) -> Vote:
        """Once and for all; a vote that was decided before stands."""
        words = [f"{each.word:x}" for each in judgements]
        fact = {"words": words, "salt": secrets.token_bytes(SALT_BYTES).hex()}
        self._publisher.keep(ballot_id, [each.rows for each in judgements])
        self._context.journal.remember_once(f"vote/{ballot_id}", lambda: fact)
        vote = self.recall(ballot_id)
        assert vote is not None
        return vote

    def commit(self, ballot: Ballot, member: Member, vote: Vote) -> None:
        committee, deployment = self._context.contracts.verifier_committee, self._context.chain.deployment
        commitment = vote_commitment(
            deployment.chain_id,
            committee.address,
            ballot.ballot_id,
            self.owner,
            committee.digest(ballot.ballot_id, vote.words),
            vote.salt,
        )
        committee.commit_vote(ballot.ballot_id, member.index, commitment, key=f"vote-commit/{ballot.ballot_id}")
        self.sent += 1
        self._context.log.info(f"ballot {ballot.ballot_id}: committed to {len(vote.words)} verdicts")

    def reveal(self, ballot: Ballot, member: Member, vote: Vote) -> None:
        committee = self._context.contracts.verifier_committee
        ballot_id, digest = ballot.ballot_id, committee.digest(ballot.ballot_id, vote.words)
        committee.reveal_vote(ballot_id, member.index, digest, vote.salt, self._publisher.publish(ballot_id))
        self.sent += 1
        self._context.log.info(f"ballot {ballot.ballot_id}: revealed {len(vote.words)} verdicts")

    def _open(self, ballot: Ballot, member: Member) -> None:
        """Shows the own list where the votes differ, so that it counts; also where they agree and nobody counts them.

        One transaction is enough for all who voted alike: the first of them sends it, the others do if half of the time
        is over without it.
        """
        committee, ballot_id = self._context.contracts.verifier_committee, ballot.ballot_id
        own, digests = self.recall(ballot_id), committee.digests(ballot_id)
        digest = digests.get(self.owner)
        if own is None or digest != committee.digest(ballot_id, own.words) or committee.is_opened(ballot_id, digest):
            return
        if not is_urgent(self._context.contracts, ballot, self._context.chain.block_time()):
            first = next(address for address in digests if digests[address] == digest)
            if len(set(digests.values())) == 1 or first != self.owner:
                return
        try:
            committee.open_vote(ballot_id, member.index, own.words, key=f"vote-open/{ballot_id}")
        except TransactionReverted as exc:  # somebody else has opened it, or counted the ballot
            self._context.log.info(f"ballot {ballot_id}: the list was not opened: {exc}")
            return
        self.sent += 1
        self._context.log.warning(f"ballot {ballot_id}: the votes differ; opened my list of {len(own.words)} verdicts")


def _after_vote(ballot: Ballot) -> Waiting:
    if ballot.phase is BallotPhase.COMMIT:
        return Waiting("the other verifiers to commit their votes", ballot.deadline, "reveal mine")
    if ballot.phase is BallotPhase.REVEAL:
        return Waiting("the other verifiers to reveal their votes", ballot.deadline, "count them")
    if ballot.phase is BallotPhase.OPENING:
        return Waiting("the lists of votes that differ", ballot.deadline, "count them")
    return Waiting("somebody to settle what was decided", None, "look for the next")
