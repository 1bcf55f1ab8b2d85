"""What a miner does in the rounds of one lane: train, commit, reveal, report. Source: PoLe, Algorithm 1"""

from collections.abc import Callable
from dataclasses import dataclass

import torch

from miner.display import Display, percent
from miner.learning.assignment import (
    Assignment,
    RoundTerms,
    check_bond,
    check_manifest,
    collect,
    commit_reserve_s,
    commit_wei,
    is_race,
    terms_of,
)
from miner.learning.deadline import Deadline, closing_s
from miner.learning.settlement import Settlement
from miner.learning.solutions import Solution, Solutions
from miner.limits import MinerLimits, NotWorthIt
from miner.training.api import Candidate, Trainer, TrainingJob, best_candidate, scoring_time_s
from pole.chain.commitments import solution_commitment
from pole.chain.deployment import in_lane
from pole.chain.order import STEP_BLOCKS
from pole.chain.structs import Phase, Round
from pole.errors import (
    ContentTooLarge,
    DataInvalid,
    EncryptionError,
    ManifestInvalid,
    StoreError,
    TransactionReverted,
)
from pole.learning.advance import advance_due, keep_anchor
from pole.learning.round_files import feature_cache
from pole.node.context import RoleContext
from pole.node.loop import Waiting
from pole.node.notify.notices import GATHER_S
from pole.node.pace import LONGEST_S, pause_s
from pole.node.pins import UNPIN_AFTER_S
from pole.timing import OnProgress

# How a training method fails on a task it cannot digest: out of memory, a batch of one row, a singular matrix.
TRAINING_FAILURES = (RuntimeError, ValueError, ArithmeticError, MemoryError)
# Whoever meets these is looking at a bad task, not at a bad day: nothing gets better by trying again.
HOPELESS = (NotWorthIt, ManifestInvalid, EncryptionError, DataInvalid, ContentTooLarge)


@dataclass(frozen=True)
class MinerOptions:
    """The miner's own choices; see `python -m miner run --help`. `lane`: the index of the only one to work on."""

    trainer: Trainer
    device: torch.device
    seed: int
    limits: MinerLimits
    commit_latency_s: float | None
    is_idle_allowed: bool
    withdraw_over_wei: int | None
    unpin_after_s: int = UNPIN_AFTER_S
    lane: int | None = None


class LaneMiner:
    """Everything is derived from the chain and the journal, so that each step may die at any line and be taken again.

    `context`: as seen from the lane. `look_around` is called now and then while it trains, for what cannot wait
    elsewhere, and says in how many seconds it wants to be called again.
    """

    def __init__(self, context: RoleContext, options: MinerOptions, look_around: Callable[[], float]) -> None:
        self.context, self.options, self._look_around = context, options, look_around
        self.lane = context.contracts.lane
        self.solutions = Solutions(context.journal, context.home, self.lane)
        self._settlement = Settlement(context, self.solutions, options.withdraw_over_wei, options.unpin_after_s)
        self.rounds_ended = 0
        self._followed: int | None = None
        self._assignment: tuple[int, bytes, Assignment] | None = None
        self._declined: dict[int, str] = {}

    @property
    def _address(self) -> str:
        return self.context.address

    @property
    def is_committed(self) -> bool:
        """Whether a round is open in which it has something to reveal, or to lose."""
        return bool(self.solutions.open_rounds())

    def tend(self) -> Round | None:
        """Moves the lane on where that is due, and settles what has ended; returns the round in progress."""
        chain = self.context.contracts.learning_chain
        current = chain.current_round()
        if current is not None:
            self.context.contracts.expect_round(current, self._address)
        if current is None or not self._is_committing(current):
            advance_due(self.context.chain, self.context.contracts, self.context.address)
            current = chain.current_round()
        self._settle(current)
        if current is not None:
            self._followed = current.round_id
            if current.phase is Phase.TRAINING:
                keep_anchor(self.context.chain, self.context.contracts, current)
        return current

    def can_compete(self, current: Round) -> bool:
        """Whether there is something to train or to commit in this round now."""
        return current.is_bound and self._is_committing(current)

    def _is_committing(self, current: Round) -> bool:
        """Whether this miner can still commit: then it does so before it helps to close the commits."""
        return (
            current.phase in (Phase.TRAINING, Phase.OVERTIME)
            and current.round_id not in self._declined
            and self.context.chain.block_time() < current.deadline
            and not self.context.contracts.learning_chain.place_of(current.round_id, self._address)
        )

    def _settle(self, current: Round | None) -> None:
        """Reports rounds that have ended, clears up behind them, and withdraws what they earned."""
        ended = [each for each in self.solutions.open_rounds() if current is None or each != current.round_id]
        if self._followed is not None and (current is None or current.round_id != self._followed):
            ended = sorted({*ended, self._followed})
            self.rounds_ended, self._followed = self.rounds_ended + 1, None
        self._settlement.settle(ended)
        if ended or current is None:
            self._settlement.let_go()

    def _name(self, round_id: int) -> str:
        return self.context.contracts.round_name(round_id)

    # --- in a round --------------------------------------------------------------------------------------------------

    def take_part(self, current: Round, is_competing: bool = True) -> Waiting:
        """What this phase asks for; with `is_competing`, training and a commit too."""
        deadline = current.deadline
        has_committed = self.context.contracts.learning_chain.place_of(current.round_id, self._address) != 0
        match current.phase:
            case Phase.KEYS:
                return Waiting("the client's functional keys", deadline, "check them and train")
            case Phase.TRAINING | Phase.OVERTIME if not has_committed and is_competing:
                return self._compete(current)
            case Phase.TRAINING | Phase.OVERTIME if not has_committed:
                return Waiting(
                    f"{self._name(current.round_id)}, which I am not in, to end", deadline, "look for the next"
                )
            case Phase.TRAINING | Phase.OVERTIME:
                return Waiting("commits to close", deadline, "reveal my solution once the test set is out")
            case Phase.RELEASE if has_committed:
                return Waiting("the client to release the test set", deadline, "reveal my solution")
            case Phase.REVEAL if has_committed:
                try:
                    self._reveal(current)
                except StoreError as exc:  # a full disk now must not cost the bond: the deadline is still ahead
                    key = in_lane(f"risk/reveal/{current.round_id}", self.lane)
                    what = f"my bond of {self._name(current.round_id)}: the model cannot be published ({exc})"
                    self.context.notices.tell(key, f"at risk: {what}")
                    return Waiting(f"the content store to work again ({exc})", deadline, "reveal my solution")
                return Waiting("the other miners to reveal", deadline, "wait for the verifiers")
            case Phase.VOTING:
                ballot = self.context.contracts.verifier_committee.ballot(current.ballot_id)
                return Waiting(
                    f"the verifiers to vote ({ballot.phase.name.lower()})", ballot.deadline or None, "see who won"
                )
        return Waiting(
            f"{self._name(current.round_id)}, which I am not in, to end", deadline or None, "look for the next"
        )

    def _compete(self, current: Round) -> Waiting:
        """Trains and commits, or says why not."""
        round_id, deadline = current.round_id, current.deadline
        if not current.is_bound:
            what = f"block {current.anchor_block}, which the mapping depends on"
            return Waiting(what, current.opened_at + 1, "train")
        if round_id in self._declined:
            return Waiting(f"{self._name(round_id)} to end ({self._declined[round_id]})", deadline, "look for the next")
        solution = self.solutions.solution(current)
        if solution is None:
            terms = terms_of(self.context.contracts, current)
            candidate, trained_under = self._candidate(current, terms), current.previous_hash
            self.context.chain.changed()  # training took its time
            current = self.context.contracts.learning_chain.round(round_id)
            if current.previous_hash != trained_under:
                self._declined.pop(round_id, None)
                return Waiting("the previous hash, which a reorganisation has changed", deadline, "train anew")
            if isinstance(candidate, Waiting):
                return candidate
            if current.phase not in (Phase.TRAINING, Phase.OVERTIME):
                return Waiting("this round, which was decided without me, to end", None, "look for the next")
            solution = self.solutions.seal(current, candidate)
        self._assignment = None
        if not self._commit(current, solution):
            return self._decline(current, "all places are taken by higher bonds")
        return Waiting("commits to close", current.deadline, "reveal my solution once the test set is out")

    def _candidate(self, current: Round, terms: RoundTerms) -> Candidate | Waiting:
        """The best model that time allows, or what stands in the way of one."""
        balance_wei = self.context.chain.balance_wei(self._address)
        check_bond(self.context.contracts, self._address, balance_wei, current.round_id)
        try:
            assignment = self._collect(current, terms)
            candidate = self._train(current, assignment)
        except HOPELESS as exc:
            return self._decline(current, str(exc))
        except StoreError as exc:
            return Waiting(f"content that is not available yet ({exc})", current.deadline, "train")
        except TRAINING_FAILURES as exc:  # a stranger's task must not end the miner
            candidate = self.solutions.candidate(current)
            if candidate is None or candidate.train_ppm < terms.required_train_ppm:
                return self._decline(current, f"training failed: {type(exc).__name__}: {exc}")
        return candidate or Waiting("overtime; there was no time to train", current.deadline, "train")

    def _decline(self, current: Round, why: str) -> Waiting:
        self._declined[current.round_id] = why
        key = in_lane(f"declined/{current.round_id}", self.lane)
        self.context.notices.tell(key, f"{self._name(current.round_id)}: I do not train: {why}", wait_s=GATHER_S)
        self.context.log.warning(f"{self._name(current.round_id)}: I do not train: {why}")
        return Waiting(f"{self._name(current.round_id)} to end ({why})", current.deadline, "look for the next")

    def _collect(self, current: Round, terms: RoundTerms) -> Assignment:
        wanted = (current.round_id, current.previous_hash)
        if self._assignment is None or self._assignment[:2] != wanted:
            manifest = check_manifest(self.context.store, current, terms, self.options.limits)
            cache = feature_cache(self.context.home, current.previous_hash, self.lane)
            with Display(self.context.log, f"{self._name(current.round_id)}, preparing {manifest.name!r}") as display:
                progress = self._until_over(current, terms, display.rows)
                found = collect(self.context.store, current, terms, manifest, cache, progress)
            if found.features.opening.rows:
                self.context.log.info(f"{self._name(current.round_id)}: decrypted {found.features.opening}")
            self._assignment = (*wanted, found)
        return self._assignment[2]

    def _until_over(self, current: Round, terms: RoundTerms, show: OnProgress) -> OnProgress:
        """Ends the decryption of a round that is over: a stranger's data may take longer than any round lasts."""
        deadline = self._deadline(current.round_id, terms, 0.0)

        def progress(done: int, total: int) -> None:
            show(done, total)
            if deadline.is_over():
                raise NotWorthIt(f"{done} of {total} rows were opened in time: {deadline.reason}")

        return progress

    def _deadline(self, round_id: int, terms: RoundTerms, reserve_s: float) -> Deadline:
        chain, client, others_s = self.context.contracts.learning_chain, self.context.chain, LONGEST_S

        def look() -> tuple[Round, int]:
            nonlocal others_s
            others_s = self._look_around()
            return chain.round(round_id), client.block_time()

        def next_look_s(current: Round, now_s: int) -> float:
            """As for any wait; where others can close the commits, as soon as it helps to know."""
            until_s, interval_s = closing_s(current, terms.solutions_wanted), client.interval_s
            can_close = current.earliest_close_at < current.deadline
            soon_s = STEP_BLOCKS * interval_s if can_close else LONGEST_S
            return min(pause_s(until_s, now_s, interval_s), soon_s, others_s)

        if self.context.poll_s is not None:
            return Deadline(look, terms.solutions_wanted, reserve_s)
        return Deadline(look, terms.solutions_wanted, reserve_s, next_look_s)

    def _train(self, current: Round, assignment: Assignment) -> Candidate | None:
        """Trains until time is up or commits close; in a race, to the target. In overtime, any model does."""
        round_id, terms = current.round_id, assignment.terms
        known = self.solutions.candidate(current)
        target = terms.required_train_ppm if current.phase is Phase.TRAINING else 1
        deadline = self._deadline(round_id, terms, commit_reserve_s(terms, self.options.commit_latency_s))
        with Display(self.context.log, f"{self._name(round_id)}, training {assignment.manifest.name!r}") as display:
            job = TrainingJob(
                manifest=assignment.manifest,
                train_x=assignment.features.train_x,
                train_y=assignment.features.train_y,
                target_ppm=target,
                device=self.options.device,
                seed=self.options.seed,
                checkpoint_path=self.solutions.checkpoint_path(current),
                seconds_left=deadline.seconds_left,
                is_over=deadline.is_over,
                report=lambda progress: display.training(progress, target),
                previous_hash=current.previous_hash,
                statistics=assignment.features.statistics,
                is_race=is_race(current, terms),
            )
            deadline.reserve_s += 2 * scoring_time_s(job)
            if known is not None and deadline.is_over():
                return known
            best = best_candidate(self.options.trainer, job, known, lambda it: self.solutions.keep(current, it))
        reached = percent(best.train_ppm) if best else "nothing"
        self.context.log.info(
            f"{self._name(round_id)}: reached {reached} train accuracy; {deadline.reason or 'that is enough'}"
        )
        return best

    # --- transactions ------------------------------------------------------------------------------------------------

    def _commit(self, current: Round, solution: Solution) -> bool:
        """Whether the solution has a place in the round: in a full one, higher bonds keep it out or take it away."""
        chain = self.context.contracts.learning_chain
        commitment = solution_commitment(
            self.context.chain.deployment.chain_id,
            chain.address,
            current.round_id,
            self._address,
            current.previous_hash,
            solution.model,
            solution.salt,
        )
        round_id = current.round_id
        place = chain.place_of(round_id, self._address)
        value_wei = 0 if place else commit_wei(self.context.contracts, round_id)
        arguments = (round_id, current.previous_hash, commitment, solution.train_ppm)
        try:
            chain.commit(*arguments, value_wei=value_wei, place=place)
        except TransactionReverted as exc:
            if exc.name != "RoundFull":
                raise
            return False
        if not chain.place_of(round_id, self._address):
            return False
        self.context.log.info(f"{self._name(current.round_id)}: committed, claiming {percent(solution.train_ppm)}")
        return True

    def _reveal(self, current: Round) -> None:
        """Publishes the model, then opens the commitment to it: nobody reveals what is not there."""
        round_id = current.round_id
        solution = self.solutions.solution(current)
        if solution is None:
            self.context.log.error(f"{self._name(round_id)}: committed from another --home, cannot reveal from here")
            return
        chain = self.context.contracts.learning_chain
        place = chain.place_of(round_id, self._address)
        if place == 0 or chain.submissions(round_id)[place - 1].is_revealed:
            return
        if not self.solutions.was_reported(round_id):  # else a reorg opened it again: the model has been out for long
            self.context.store.put(self.solutions.content(round_id, solution))
        chain.reveal(round_id, place, solution.model, solution.salt)
        self.context.log.info(f"{self._name(round_id)}: revealed model {solution.model}")
