"""What the demo shows while it runs: the round, what every process waits for, the newest blocks."""

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from pole.chain.client import ChainClient
from pole.chain.contracts import Contracts
from pole.chain.structs import Header, Phase, Round
from pole.node.loop import STATUS_FILE
from pole.node.terminal import Fitted
from testbed.processes import Actor, Stage

_BLOCKS_SHOWN, _PIPED_WIDTH = 4, 160


_NARROW = 80


def demo_console(width: int | None = None, *, is_recorded: bool = False) -> Console:
    """In a file or a pipe there is room for every table, and there are no control codes."""
    if sys.stdout.isatty() or width is not None:
        return Console(record=is_recorded, width=width)
    return Console(record=is_recorded, width=_PIPED_WIDTH, force_terminal=False, no_color=True)


def process_table(console: Console) -> Table:
    """A line for each process, whatever it says: what does not fit ends in an ellipsis."""
    columns = ("process", "waits for", "then") if console.width >= _NARROW else ("process", "waits for")
    return Table(*columns, title="processes", title_justify="left", expand=True)


def one_line(text: str) -> Text:
    return Text(text, no_wrap=True, overflow="ellipsis")


def blocks_shown(console: Console) -> int:
    """Of the newest: on a narrow terminal each takes several lines."""
    return _BLOCKS_SHOWN if console.width >= _NARROW else 1


def ppm_as_percent(ppm: int) -> str:
    return f"{ppm / 10_000:.2f} %"


class View:
    """Draws the state of chain and processes; on something that is no terminal it prints a line per change."""

    def __init__(self, console: Console, stage: Stage, chain_client: ChainClient, actors: Sequence[Actor]) -> None:
        self._console = console
        self._stage = stage
        self._client = chain_client
        self._contracts = Contracts.of(chain_client)
        self._actors = actors
        self._names = {actor.address: actor.name for actor in actors}
        self._said: dict[int, str] = {}

    def follow(self, is_done: Callable[[], bool], pause: Callable[[float], Any]) -> None:
        """Refresh about twice a second until `is_done`."""
        if not self._console.is_terminal:
            while not is_done():
                self._say_change()
                pause(0.5)
            self._say_change()
            return
        with Live(self._draw(), console=self._console, refresh_per_second=4, transient=True) as live:
            while not is_done():
                live.update(self._draw())
                pause(0.5)

    def _say_change(self) -> None:
        for lane, line in enumerate(self._headlines()):
            if line != self._said.get(lane):
                self._said[lane] = line
                self._console.print(line, highlight=False, soft_wrap=True)

    def _draw(self) -> Group:
        return Group(
            Panel(Text("\n".join(self._headlines())), title="chain", title_align="left"),
            self._processes(),
            Fitted(self._blocks()),
        )

    def _headlines(self) -> list[str]:
        """One for each lane."""
        return [self._headline(lane, lane.learning_chain.latest_round()) for lane in self._contracts.lanes]

    def _headline(self, lane: Contracts, latest: Round | None) -> str:
        where = f"lane {lane.lane + 1}, " if len(self._contracts.lanes) > 1 else ""
        height = lane.block_ledger.height()
        if latest is None:
            pending = self._contracts.task_market.pending_count()
            return f"{where}height {height}, no round yet, {pending} task(s) pending"
        task = "idle task" if latest.is_idle else f"task {latest.task_id}"
        line = f"{where}height {height}, round {latest.round_id} ({task}): {latest.phase.name.lower()}"
        if latest.phase is Phase.ABORTED:
            return f"{line}, {latest.abort_reason.name.lower()}"
        return f"{line}, {latest.submission_count} committed, {latest.revealed_count} revealed"

    def _processes(self) -> Table:
        table = process_table(self._console)
        now_s = self._client.block_time()
        for actor in self._actors:
            status = read_status(actor.home)
            until_s = status.get("until_s")
            left = f" ({until_s - now_s} s)" if until_s is not None else ""
            what = f"{status.get('what') or status.get('state') or 'starting'}{left}"
            state = "bold red" if actor.name in self._stage.failed() else ""
            cells = [one_line(actor.name), one_line(what), one_line(status.get("then") or "")]
            table.add_row(*cells[: len(table.columns)], style=state)
        return table

    def _blocks(self) -> Table:
        columns = ("lane", "height", "task", "winner", "train", "test")
        table = Table(*columns, title="newest blocks", title_justify="left")
        newest = [
            (lane, header)
            for lane in self._contracts.lanes
            for header in _newest_headers(lane, lane.block_ledger.height())
        ]
        newest.sort(key=lambda each: each[1].timestamp, reverse=True)
        for lane, header in newest[: blocks_shown(self._console)]:
            winner = self._names.get(header.winner, header.winner)
            accuracies = (ppm_as_percent(header.train_ppm), ppm_as_percent(header.test_ppm))
            table.add_row(str(lane.lane + 1), str(header.height), str(header.task_id), winner, *accuracies)
        return table


def _newest_headers(lane: Contracts, height: int) -> list[Header]:
    return [lane.block_ledger.header(number) for number in range(height, max(0, height - _BLOCKS_SHOWN), -1)]


def read_status(home: Path) -> dict[str, Any]:
    """What a role last said of itself; empty before it said anything."""
    try:
        status: dict[str, Any] = json.loads((home / STATUS_FILE).read_text())
    except (OSError, json.JSONDecodeError):
        return {}
    return status
