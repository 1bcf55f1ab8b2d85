"""What a miner does once a height is decided: report how it ended, withdraw, unpin what it published for it."""

from typing import Any

from miner.display import percent
from pole.chain.gradient_structs import GradientHeader, Height, HeightPhase
from pole.gradient.proof import Published
from pole.money import wei_to_ether
from pole.node.context import RoleContext
from pole.node.figures import HEIGHTS
from pole.node.notify.notices import GATHER_S
from pole.node.pins import Pins
from pole.storage.cid import Cid

KEEP_LOST_S = 3600
"""A reorganisation may put a proposal to the vote once more."""

_PUBLISHED = "gradient/published"


class Settlement:
    """`withdraw_over_wei`: credits above it become ether. `unpin_after_s`: how long an own block stays published.

    What was proposed is in the journal, by height, until its files are planned to be unpinned.
    """

    def __init__(self, context: RoleContext, withdraw_over_wei: int | None, unpin_after_s: int) -> None:
        self._context, self._gradient_chain = context, context.contracts.gradient_chain
        self._withdraw_over_wei, self._unpin_after_s = withdraw_over_wei, unpin_after_s
        self._pins = Pins(context.journal, context.store, context.log)

    def keep(self, current: Height, published: Published) -> None:
        """Remembers what is published for a proposal, before it is sent."""
        known = self._published()
        mine = known.setdefault(str(current.height), {"task_id": current.task_id, "files": []})
        mine["files"] = sorted({*mine["files"], *map(str, published.files)})
        mine["is_refused"] = False
        self._remember(known)

    def note_refused(self, height: int) -> None:
        """The chain took no proposal: its files go all the same, but no bond depends on it."""
        known = self._published()
        known[str(height)]["is_refused"] = True
        self._remember(known)

    def has_proposed(self, height: int) -> bool:
        """Whether a bond of ours depends on how the height ends."""
        mine = self._published().get(str(height))
        return mine is not None and not mine.get("is_refused")

    def settle(self, current: Height, followed: Height | None, steps: int) -> int:
        """Everything for heights that were decided; returns how many of them are blocks, each counted once.

        `followed`: the height that was worked on at the last look, with so many `steps`.
        """
        known, newest, is_idle = self._published(), max(0, current.height - 1), current.phase is HeightPhase.IDLE
        ended = {int(number): mine["task_id"] for number, mine in known.items() if not mine.get("is_reported")}
        if followed is not None:
            ended[followed.height] = followed.task_id
        blocks = 0
        for height in sorted(ended):
            if height <= newest or is_idle:
                did = steps if followed is not None and followed.height == height else 0
                blocks += self._report(height, newest, ended[height], self.has_proposed(height), did)
                self._note_reported(str(height))
        self._plan_unpinning(newest, is_idle)
        self._pins.let_go(self._context.chain.block_time())
        return blocks

    def _report(self, height: int, newest: int, task_id: int, has_proposed: bool, steps: int) -> bool:
        """Whether it ended with a block."""
        address, spent = self._context.address, self._context.chain.spending.take()
        header = self._gradient_chain.header(height) if height <= newest else None
        if header is None or header.is_opening:
            reason = self._gradient_chain.task(task_id).stop_reason.name.lower().replace("_", " ")
            outcome, said = "none", f"ended without a block: {reason}"
        elif header.miner == address:
            reward_wei = self._gradient_chain.task(task_id).terms.block_reward_wei
            outcome, said = "won", f"I won {_described(header)} and {wei_to_ether(reward_wei)} ether"
        else:
            outcome, said = "lost", f"{_described(header)} went to {header.miner}"
            said += "; I proposed one too and lost" if has_proposed else "; I had proposed none"
        HEIGHTS.labels(outcome).inc()
        if outcome == "won" or has_proposed:  # blocks follow each other in seconds: they may be told together
            self._context.notices.tell(f"height/{height}", f"gradient height {height}: {said}", wait_s=GATHER_S)
        said = f"height {height}: {said}; I did {steps} steps; it cost me {spent}"
        self._context.log.info(said, gas=spent.gas, gas_wei=spent.wei)
        self._withdraw(height)
        return header is not None and not header.is_opening

    def _withdraw(self, height: int) -> None:
        limit_wei, reservoir = self._withdraw_over_wei, self._context.contracts.reward_reservoir
        if limit_wei is None:
            return
        credit_wei = reservoir.credit_wei(self._context.address)
        if credit_wei > limit_wei:
            reservoir.withdraw(self._context.address, key=f"withdraw/after-height/{height}")
            self._context.log.info(f"withdrew {wei_to_ether(credit_wei)} ether")

    def _plan_unpinning(self, newest: int, is_idle: bool) -> None:
        """All miners train on from the newest block: its files stay for as long as that lasts, and the time after."""
        known, now_s = self._published(), self._context.chain.block_time()
        for number in [number for number in known if int(number) <= newest or is_idle]:
            height = int(number)
            is_mine = height <= newest and self._gradient_chain.header(height).miner == self._context.address
            if is_mine and height == newest and not is_idle:
                continue
            keep_s = self._unpin_after_s if is_mine else KEEP_LOST_S
            self._pins.let_go_at([Cid.parse(text) for text in known[number]["files"]], now_s + keep_s)
            del known[number]
            self._remember(known)

    def _note_reported(self, number: str) -> None:
        known = self._published()
        if number in known:
            known[number]["is_reported"] = True
            self._remember(known)

    def _published(self) -> dict[str, dict[str, Any]]:
        return dict(self._context.journal.recall(_PUBLISHED) or {})

    def _remember(self, published: dict[str, dict[str, Any]]) -> None:
        self._context.journal.remember(_PUBLISHED, published)


def _described(header: GradientHeader) -> str:
    accuracies = f"{percent(header.train_ppm)} train, {percent(header.test_ppm)} test accuracy"
    return f"block {header.height} ({accuracies}, step {header.step} after {header.interval_s} s)"
