"""What a miner does about rounds that have ended: report, clear up, withdraw, let go of models."""

from collections.abc import Sequence

from miner.learning.solutions import Workbook
from miner.outcome import outcome_of
from pole.chain.structs import Phase, Round
from pole.money import wei_to_ether
from pole.node.context import RoleContext
from pole.node.pins import Pins
from pole.storage.cid import Cid


class Settlement:
    """`withdraw_over_wei`: credits above it become ether. `unpin_after_s`: how long a winning model stays published."""

    def __init__(
        self, context: RoleContext, workbook: Workbook, withdraw_over_wei: int | None, unpin_after_s: int
    ) -> None:
        self.context, self.workbook = context, workbook
        self._withdraw_over_wei, self._unpin_after_s = withdraw_over_wei, unpin_after_s
        self._pins = Pins(context.journal, context.store, context.log)

    def settle(self, round_ids: Sequence[int]) -> None:
        """Safe to call again with the same rounds; those that are not over after all are left alone."""
        for round_id in round_ids:
            the_round = self.context.ledger.round(round_id)
            if not the_round.phase.is_over:  # a node that lags behind: the model is still needed
                continue
            outcome = outcome_of(self.context.ledger, the_round, self.context.gateway.address)
            self.context.log.info(f"round {round_id}: {outcome}")
            self._plan_unpinning(the_round)
            self.workbook.close(round_id, outcome)
            self._withdraw(round_id)

    def let_go(self) -> None:
        """Unpin models whose time has come."""
        self._pins.let_go(self.context.gateway.block_time())

    def _plan_unpinning(self, the_round: Round) -> None:
        """The model that won stays for its client to collect; nobody needs the others any more."""
        solution = self.workbook.solution(the_round.round_id)
        if solution is None:
            return
        keep_s = self._unpin_after_s if solution.model == self._winning_model(the_round) else 0
        self._pins.let_go_at([solution.model], self.context.gateway.block_time() + keep_s)

    def _winning_model(self, the_round: Round) -> Cid | None:
        if the_round.phase is not Phase.FINALISED:
            return None
        return self.context.ledger.header(the_round.height).model

    def _withdraw(self, round_id: int) -> None:
        address = self.context.gateway.address
        credit_wei = self.context.ledger.credit_wei(address)
        if self._withdraw_over_wei is not None and credit_wei > self._withdraw_over_wei:
            key = f"withdraw/after-round/{round_id}"
            self.context.gateway.transact(self.context.journal, key, "RewardReservoir", "withdraw", address)
            self.context.log.info(f"withdrew {wei_to_ether(credit_wei)} ether")
