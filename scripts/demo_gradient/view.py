"""What the demo shows while it runs: the height, what every process waits for, accuracy and interval so far."""

from collections.abc import Callable, Sequence
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from pole.chain.client import ChainClient
from pole.chain.contracts import GradientChain
from pole.chain.gradient_structs import GradientHeader, HeightPhase
from pole.node.terminal import Fitted
from scripts.demo.view import blocks_shown, one_line, ppm_as_percent, process_table, read_status
from scripts.demo_gradient.figure import Chain
from testbed.processes import Actor, Stage

_BARS = " ▁▂▃▄▅▆▇█"


class View:
    """Draws the state of chain and processes; on something that is no terminal it prints a line per block."""

    def __init__(
        self, console: Console, stage: Stage, chain_client: ChainClient, actors: Sequence[Actor], wanted: int
    ) -> None:
        self._console, self._stage, self._client, self._actors = console, stage, chain_client, actors
        self._gradient_chain, self._wanted = GradientChain(chain_client), wanted
        self._names = {actor.address: actor.name for actor in actors}
        self._headers: list[GradientHeader] = []

    @property
    def chain(self) -> Chain:
        """The blocks so far."""
        return Chain([header for header in self._headers if not header.is_opening])

    def follow(self, is_done: Callable[[], bool], pause: Callable[[float], Any]) -> None:
        """Refresh about twice a second until `is_done`."""
        if not self._console.is_terminal:
            while not is_done():
                self._say_new_blocks()
                pause(0.5)
            self._say_new_blocks()
            return
        with Live(self._draw(), console=self._console, refresh_per_second=4, transient=True) as live:
            while not is_done():
                live.update(self._draw())
                pause(0.5)
        self._read()

    def _read(self) -> list[GradientHeader]:
        """Headers that are new."""
        known = len(self._headers)
        self._headers += [
            self._gradient_chain.header(height) for height in range(known + 1, self._gradient_chain.height() + 1)
        ]
        return self._headers[known:]

    def _say_new_blocks(self) -> None:
        for header in self._read():
            if not header.is_opening:
                self._console.print(self._sentence(header), highlight=False, soft_wrap=True)

    def _sentence(self, header: GradientHeader) -> str:
        who = self._names.get(header.miner, header.miner)
        return (
            f"block {header.height - 1} of {self._wanted}: {who}, step {header.step}, searched {header.interval_s} s, "
            f"test accuracy {ppm_as_percent(header.test_ppm)}"
        )

    def _draw(self) -> Group:
        self._read()
        chain = self.chain
        return Group(
            Panel(Text(self._headline(chain)), title="chain", title_align="left"),
            Panel(
                Text(
                    f"accuracy  {_bars(chain.test_percent, 100)}\ninterval  "
                    f"{_bars(chain.intervals_s, max(chain.intervals_s, default=1))}"
                )
            ),
            self._processes(),
            Fitted(self._blocks(chain)),
        )

    def _headline(self, chain: Chain) -> str:
        current = self._gradient_chain.current()
        if current.phase is HeightPhase.IDLE:
            return f"{len(chain.blocks)} of {self._wanted} blocks; no task is active"
        line = f"{len(chain.blocks)} of {self._wanted} blocks; height {current.height}: {current.phase.name.lower()}"
        if not chain.blocks:
            return line
        return f"{line}; test accuracy {chain.test_percent[-1]:.2f} %, mean interval {chain.mean_interval_s:.1f} s"

    def _processes(self) -> Table:
        table = process_table(self._console)
        for actor in self._actors:
            status = read_status(actor.home)
            what = str(status.get("what") or status.get("state") or "starting")
            state = "bold red" if actor.name in self._stage.failed() else ""
            cells = [one_line(actor.name), one_line(what), one_line(str(status.get("then") or ""))]
            table.add_row(*cells[: len(table.columns)], style=state)
        return table

    def _blocks(self, chain: Chain) -> Table:
        table = Table(
            "block", "miner", "step", "searched", "train", "test", title="newest blocks", title_justify="left"
        )
        for header in list(reversed(chain.blocks))[: blocks_shown(self._console)]:
            accuracies = (ppm_as_percent(header.train_ppm), ppm_as_percent(header.test_ppm))
            who = self._names.get(header.miner, header.miner)
            table.add_row(str(header.height - 1), who, str(header.step), f"{header.interval_s} s", *accuracies)
        return table


def _bars(values: Sequence[float], highest: float) -> str:
    """One character per value."""
    return "".join(_BARS[min(len(_BARS) - 1, round(value / max(highest, 1) * (len(_BARS) - 1)))] for value in values)
