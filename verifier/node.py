"""The verifier as a long-running role: prepare while others train, judge, commit a vote, reveal it, again."""

import functools
from itertools import count

from pole.chain.deployment import in_lane
from pole.chain.structs import Ballot, Phase, Round
from pole.errors import InsufficientFunds, TransactionReverted
from pole.journal.transactions import TransactionState
from pole.learning.advance import advance_due
from pole.money import wei_to_ether
from pole.node.context import RoleContext
from pole.node.loop import Node, Waiting
from pole.node.notify.notices import GATHER_S
from pole.shell import command
from verifier.gradient.voting import GradientVoting
from verifier.judging.messages import JudgingLimits
from verifier.learning.voting import LearningVoting
from verifier.stakewatch import StakeWatch
from verifier.votes import VoteBook


class VerifierNode(Node):
    """Votes on both chains. `wanted_stake_wei`: topped up to this whenever there is less; 0 leaves the stake alone.

    `owner`: whose stake votes, if the account is its voter; it stakes for itself, so nothing is topped up then.
    """

    def __init__(
        self,
        context: RoleContext,
        limits: JudgingLimits,
        reserve_s: float,
        wanted_stake_wei: int = 0,
        owner: str | None = None,
    ) -> None:
        super().__init__(context)
        self.owner = owner or context.address
        self.votes = VoteBook(context, self.owner)
        self.lanes = [
            LaneVerifier(self, context.on_lane(each.lane), limits, reserve_s) for each in context.contracts.lanes
        ]
        self.gradient = GradientVoting(context, limits, reserve_s, self.votes)
        self.wanted_stake_wei = wanted_stake_wei
        self._cannot_stake_wei = 0
        self._stakes = StakeWatch(context, self.owner)

    @property
    def voting(self) -> LearningVoting:
        """Of the first lane."""
        return self.lanes[0].voting

    @property
    def rounds_ended(self) -> int:
        """Of all lanes."""
        return sum(lane.rounds_ended for lane in self.lanes)

    def is_wanted_elsewhere(self) -> bool:
        """Whether judging for one lane must not hold up the loop: another one may need a vote at any moment."""
        return len(self.lanes) > 1 or self.gradient.is_active

    def close(self) -> None:
        """Ends the judging processes."""
        for lane in self.lanes:
            lane.voting.judge.close()
        self.gradient.judge.close()

    @property
    def _address(self) -> str:
        return self.context.address

    def at_stake(self) -> str:
        return "my part in the votes, and penalties for missing them" if self._stakes.is_seated else ""

    def act(self) -> Waiting:
        for lane in self.lanes:
            lane.advance()
        self._stakes.look()
        self._top_up()
        self.voting.keeper.let_go()
        waits = [self.gradient.act()]
        for lane in self.lanes:
            lane.look()
        unseated = None if all(lane.is_voting for lane in self.lanes) else self._unseated()
        # Ballots in the order of their deadlines: their windows have time for all that are open.
        for lane in sorted(self.lanes, key=lambda each: each.urgency):
            waits.append(lane.act(unseated))
        found = [each for each in waits if each is not None]
        if not found:
            return unseated or Waiting("a round to open", None, "prepare to judge its models")
        return functools.reduce(_both, found)

    def _top_up(self) -> None:
        """Stakes what is missing of the wanted stake, each time exactly once, also through a crash.

        What keeps it from that, such as an empty account, must not keep it from voting with the stake it has.
        """
        if not self.wanted_stake_wei:
            return
        context, verifier = self.context, self.context.contracts.verifier_committee.verifier(self._address)
        if verifier.stake_wei >= self.wanted_stake_wei or verifier.release_at:  # who gave up its seat stays away
            return
        missing_wei = self.wanted_stake_wei - verifier.stake_wei
        number = next(number for number in count(1) if not self._has_staked(number))
        try:
            if number > 1:  # a reorg may have taken the last one back: then it is sent again, and not one more
                self._stake(number - 1, missing_wei)
                if context.contracts.verifier_committee.verifier(self._address).stake_wei >= self.wanted_stake_wei:
                    return
            self._stake(number, missing_wei)
        except (TransactionReverted, InsufficientFunds) as exc:
            if self._cannot_stake_wei != missing_wei:  # once, not at every step
                context.log.warning(f"cannot stake {wei_to_ether(missing_wei)} ether more: {exc}")
                context.notices.tell(f"top-up/{number}", f"cannot stake {wei_to_ether(missing_wei)} ether more: {exc}")
                self._cannot_stake_wei = missing_wei
            return
        context.log.info(f"topped the stake up to {wei_to_ether(self.wanted_stake_wei)} ether")

    def _has_staked(self, number: int) -> bool:
        attempt = self.context.journal.transactions.newest(f"top-up/{number}")
        return attempt is not None and attempt.state is TransactionState.MINED

    def _stake(self, number: int, amount_wei: int) -> None:
        context = self.context
        context.contracts.verifier_committee.stake(amount_wei, key=f"top-up/{number}")

    def _unseated(self) -> Waiting | None:
        verifier = self.context.contracts.verifier_committee.verifier(self.owner)
        if self._address not in (self.owner, verifier.voter):
            remedy = command("python", "-m", "verifier", "voter", self._address)
            return Waiting(f"{self.owner} to let {self._address} vote ({remedy})", None, "judge models")
        if verifier.is_seated:
            return None
        least_wei = self.context.contracts.verifier_committee.parameters().min_stake_wei - verifier.stake_wei
        remedy = command("python", "-m", "verifier", "stake", wei_to_ether(max(0, least_wei)))
        return Waiting(f"a seat: {self.owner} has none ({remedy})", None, "judge models")


class LaneVerifier:
    """What a verifier does for one lane; `context`: as seen from it. It judges in a process of its own."""

    def __init__(self, node: VerifierNode, context: RoleContext, limits: JudgingLimits, reserve_s: float) -> None:
        self.context = context
        self.voting = LearningVoting(context, limits, reserve_s, node.is_wanted_elsewhere, votes=node.votes)
        self.rounds_ended = 0
        self._current: Round | None = None
        self._ballot: Ballot | None = None
        self._followed: int | None = None

    @property
    def is_voting(self) -> bool:
        return self._ballot is not None

    @property
    def urgency(self) -> tuple[bool, int]:
        """Sorts lanes: open ballots first, by their deadlines."""
        return self._ballot is None, self._ballot.deadline if self._ballot else 0

    def advance(self) -> None:
        """Moves round and ballot on that are due."""
        context = self.context
        votes = self.voting.votes
        advance_due(context.chain, context.contracts, votes.owner, own=votes.own_list)

    def look(self) -> None:
        """Reads where the lane is."""
        self._current = current = self.context.contracts.learning_chain.current_round()
        self._note_end(current)
        self._followed = None if current is None else current.round_id
        self._ballot = None
        if current is not None and current.phase is Phase.VOTING:
            self._ballot = self.context.contracts.verifier_committee.ballot(current.ballot_id)

    def act(self, unseated: Waiting | None) -> Waiting | None:
        """Votes, or prepares to; None if no round is open. `unseated`: what to wait for where it has no vote."""
        current, ballot = self._current, self._ballot
        if current is None:
            return None
        if ballot is not None:
            return self.voting.votes.carry(ballot, lambda: self.voting.vote(current, ballot))
        return unseated or self._prepare(current)

    def _note_end(self, current: Round | None) -> None:
        if self._followed is not None and (current is None or current.round_id != self._followed):
            ended = self.context.contracts.learning_chain.round(self._followed)
            how = "a block" if ended.phase is Phase.FINALISED else f"no block: {ended.abort_reason.name.lower()}"
            name, spent = self.context.contracts.round_name(self._followed), self.context.chain.spending.take()
            self.context.log.info(f"{name}: ended with {how}; it cost me {spent}", gas=spent.gas, gas_wei=spent.wei)
            key = in_lane(f"round/{self._followed}", self.context.contracts.lane)
            self.context.notices.tell(key, f"{name}: ended with {how}; it cost me {spent}", wait_s=GATHER_S)
            self.rounds_ended += 1

    def _prepare(self, current: Round) -> Waiting:
        """Opens the inner products before the vote needs them."""
        if current.phase is Phase.KEYS:
            return Waiting("the client's functional keys", current.deadline, "check them and open the features")
        problem = self.voting.prepare(current)
        if problem:
            return Waiting(f"the round's files ({problem})", current.deadline, "prepare to judge")
        return Waiting(f"the miners ({current.phase.name.lower()})", current.deadline, "judge what they reveal")


def _both(learning: Waiting, gradient: Waiting) -> Waiting:
    """Whichever ends first; the other one is named beside it."""
    first, second = sorted((learning, gradient), key=lambda each: (each.until_s is None, each.until_s or 0))
    return Waiting(f"{first.what}; also for {second.what}", first.until_s, first.then)
