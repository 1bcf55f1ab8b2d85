"""A verifier's part in one ballot: judge, remember, commit, reveal. Source: PoLe, Algorithm 2"""

import secrets
import time
from dataclasses import dataclass

from pole.cid import Cid
from pole.cli import RoleContext
from pole.commitments import SALT_BYTES, vote_commitment
from pole.node import Waiting
from pole.records import Ballot, Round, Verdict
from pole.roundfiles import feature_cache
from verifier.bench import INVALID, Judge, Opinion, Session, judge_all
from verifier.opinion import Case, Limits

RETRY_S = 3.0


@dataclass(frozen=True)
class Vote:
    """What a vote's commitment binds, in entry order. The salt is secret until the reveal."""

    verdicts: list[Verdict]
    salt: bytes

    def __repr__(self) -> str:
        return f"Vote({self.verdicts})"


class Voting:
    """Judges a round's models and carries the vote through; what was decided is in the journal."""

    def __init__(self, context: RoleContext, limits: Limits, reserve_s: float) -> None:
        self.context, self.limits, self.reserve_s = context, limits, reserve_s
        self.judge = Judge(limits)
        self._sessions: dict[int, Session] = {}
        self._prepared: dict[int, float] = {}

    def case(self, current: Round, has_test_set: bool = True) -> Case:
        """The round's own files, by name."""
        test_set = current.test_set if has_test_set and current.is_test_set_released else None
        return Case(
            store=self.context.store.location,
            cache_dir=str(feature_cache(self.context.home.resolve(), current.previous_hash)),
            manifest=str(self.context.ledger.manifest_of(current)),
            previous_hash=current.previous_hash.hex(),
            keys=str(current.keys) if current.keys else None,
            test_set=str(test_set) if test_set else None,
        )

    def prepare(self, current: Round) -> str:
        """Computes the features while the miners still train; returns what is in the way, for the log."""
        ready = self._prepared.setdefault(current.round_id, 0.0)
        if ready == float("inf") or time.monotonic() < ready:
            return ""
        # A stranger's data may take longer than the round lasts: the next one must not be missed over it.
        seconds_left = max(RETRY_S, current.deadline - self.context.gateway.block_time())
        session, give_up_at_s = Session(), time.monotonic() + min(self.limits.wall_s, seconds_left)
        judge_all(self.judge, self.case(current), {}, session, give_up_at_s)
        self._prepared[current.round_id] = time.monotonic() + RETRY_S if session.problem else float("inf")
        return session.problem

    def vote(self, current: Round, ballot: Ballot) -> Vote | Waiting:
        """The vote on this ballot, or what stands in the way of one. Decided once, then remembered."""
        known = self.recall(ballot.ballot_id)
        if known is not None:
            return known
        models = self._models(current)
        session = self._sessions.setdefault(ballot.ballot_id, Session())
        seconds_left = ballot.deadline - self.context.gateway.block_time() - self.reserve_s
        if seconds_left > 0:
            self._judge(current, models, session, seconds_left)
        seconds_left = ballot.deadline - self.context.gateway.block_time() - self.reserve_s
        if session.unavailable and seconds_left <= self.reserve_s:
            for entry, reason in session.unavailable.items():
                session.opinions[entry] = Opinion(INVALID, f"it could not be had in time: {reason}")
        if set(session.opinions) == set(models):
            return self._remember(ballot, session, models)
        if seconds_left <= 0:
            self.context.log.error(f"ballot {ballot.ballot_id}: no vote, judging did not end: {_trouble(session)}")
            return Waiting(f"the ballot to go on without my vote ({_trouble(session)})", ballot.deadline, "look again")
        return Waiting(_trouble(session), ballot.deadline, "judge again")

    def recall(self, ballot_id: int) -> Vote | None:
        """What was decided on this ballot, also by a process before this one."""
        fact = self.context.journal.recall(f"vote/{ballot_id}")
        if fact is None:
            return None
        return Vote([Verdict(*verdict) for verdict in fact["verdicts"]], bytes.fromhex(fact["salt"]))

    def commit(self, ballot: Ballot, vote: Vote) -> None:
        gateway = self.context.gateway
        commitment = vote_commitment(
            gateway.deployment.chain_id,
            gateway.deployment.address("VerifierCommittee"),
            ballot.ballot_id,
            gateway.address,
            vote.verdicts,
            vote.salt,
        )
        key = f"vote-commit/{ballot.ballot_id}"
        gateway.transact(self.context.journal, key, "VerifierCommittee", "commitVote", ballot.ballot_id, commitment)
        self.context.log.info(f"ballot {ballot.ballot_id}: committed to {len(vote.verdicts)} verdicts")

    def reveal(self, ballot: Ballot, vote: Vote) -> None:
        self.context.gateway.transact(
            self.context.journal,
            f"vote-reveal/{ballot.ballot_id}",
            "VerifierCommittee",
            "revealVote",
            ballot.ballot_id,
            vote.verdicts,
            vote.salt,
        )
        self.context.log.info(f"ballot {ballot.ballot_id}: revealed {len(vote.verdicts)} verdicts")

    def _judge(self, current: Round, models: dict[int, Cid], session: Session, seconds_left: float) -> None:
        """Asks the judging process about what is still open. Without the test set only once half of the time is over:
        a client that withholds it then costs the miners their ranking, not their reward.
        """
        if set(session.opinions) == set(models) or time.monotonic() < session.retry_at_s:
            return
        give_up_at_s = time.monotonic() + seconds_left
        window_s = self.context.ledger.committee_parameters().vote_commit_window_s
        judge_all(self.judge, self.case(current), models, session, give_up_at_s)
        if session.is_test_set_missing and seconds_left < window_s / 2:
            self.context.log.warning(
                f"round {current.round_id}: no test set, test accuracy 0 for all: {session.problem}"
            )
            judge_all(self.judge, self.case(current, has_test_set=False), models, session, give_up_at_s)
        session.retry_at_s = time.monotonic() + RETRY_S

    def _models(self, current: Round) -> dict[int, Cid]:
        entries = self.context.ledger.entries(current.round_id)
        return {i: entry.model for i, entry in enumerate(entries) if entry.model is not None}

    def _remember(self, ballot: Ballot, session: Session, models: dict[int, Cid]) -> Vote:
        """Journals the vote before anybody hears of it, and logs why."""
        if session.warning:
            self.context.log.warning(f"ballot {ballot.ballot_id}: {session.warning}")
        for entry, opinion in sorted(session.opinions.items()):
            verdict = opinion.verdict
            self.context.log.info(
                f"ballot {ballot.ballot_id}, entry {entry}: "
                + (f"train {verdict.train_ppm} ppm, test {verdict.test_ppm} ppm" if verdict.is_valid else "invalid"),
                model=str(models[entry]),
                reason=opinion.reason,
            )
        verdicts = [session.opinions[entry].verdict for entry in sorted(models)]
        fact = {
            "verdicts": [[verdict.is_valid, verdict.train_ppm, verdict.test_ppm] for verdict in verdicts],
            "salt": secrets.token_bytes(SALT_BYTES).hex(),
        }
        self.context.journal.remember_once(f"vote/{ballot.ballot_id}", lambda: fact)
        vote = self.recall(ballot.ballot_id)
        assert vote is not None
        return vote


def _trouble(session: Session) -> str:
    missing = "; ".join(session.unavailable.values())
    return session.problem or missing or "judging to finish"
