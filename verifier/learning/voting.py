"""What a verifier votes on a round's models, and why. Source: PoLe, Algorithm 2"""

import time
from collections.abc import Callable

from pole.chain.structs import Ballot, Round
from pole.learning.round_files import feature_cache
from pole.node.context import RoleContext
from pole.node.loop import Waiting
from pole.storage.cid import Cid
from pole.timing import NOTHING
from verifier.background import BackgroundWorker
from verifier.judging.messages import JudgingLimits
from verifier.judging.process import JudgingProcess
from verifier.judging.session import INVALID, Judgement, Session
from verifier.learning.messages import RoundInputs
from verifier.learning.models import judge_all
from verifier.votes import Vote, VoteBook

RETRY_S = 3.0
_LOOK_UP_S = 0.5


class LearningVoting:
    """Judges a round's models. `is_wanted_elsewhere`: then judging goes on beside the loop, which does not wait."""

    def __init__(
        self,
        context: RoleContext,
        limits: JudgingLimits,
        reserve_s: float,
        is_wanted_elsewhere: Callable[[], bool] = lambda: False,
    ) -> None:
        self.context, self.limits, self.reserve_s = context, limits, reserve_s
        self.judge = JudgingProcess(limits)
        self.votes = VoteBook(context)
        self.is_wanted_elsewhere = is_wanted_elsewhere
        self._worker = BackgroundWorker()
        self._sessions: dict[int, Session] = {}
        self._prepared: dict[int, float] = {}

    def inputs(self, current: Round, has_test_set: bool = True) -> RoundInputs:
        """The round's own files, by name."""
        test_set = current.test_set if has_test_set and current.is_test_set_released else None
        return RoundInputs(
            store=self.context.store.location,
            cache_dir=str(feature_cache(self.context.home.resolve(), current.previous_hash)),
            manifest=str(self.context.contracts.manifest_of(current)),
            previous_hash=current.previous_hash.hex(),
            keys=str(current.keys) if current.keys else None,
            test_set=str(test_set) if test_set else None,
        )

    def prepare(self, current: Round) -> str:
        """Computes the features while the miners still train; returns what is in the way, for the log."""
        if current.round_id not in self._prepared:
            self._prepared = {current.round_id: 0.0}
        ready = self._prepared[current.round_id]
        if ready == float("inf") or time.monotonic() < ready:
            return ""
        # A stranger's data may take longer than the round lasts: the next one must not be missed over it.
        seconds_left = max(RETRY_S, current.deadline - self.context.chain.block_time())
        session, give_up_at_s = Session(), time.monotonic() + min(self.limits.wall_s, seconds_left)

        def work() -> None:
            judge_all(self.judge, self.inputs(current), {}, session, give_up_at_s)
            self._log_opening(current, session)
            self._prepared[current.round_id] = time.monotonic() + RETRY_S if session.problem else float("inf")

        return session.problem if self._is_done(work) else "they are being opened"

    def vote(self, current: Round, ballot: Ballot) -> Vote | Waiting:
        """The vote on this ballot, or what stands in the way of one. Decided once, then remembered."""
        known = self.votes.recall(ballot.ballot_id)
        if known is not None:
            return known
        models = self._models(current)
        if ballot.ballot_id not in self._sessions:  # an earlier one is over
            self._sessions = {ballot.ballot_id: Session()}
        session = self._sessions[ballot.ballot_id]
        seconds_left = ballot.deadline - self.context.chain.block_time() - self.reserve_s
        if seconds_left > 0 and not self._is_done(lambda: self._judge(current, models, session, seconds_left)):
            return Waiting("judging to finish", ballot.deadline, "judge again")
        seconds_left = ballot.deadline - self.context.chain.block_time() - self.reserve_s
        if session.unavailable and seconds_left <= self.reserve_s:
            for entry, reason in session.unavailable.items():
                session.judgements[entry] = Judgement(INVALID, f"it was not available in time: {reason}")
        if set(session.judgements) == set(models):
            return self._remember(ballot, session, models)
        if seconds_left <= 0:
            self.context.log.error(f"ballot {ballot.ballot_id}: no vote, judging did not end: {_trouble(session)}")
            return Waiting(f"the ballot to go on without my vote ({_trouble(session)})", ballot.deadline, "look again")
        return Waiting(_trouble(session), ballot.deadline, "judge again")

    def _judge(self, current: Round, models: dict[int, Cid], session: Session, seconds_left: float) -> None:
        """Asks the judging process about what is still open. Without the test set only once half of the time is over:
        a client that withholds it then costs the miners their ranking, not their reward.
        """
        if set(session.judgements) == set(models) or time.monotonic() < session.retry_at_s:
            return
        give_up_at_s = time.monotonic() + seconds_left
        window_s = self.context.contracts.verifier_committee.parameters().vote_commit_window_s
        judge_all(self.judge, self.inputs(current), models, session, give_up_at_s)
        if session.is_test_set_missing and seconds_left < window_s / 2:
            self.context.log.warning(
                f"round {current.round_id}: no test set, test accuracy 0 for all: {session.problem}"
            )
            judge_all(self.judge, self.inputs(current, has_test_set=False), models, session, give_up_at_s)
        session.retry_at_s = time.monotonic() + RETRY_S
        self._log_opening(current, session)

    def _log_opening(self, current: Round, session: Session) -> None:
        if session.opening.rows:
            self.context.log.info(f"round {current.round_id}: decrypted {session.opening}")
        session.opening = NOTHING

    def _is_done(self, work: Callable[[], None]) -> bool:
        """Does slow work; False if it, or other work from before, still goes on while the loop is wanted elsewhere."""
        is_begun = False
        while not is_begun:
            if self._worker.collect(_LOOK_UP_S):
                self._worker.begin(work)
                is_begun = True
            elif self.is_wanted_elsewhere():
                return False
        while not self._worker.collect(_LOOK_UP_S):
            if self.is_wanted_elsewhere():
                return False
        return True

    def _models(self, current: Round) -> dict[int, Cid]:
        entries = self.context.contracts.learning_chain.entries(current.round_id)
        return {i: entry.model for i, entry in enumerate(entries) if entry.model is not None}

    def _remember(self, ballot: Ballot, session: Session, models: dict[int, Cid]) -> Vote:
        """Journals the vote before it is committed on chain, and logs the reasons."""
        if session.warning:
            self.context.log.warning(f"ballot {ballot.ballot_id}: {session.warning}")
        for entry, judgement in sorted(session.judgements.items()):
            verdict = judgement.verdict
            self.context.log.info(
                f"ballot {ballot.ballot_id}, entry {entry}: "
                + (f"train {verdict.train_ppm} ppm, test {verdict.test_ppm} ppm" if verdict.is_valid else "invalid"),
                model=str(models[entry]),
                reason=judgement.reason,
            )
        return self.votes.decide(ballot.ballot_id, [session.judgements[entry].verdict for entry in sorted(models)])


def _trouble(session: Session) -> str:
    missing = "; ".join(session.unavailable.values())
    return session.problem or missing or "judging to finish"
