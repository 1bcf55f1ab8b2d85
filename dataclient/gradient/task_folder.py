"""What a client wants trained on the gradient chain, and where its progress is kept on disk."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from dataclient.sources.load import SourceOptions
from dataclient.task_file import NAME_PATTERN
from dataclient.task_folder import Record, Submitted
from pole.chain.gradient_structs import GradientTerms, Rules
from pole.errors import BadInput, JournalError
from pole.paths import make_private
from pole.storage.cid import Cid


class GradientOrder(Record):
    """Options of `gradient submit`; None leaves it to `prepare`. `steps_per_block`: of one miner, on average."""

    name: Annotated[str, Field(pattern=NAME_PATTERN)]
    data: SourceOptions
    rules: Literal["paper", "hardened"] = "hardened"
    model: Literal["small", "resnet18"] = "small"
    block_count: int
    block_reward_wei: int
    target_interval_s: int
    block_time_limit_s: int | None = None
    target_test_ppm: int = 0
    batch_size: int = 4
    learning_rate: Annotated[float, Field(gt=0, le=10)] = 0.001
    steps_per_block: int | None = None
    requirement_count: int | None = None
    checkpoint_interval: int | None = None
    segments: Literal["all", "divided", "sampled"] | None = None
    redundancy: int = 2
    devices: Literal["any", "alike"] | None = None
    miners: int = 1
    check_steps: int = 300
    seed: int = 1


class PreparedOrder(Record):
    """All that a submission needs; written last, so that nothing is spent on a half-prepared task."""

    manifest: str
    genesis_weights: str
    block_time_limit_s: int
    min_step: int
    max_step: int
    initial_threshold: int
    steps_per_s: float

    def terms(self, order: GradientOrder) -> GradientTerms:
        return GradientTerms(
            manifest=Cid.parse(self.manifest),
            genesis_weights=Cid.parse(self.genesis_weights),
            rules=Rules.PAPER if order.rules == "paper" else Rules.HARDENED,
            block_reward_wei=order.block_reward_wei,
            block_count=order.block_count,
            target_test_ppm=order.target_test_ppm,
            target_interval_s=order.target_interval_s,
            block_time_limit_s=self.block_time_limit_s,
            min_step=self.min_step,
            max_step=self.max_step,
            initial_threshold=self.initial_threshold,
        )


@dataclass(frozen=True)
class OrderHome:
    """The folder of one commissioned gradient task; nothing in it is secret."""

    folder: Path

    @property
    def name(self) -> str:
        return self.folder.name

    def order(self) -> GradientOrder | None:
        return GradientOrder.read(self.folder / "order.json")

    def keep_order(self, order: GradientOrder) -> None:
        order.write(self.folder / "order.json")

    def prepared(self) -> PreparedOrder | None:
        return PreparedOrder.read(self.folder / "prepared.json")

    def keep_prepared(self, prepared: PreparedOrder) -> None:
        prepared.write(self.folder / "prepared.json")

    def submitted(self) -> Submitted | None:
        return Submitted.read(self.folder / "submitted.json")

    def keep_submitted(self, submitted: Submitted) -> None:
        submitted.write(self.folder / "submitted.json")


def open_order_home(home: Path, order: GradientOrder) -> OrderHome:
    """The folder of this order, created if there is none. Raises BadInput if its name is another order's."""
    opened = OrderHome(_orders_folder(home) / order.name)
    try:
        make_private(opened.folder)
    except OSError as exc:
        raise JournalError(f"cannot create {opened.folder}: {exc.strerror}; choose another --home") from exc
    known = opened.order()
    if known is None:
        opened.keep_order(order)
    elif known != order:
        raise BadInput(
            f"gradient task {order.name!r} was commissioned with other options ({opened.folder / 'order.json'}); "
            "give this one another --name"
        )
    return opened


def all_order_homes(home: Path) -> list[OrderHome]:
    """Every gradient task of this client, by name."""
    folder = _orders_folder(home)
    return [OrderHome(path.parent) for path in sorted(folder.glob("*/order.json"))]


def find_order_home(home: Path, task: str) -> OrderHome:
    """A gradient task by its name or its number on chain. Raises BadInput listing the known ones."""
    homes = all_order_homes(home)
    for candidate in homes:
        submitted = candidate.submitted()
        if candidate.name == task or (submitted is not None and str(submitted.task_id) == task):
            return candidate
    known = ", ".join(candidate.name for candidate in homes) or "none"
    raise BadInput(f"no gradient task {task!r} in {_orders_folder(home)}; known are: {known}")


def _orders_folder(home: Path) -> Path:
    return home / "gradient-tasks"
