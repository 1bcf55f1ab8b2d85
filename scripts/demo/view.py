"""What the demo shows while it runs: the round, what every process waits for, the newest blocks."""

import json
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
from pole.chain.structs import Phase, Round
from pole.node.loop import STATUS_FILE
from testbed.processes import Actor, Stage

_BLOCKS_SHOWN = 4


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
        self._said = ""

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
        line = self._headline(self._contracts.learning_chain.latest_round())
        if line != self._said:
            self._said = line
            self._console.print(line, highlight=False)

    def _draw(self) -> Group:
        latest = self._contracts.learning_chain.latest_round()
        return Group(
            Panel(Text(self._headline(latest)), title="chain", title_align="left"),
            self._processes(),
            self._blocks(),
        )

    def _headline(self, latest: Round | None) -> str:
        height = self._contracts.block_ledger.height()
        if latest is None:
            return f"height {height}, no round yet, {self._contracts.task_market.pending_count()} task(s) pending"
        task = "idle task" if latest.is_idle else f"task {latest.task_id}"
        line = f"height {height}, round {latest.round_id} ({task}): {latest.phase.name.lower()}"
        if latest.phase is Phase.ABORTED:
            return f"{line}, {latest.abort_reason.name.lower()}"
        return f"{line}, {latest.submission_count} committed, {latest.revealed_count} revealed"

    def _processes(self) -> Table:
        table = Table("process", "waits for", "then", title="processes", title_justify="left", expand=True)
        now_s = self._client.block_time()
        for actor in self._actors:
            status = read_status(actor.home)
            until_s = status.get("until_s")
            left = f" ({until_s - now_s} s)" if until_s is not None else ""
            what = f"{status.get('what') or status.get('state') or 'starting'}{left}"
            state = "bold red" if actor.name in self._stage.failed() else ""
            table.add_row(
                actor.name, Text(what, overflow="ellipsis", no_wrap=True), status.get("then") or "", style=state
            )
        return table

    def _blocks(self) -> Table:
        table = Table("height", "task", "winner", "train", "test", title="newest blocks", title_justify="left")
        height = self._contracts.block_ledger.height()
        for number in range(height, max(0, height - _BLOCKS_SHOWN), -1):
            header = self._contracts.block_ledger.header(number)
            winner = self._names.get(header.winner, header.winner)
            accuracies = (ppm_as_percent(header.train_ppm), ppm_as_percent(header.test_ppm))
            table.add_row(str(number), str(header.task_id), winner, *accuracies)
        return table


def read_status(home: Path) -> dict[str, Any]:
    """What a role last said of itself; empty before it said anything."""
    try:
        status: dict[str, Any] = json.loads((home / STATUS_FILE).read_text())
    except (OSError, json.JSONDecodeError):
        return {}
    return status
