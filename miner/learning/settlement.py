"""What a miner does after a round has ended: report, delete files, withdraw, unpin models."""

from collections.abc import Sequence

from miner.display import percent
from miner.learning.solutions import Solutions
from pole.chain.contracts import Contracts
from pole.chain.deployment import in_lane
from pole.chain.structs import Phase, Round, VerdictKind
from pole.money import wei_to_ether
from pole.node.context import RoleContext
from pole.node.pins import Pins
from pole.storage.cid import Cid

_FAULTS = {
    VerdictKind.NONE: "not at all",
    VerdictKind.INVALID: "invalid",
    VerdictKind.UNAVAILABLE: "not to be had from the content store",
    VerdictKind.WITHHELD: "without its data, which the client withheld",
    VerdictKind.UNDECIDED: "in ways that the verifiers did not agree on",
}


class Settlement:
    """`withdraw_over_wei`: credits above it become ether. `unpin_after_s`: how long a winning model stays published."""

    def __init__(
        self, context: RoleContext, solutions: Solutions, withdraw_over_wei: int | None, unpin_after_s: int
    ) -> None:
        self.context, self.solutions = context, solutions
        self._withdraw_over_wei, self._unpin_after_s = withdraw_over_wei, unpin_after_s
        self._pins = Pins(context.journal, context.store, context.log)

    def settle(self, round_ids: Sequence[int]) -> None:
        """Safe to call again with the same rounds; those that are not over after all are left alone."""
        for round_id in round_ids:
            the_round = self.context.contracts.learning_chain.round(round_id)
            if not the_round.phase.is_over:  # a node that lags behind: the model is still needed
                continue
            outcome = outcome_of(self.context.contracts, the_round, self.context.address)
            name, spent = self.context.contracts.round_name(round_id), self.context.chain.spending.take()
            self.context.log.info(f"{name}: {outcome}; it cost me {spent}", gas=spent.gas, gas_wei=spent.wei)
            if self.context.contracts.learning_chain.place_of(round_id, self.context.address):
                key = in_lane(f"round/{round_id}", self.context.contracts.lane)
                self.context.notices.tell(key, f"{name}: {outcome}; it cost me {spent}")
            self._plan_unpinning(the_round)
            self.solutions.close(round_id, outcome)
            self._withdraw(round_id)

    def let_go(self) -> None:
        """Unpin models whose time has come."""
        self._pins.let_go(self.context.chain.block_time())

    def _plan_unpinning(self, the_round: Round) -> None:
        """The model that won stays for its client to collect; nobody needs the others any more."""
        solution = self.solutions.solution(the_round)
        if solution is None:
            return
        keep_s = self._unpin_after_s if solution.model == self._winning_model(the_round) else 0
        self._pins.let_go_at([solution.model], self.context.chain.block_time() + keep_s)

    def _winning_model(self, the_round: Round) -> Cid | None:
        if the_round.phase is not Phase.FINALISED:
            return None
        return self.context.contracts.block_ledger.header(the_round.height).model

    def _withdraw(self, round_id: int) -> None:
        address = self.context.address
        credit_wei = self.context.contracts.reward_reservoir.credit_wei(address)
        if self._withdraw_over_wei is not None and credit_wei > self._withdraw_over_wei:
            key = in_lane(f"withdraw/after-round/{round_id}", self.context.contracts.lane)
            self.context.contracts.reward_reservoir.withdraw(address, key=key)
            self.context.log.info(f"withdrew {wei_to_ether(credit_wei)} ether")


def outcome_of(contracts: Contracts, the_round: Round, miner: str) -> str:
    """One sentence about an ended round, from the chain alone."""
    place = contracts.learning_chain.place_of(the_round.round_id, miner)
    if the_round.phase is not Phase.FINALISED:
        reason = the_round.abort_reason.name.lower().replace("_", " ")
        return f"ended without a block: {reason}{_own_verdict(contracts, the_round, miner) if place else ''}"
    header = contracts.block_ledger.header(the_round.height)
    block = f"block {the_round.height} ({percent(header.train_ppm)} train, {percent(header.test_ppm)} test accuracy)"
    if header.winner == miner:
        reward_wei = 0 if the_round.is_idle else contracts.task_market.task(the_round.task_id).reward_wei
        tokens = wei_to_ether(contracts.block_ledger.parameters().winner_reward)  # it has ether's 18 decimals
        return f"I won {block}, {wei_to_ether(reward_wei)} ether and {tokens} LEARN"
    if not place:
        return f"{block} went to {header.winner}; I had not committed"
    for ommer in contracts.block_ledger.ommers(the_round.height):
        if ommer.miner == miner:
            return f"{block} went to {header.winner}; mine is an ommer with {percent(ommer.test_ppm)} test accuracy"
    return f"{block} went to {header.winner}{_own_verdict(contracts, the_round, miner)}"


def _own_verdict(contracts: Contracts, the_round: Round, miner: str) -> str:
    """Why a miner with a place in an ended round did not win it."""
    chain = contracts.learning_chain
    entries = [each.miner for each in chain.entries(the_round.round_id)]
    if miner not in entries:
        return "; I did not reveal and lost my bond"
    verdicts = contracts.verifier_committee.repeated_outcome(the_round.first_ballot_id, the_round.ballot_id)
    if not verdicts:
        return "; my model was not judged"
    found = verdicts[entries.index(miner)]
    if not found.is_valid:
        return f"; my model was judged {_FAULTS[found.train]}"
    test = f" and {percent(found.test_ppm)} test" if found.test is VerdictKind.SCORED else ""
    return f"; I lost, with {percent(found.train_ppm)} train{test} accuracy"
