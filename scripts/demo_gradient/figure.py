"""The paper's Figure 1 of a chain: accuracy as a line, block intervals as bars. Source: DGG, Figure 1"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pole.chain.gradient_structs import GradientHeader

_PPM_PER_PERCENT = 10_000


@dataclass(frozen=True)
class Chain:
    """The mined blocks of one task, oldest first."""

    blocks: Sequence[GradientHeader]

    @property
    def test_percent(self) -> list[float]:
        return [block.test_ppm / _PPM_PER_PERCENT for block in self.blocks]

    @property
    def intervals_s(self) -> list[int]:
        return [block.interval_s for block in self.blocks]

    @property
    def mean_interval_s(self) -> float:
        return sum(self.intervals_s) / max(1, len(self.blocks))

    @property
    def mean_steps(self) -> float:
        return sum(block.step for block in self.blocks) / max(1, len(self.blocks))


def draw(chain: Chain, title: str, path: Path) -> None:
    """Writes a PNG (or whatever the path's suffix says)."""
    from matplotlib.figure import Figure  # slow to import, and needed at the end only

    numbers = range(1, len(chain.blocks) + 1)
    figure = Figure(figsize=(8, 4.5), dpi=150, layout="constrained")
    accuracy = figure.subplots()
    interval = accuracy.twinx()
    interval.bar(numbers, chain.intervals_s, color="tab:blue", alpha=0.35, label="search time")
    accuracy.plot(numbers, chain.test_percent, color="tab:red", marker="o", markersize=3, label="test accuracy")
    accuracy.set(xlabel="block", ylabel="test accuracy (%)", ylim=(0, 100), title=title)
    interval.set_ylabel("search time (s)")
    accuracy.set_zorder(interval.get_zorder() + 1)
    accuracy.patch.set_visible(False)
    drawn = [axes.get_legend_handles_labels()[0][0] for axes in (accuracy, interval)]
    accuracy.legend(drawn, ["test accuracy", "search time"], loc="lower right")
    figure.savefig(path)
