"""What a verifier does on the gradient chain: replay what miners propose, report wrong segments, vote."""

import time
from collections.abc import Iterable, Sequence
from contextlib import suppress

from pole.chain.gradient_structs import Height, HeightPhase, Proposal
from pole.chain.structs import Ballot
from pole.errors import ManifestInvalid
from pole.gradient.advance import advance_gradient_due
from pole.gradient.claim import ballot_seed
from pole.gradient.manifest import fetch_gradient_manifest
from pole.node.context import RoleContext
from pole.node.loop import Waiting
from verifier.background import BackgroundWorker
from verifier.gradient.messages import HeightInputs
from verifier.gradient.proposals import HeightReview, Segments
from verifier.judging.messages import JudgingLimits
from verifier.judging.process import JudgingProcess
from verifier.judging.session import Session, judge_entries
from verifier.votes import Vote, VoteBook

RETRY_S = 1.0


class GradientVoting:
    """Replays beside the loop; what was decided is in the vote book."""

    def __init__(self, context: RoleContext, limits: JudgingLimits, reserve_s: float, votes: VoteBook) -> None:
        self.context, self.limits, self.reserve_s, self.votes = context, limits, reserve_s, votes
        self.gradient_chain = context.contracts.gradient_chain
        self.judge = JudgingProcess(limits, "verifier.gradient.judge")
        self._worker = BackgroundWorker()
        self._review: tuple[tuple[int, int], HeightReview] | None = None
        self._prepared_task = 0
        self._followed: Height | None = None

    @property
    def is_active(self) -> bool:
        """Whether a task is being mined for, so that ballots follow each other in seconds."""
        return self.gradient_chain.current().phase is not HeightPhase.IDLE

    def act(self) -> Waiting | None:
        """One pass; None if no gradient task is active."""
        context = self.context
        self._advance()
        current = self.gradient_chain.current()
        self._note_end(current)
        match current.phase:
            case HeightPhase.IDLE:
                return None
            case HeightPhase.SEARCH:
                self._prepare(current)
                return Waiting(f"the miners of height {current.height}", current.deadline, "replay what they propose")
            case HeightPhase.COLLECT:
                self._judge_early(current)
                return Waiting(f"further proposals at height {current.height}", current.deadline, "vote on them")
            case HeightPhase.VOTING:
                ballot = context.contracts.verifier_committee.ballot(current.ballot_id)
                sent = self.votes.sent
                waiting = self.votes.carry(ballot, lambda: self._vote(current, ballot))
                if self.votes.sent > sent:  # whoever completes a phase moves it on: the miners wait for it
                    self._advance(is_hurried=True)
                return waiting

    def _note_end(self, current: Height) -> None:
        is_idle, ended = current.phase is HeightPhase.IDLE, self._followed
        self._followed = None if is_idle else current
        if ended is None or (ended.height == current.height and not is_idle):
            return
        task, spent = self.gradient_chain.task(ended.task_id), self.context.chain.spending.take()
        how = f"no block: {task.stop_reason.name.lower().replace('_', ' ')}"
        if ended.height < current.height and not (header := self.gradient_chain.header(ended.height)).is_opening:
            how = f"a block of {header.miner}, test accuracy {header.test_ppm / 10_000:.2f} %"
        said = f"height {ended.height}: ended with {how}; it cost me {spent}"
        self.context.log.info(said, gas=spent.gas, gas_wei=spent.wei)

    def _advance(self, is_hurried: bool = False) -> None:
        context = self.context
        own = self.votes.own_list
        advance_gradient_due(context.chain, context.contracts, self.votes.owner, own=own, is_hurried=is_hurried)

    # --- judging -----------------------------------------------------------------------------------------------------

    def _prepare(self, current: Height) -> None:
        """Loads a task's data while the miners still search."""
        if self._prepared_task == current.task_id or not self._worker.collect():
            return
        self._prepared_task = current.task_id
        review, give_up_at_s = self._review_of(current), time.monotonic() + self.limits.wall_s
        self._worker.begin(
            lambda: judge_entries(self.judge, review.request([], None), [], review.session, give_up_at_s)
        )

    def _judge_early(self, current: Height) -> None:
        """Replays before the ballot opens; divided work is not known before."""
        review = self._review_of(current)
        if not review.is_shared:
            window_s = self.context.contracts.verifier_committee.parameters().vote_commit_window_s
            seconds_left = current.deadline - self.context.chain.block_time() + window_s - self.reserve_s
            self._judge(review, review.session, self.gradient_chain.proposals(), None, seconds_left)

    def _vote(self, current: Height, ballot: Ballot) -> Vote | Waiting:
        """The vote on this ballot, or what stands in the way of one. Decided once, then remembered."""
        known = self.votes.recall(ballot.ballot_id)
        if known is not None:
            return known
        review, proposals = self._review_of(current), self.gradient_chain.proposals()
        seconds_left = ballot.deadline - self.context.chain.block_time() - self.reserve_s
        shares, own = dict[str, Segments](), None
        if review.is_shared:
            block_hash = self.context.chain.block_hash(current.voting_block + 1)
            if block_hash is None:
                return Waiting("the block after the ballot's opening, whose hash divides the work", None, "replay")
            shares = self._shares(review, ballot, proposals, block_hash)
            own = shares[self.votes.owner]
        if not self._judge(review, review.session, proposals, own, seconds_left):
            return self._not_yet(ballot, review.session, seconds_left)
        if own is not None:
            self._report(ballot, review)
            if not self._have_all_reported(ballot, len(proposals)):
                return Waiting("the other verifiers' reports on their segments", ballot.deadline, "vote")
            suspects = review.suspects(self.gradient_chain.reports(ballot.ballot_id), shares, self.votes.owner)
            if suspects and not self._judge(review, review.recheck, proposals, suspects, seconds_left, suspects):
                return self._not_yet(ballot, review.recheck, seconds_left)
        self._log(ballot, review, proposals)
        return self.votes.decide(ballot.ballot_id, review.judged(len(proposals)))

    def _judge(
        self,
        review: HeightReview,
        session: Session,
        proposals: Sequence[Proposal],
        segments: Segments | None,
        seconds_left: float,
        entries: Iterable[int] | None = None,
    ) -> bool:
        """Has the judging process look at what has no judgement yet; returns whether all have one."""
        wanted = list(range(len(proposals))) if entries is None else sorted(entries)
        if not self._worker.collect():
            return False
        if seconds_left <= self.reserve_s:
            session.give_up(wanted)
        if set(wanted) <= set(session.judgements):
            return True
        if seconds_left > 0 and time.monotonic() >= session.retry_at_s:
            session.retry_at_s = time.monotonic() + RETRY_S
            request, give_up_at_s = review.request(proposals, segments), time.monotonic() + seconds_left
            self._worker.begin(lambda: judge_entries(self.judge, request, wanted, session, give_up_at_s))
            # Most blocks take no longer than this; an answer now saves another round of the loop.
            self._worker.collect(self.context.chain.pause_s())
        return not self._worker.is_busy and set(wanted) <= set(session.judgements)

    def _not_yet(self, ballot: Ballot, session: Session, seconds_left: float) -> Waiting:
        trouble = "the replay to finish"
        if not self._worker.is_busy:
            trouble = session.problem or "; ".join(each.reason for each in session.unavailable.values()) or trouble
        if seconds_left <= 0:
            text = f"a penalty is at risk: ballot {ballot.ballot_id}: no vote: {trouble}"
            self.context.notices.tell(f"risk/ballot/{ballot.ballot_id}", text)
            return Waiting(f"the ballot to go on without my vote ({trouble})", ballot.deadline, "look again")
        return Waiting(trouble, ballot.deadline, "vote")

    # --- shared work --------------------------------------------------------------------------------------------

    def _shares(
        self, review: HeightReview, ballot: Ballot, proposals: Sequence[Proposal], block_hash: bytes
    ) -> dict[str, Segments]:
        """Every member's part: who accuses is asked whether it had to look there."""
        members = self.context.contracts.verifier_committee.members(ballot.ballot_id)
        bonds_wei = [self.gradient_chain.miner(proposal.miner).bond_wei for proposal in proposals]
        seed = ballot_seed(block_hash, ballot.ballot_id)
        return review.shares(proposals, seed, members, bonds_wei)

    def _report(self, ballot: Ballot, review: HeightReview) -> None:
        """Tells the others what was found, also that nothing was: then they need not wait."""
        index = self.context.contracts.verifier_committee.member(ballot.ballot_id, self.votes.owner).index
        for entry, judgement in sorted(review.session.judgements.items()):
            self.gradient_chain.report_segments(ballot.ballot_id, index, entry, judgement.wrong_segments)

    def _have_all_reported(self, ballot: Ballot, entries: int) -> bool:
        """Or half of the time is over: whoever is silent must not keep the others from voting."""
        window_s = self.context.contracts.verifier_committee.parameters().vote_commit_window_s
        if ballot.deadline - self.context.chain.block_time() <= window_s / 2:
            return True
        reports = {(report.verifier, report.entry) for report in self.gradient_chain.reports(ballot.ballot_id)}
        return len(reports) >= ballot.member_count * entries

    # --- the height --------------------------------------------------------------------------------------------------

    def _review_of(self, current: Height) -> HeightReview:
        """A height's proposals; another one after they were rejected and the search went on."""
        key = (current.height, current.search_started_at)
        if self._review is None or self._review[0] != key:
            self._review = (key, self._new_review(current))
        return self._review[1]

    def _new_review(self, current: Height) -> HeightReview:
        task, previous = self.gradient_chain.task(current.task_id), self.gradient_chain.header(current.height - 1)
        assert previous.weights is not None
        inputs = HeightInputs(
            store=self.context.store.location,
            manifest=str(task.terms.manifest),
            rules="paper" if task.terms.rules.name == "PAPER" else "hardened",
            previous_hash=self.gradient_chain.header_hash(current.height - 1).hex(),
            previous_weights=str(previous.weights),
        )
        manifest = None
        with suppress(ManifestInvalid):
            manifest = fetch_gradient_manifest(self.context.store, task.terms.manifest)
        return HeightReview(inputs, manifest, task.terms.block_reward_wei)

    def _log(self, ballot: Ballot, review: HeightReview, proposals: Sequence[Proposal]) -> None:
        for entry, proposal in enumerate(proposals):
            judgement = review.judgement(entry)
            self.context.log.info(
                f"ballot {ballot.ballot_id}, proposal {entry} of {proposal.miner}, {proposal.step} steps: {judgement}",
                reason=judgement.reason,
            )
