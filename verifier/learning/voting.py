"""What a verifier votes on a round's models, and why. Source: PoLe, Algorithm 2"""

import time
from collections.abc import Callable

from pole.chain.structs import Ballot, Round, VerdictKind
from pole.learning.round_files import feature_cache
from pole.node.context import RoleContext
from pole.node.loop import Waiting
from pole.storage.cid import Cid
from pole.timing import NOTHING
from verifier.background import BackgroundWorker
from verifier.judging.messages import JudgingLimits
from verifier.judging.process import JudgingProcess
from verifier.judging.session import Session
from verifier.keeping import Keeper
from verifier.learning.messages import RoundInputs
from verifier.learning.models import judge_all
from verifier.votes import Vote, VoteBook

RETRY_S = 3.0
_LOOK_UP_S = 0.5


class LearningVoting:
    """Judges a round's models. `is_wanted_elsewhere`: then judging goes on beside the loop, which does not wait.

    `context`: as seen from the lane. `owner`: whose stake votes, if not the account's own; `votes`: those of all lanes.
    """

    def __init__(
        self,
        context: RoleContext,
        limits: JudgingLimits,
        reserve_s: float,
        is_wanted_elsewhere: Callable[[], bool] = lambda: False,
        owner: str | None = None,
        votes: VoteBook | None = None,
    ) -> None:
        self.context, self.limits, self.reserve_s = context, limits, reserve_s
        self.judge = JudgingProcess(limits)
        self.votes = votes or VoteBook(context, owner)
        self.keeper = Keeper(context)
        self.is_wanted_elsewhere = is_wanted_elsewhere
        self._worker = BackgroundWorker()
        self._session: tuple[int, int, Session] = (0, 0, Session())
        self._prepared: dict[int, float] = {}

    def inputs(self, current: Round, has_test_set: bool = True) -> RoundInputs:
        """The round's own files, by name."""
        test_set = current.test_set if has_test_set and current.is_test_set_released else None
        return RoundInputs(
            store=self.context.store.location,
            cache_dir=str(
                feature_cache(self.context.home.resolve(), current.previous_hash, self.context.contracts.lane)
            ),
            manifest=str(self.context.contracts.manifest_of(current)),
            previous_hash=current.previous_hash.hex(),
            keys=str(current.keys) if current.keys else None,
            test_set=str(test_set) if test_set else None,
            is_test_set_missing=current.is_test_set_released and not has_test_set,
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
        models, entries = self._models(current), self._entries(current, ballot)
        session = self._session_of(current, ballot)
        self.keeper.plan(models.values(), ballot)
        seconds_left = ballot.deadline - self.context.chain.block_time() - self.reserve_s
        if seconds_left > 0 and not self._is_done(lambda: self._judge(current, models, entries, session, seconds_left)):
            return Waiting("judging to finish", ballot.deadline, "judge again")
        seconds_left = ballot.deadline - self.context.chain.block_time() - self.reserve_s
        if seconds_left <= self.reserve_s:
            session.give_up(entries)
        if set(entries) <= set(session.judgements):
            return self._remember(ballot, session, models, entries)
        if seconds_left <= 0:
            text = f"ballot {ballot.ballot_id}: no vote, judging did not end: {_trouble(session)}"
            self.context.log.error(text)
            self.context.notices.tell(f"risk/ballot/{ballot.ballot_id}", f"a penalty is at risk: {text}")
            return Waiting(f"the ballot to go on without my vote ({_trouble(session)})", ballot.deadline, "look again")
        return Waiting(_trouble(session), ballot.deadline, "judge again")

    def _judge(
        self, current: Round, models: dict[int, Cid], entries: list[int], session: Session, seconds_left: float
    ) -> None:
        """Asks the judging process about what is still open. Without the test set only once half of the time is over:
        a client that withholds it then costs the miners their ranking, not their reward.
        """
        if set(entries) <= set(session.judgements) or time.monotonic() < session.retry_at_s:
            return
        give_up_at_s = time.monotonic() + seconds_left
        window_s = self.context.contracts.verifier_committee.parameters().vote_commit_window_s
        order = self._order(current)
        judge_all(self.judge, self.inputs(current), models, session, give_up_at_s, entries, order)
        if session.is_test_set_missing and seconds_left < window_s / 2:
            self.context.log.warning(
                f"{self._name(current)}: no test set, the vote says that it was withheld: {session.problem}"
            )
            inputs = self.inputs(current, has_test_set=False)
            judge_all(self.judge, inputs, models, session, give_up_at_s, entries, order)
        session.retry_at_s = time.monotonic() + RETRY_S
        self._log_opening(current, session)
        self.keeper.pin([models[entry] for entry in session.judgements])

    def _log_opening(self, current: Round, session: Session) -> None:
        if session.opening.rows:
            self.context.log.info(f"{self._name(current)}: decrypted {session.opening}")
        session.opening = NOTHING

    def _name(self, current: Round) -> str:
        return self.context.contracts.round_name(current.round_id)

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

    def _session_of(self, current: Round, ballot: Ballot) -> Session:
        """What is known of the round's models; on a second ballot, what could not be had is looked for again."""
        round_id, ballot_id, session = self._session
        if round_id != current.round_id:
            session = Session()
        elif ballot_id != ballot.ballot_id:
            session.forget_missing()
        self._session = (current.round_id, ballot.ballot_id, session)
        return session

    def _entries(self, current: Round, ballot: Ballot) -> list[int]:
        """Which of the round's models this ballot is over, in its order: all, or what the first one left undecided."""
        if current.first_ballot_id == 0 or ballot.ballot_id != current.ballot_id:
            return sorted(self._models(current))
        first = self.context.contracts.verifier_committee.outcome(current.first_ballot_id)
        return [entry for entry, verdict in enumerate(first) if verdict.train == VerdictKind.UNDECIDED]

    def _models(self, current: Round) -> dict[int, Cid]:
        """All that were revealed, by their entries."""
        entries = self.context.contracts.learning_chain.entries(current.round_id)
        return {i: entry.model for i, entry in enumerate(entries) if entry.model is not None}

    def _order(self, current: Round) -> dict[int, int]:
        """In which order the entries' miners committed, or replaced their commits."""
        entries = self.context.contracts.learning_chain.entries(current.round_id)
        return {i: entry.order for i, entry in enumerate(entries)}

    def _remember(self, ballot: Ballot, session: Session, models: dict[int, Cid], entries: list[int]) -> Vote:
        """Journals the vote before it is committed on chain, and logs the reasons."""
        if session.warning:
            self.context.log.warning(f"ballot {ballot.ballot_id}: {session.warning}")
        for entry in entries:
            judgement = session.judgements[entry]
            self.context.log.info(
                f"ballot {ballot.ballot_id}, entry {entry}: {judgement}",
                model=str(models[entry]),
                reason=judgement.reason,
            )
        return self.votes.decide(ballot.ballot_id, [session.judgements[entry] for entry in entries])


def _trouble(session: Session) -> str:
    missing = "; ".join(each.reason for each in session.unavailable.values())
    return session.problem or missing or "judging to finish"
