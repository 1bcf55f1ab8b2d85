"""`python -m benchmarks.explorer.reorgs`: real roles on a chain that is reorganised at random, then the audit.

Transactions of blocks that are taken back mostly return in other blocks, sometimes they are lost for good. Meanwhile
the explorer, a process of its own, follows, and somebody looks at its pages.
"""

import json
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import requests
from web3.types import RPCEndpoint

from benchmarks.load.arena import Arena, arena
from benchmarks.soak.cast import COMMANDS
from pole.atomicfile import write_atomically
from pole.errors import PoleError, TransientChainError
from pole.node import logs
from pole.node.exit import exit_code
from testbed.chain import free_port
from testbed.explorer import ExplorerProcess
from testbed.processes import Actor

DEEPEST = 30
_ROLES = ("dataclient", "miner", "verifier", "verifier")
_LONGEST_PAUSE_S, _BLOCK_S = 2.5, 1
_QUIET_SHARE, _QUIET_S = 0.08, 12.0
"""Now and then the chain stands for a while, or no round would ever end."""
_WHOLE, _LOSES_SOME = 0.75, 0.95
"""Shares of reorganisations after which all transactions are back, and after which all or some of them are."""
_PAGES = ("", "now", "tasks", "rounds", "blocks", "verifiers", "gradient", "statistics", "round/1", "task/1")
_START_S, _CATCH_UP_S = 120.0, 300.0


class Disagreed(PoleError):
    """The index is not what the chain says, or a page failed."""


@dataclass
class Campaign:
    """What was done so far."""

    arena: Arena
    random: random.Random
    cast: list[Actor]
    page: ExplorerProcess
    depths: list[int] = field(default_factory=list)
    moved: int = 0
    lost: int = 0
    restarts: int = 0
    answers: Counter[int] = field(default_factory=Counter)

    def rpc(self, method: str, *parameters: Any) -> Any:
        reply = self.arena.chain.web3.provider.make_request(RPCEndpoint(method), list(parameters))
        if "error" in reply:
            raise TransientChainError(f"{method}: {reply['error']}")
        return reply["result"]

    def start(self, actor: Actor) -> None:
        command = [actor.role, *COMMANDS[actor.role], "--poll-interval", "0.5"]
        self.arena.stage.start(command + (["--seed", "1"] if actor.role == "miner" else []), actor)

    def revive(self) -> None:
        """A role may end for good over a chain that forgets; somebody starts it again."""
        for actor in self.cast:
            if self.arena.stage.processes[actor.name].poll() is not None:
                self.restarts += 1
                self.start(actor)

    def reorganise(self, lowest: int) -> None:
        """Takes back so many blocks at random, never one below `lowest`."""
        self.rpc("evm_setIntervalMining", 0)  # anvil takes blocks back one by one, and others must not come between
        try:
            self._take_back(lowest)
        finally:
            self.rpc("evm_setIntervalMining", _BLOCK_S)

    def _take_back(self, lowest: int) -> None:
        head = int(self.rpc("eth_blockNumber"), 16)
        depth = min(self.random.randint(1, DEEPEST), head - lowest)
        if depth < 1:
            return
        waiting = self._transactions(head - depth + 1, head)
        back = self._back(waiting, depth)
        try:
            self.rpc("anvil_reorg", depth, back)
        except TransientChainError as exc:  # a transaction does not fit where it is to go: without them
            click.echo(f"{depth} blocks without their transactions: {exc}", err=True)
            back = []
            self.rpc("anvil_reorg", depth, back)
        self.depths.append(depth)
        self.moved += len(back)
        self.lost += len(waiting) - len(back)

    def _transactions(self, first: int, last: int) -> list[tuple[str, int]]:
        """Signed bytes, and how far from the first of these blocks."""
        found = []
        for number in range(first, last + 1):
            block = self.rpc("eth_getBlockByNumber", hex(number), False)
            found += [(self.rpc("eth_getRawTransactionByHash", each), number - first) for each in block["transactions"]]
        return found

    def _back(self, waiting: Sequence[tuple[str, int]], depth: int) -> list[list[Any]]:
        """In their order, each as early as before or later; of some reorganisations the last ones are lost."""
        chance = self.random.random()
        kept = len(waiting)
        if chance > _WHOLE:
            kept = self.random.randint(0, kept) if chance < _LOSES_SOME else 0
        delay, placed = 0, []
        for raw, offset in waiting[:kept]:
            delay += self.random.random() < 0.2
            placed.append([raw, min(depth - 1, offset + delay)])
        return placed

    def look(self) -> None:
        """At a page: whatever happens to the chain, it is there, or it says that there is no such thing yet."""
        site = next(iter(self._sites()), None)
        path = self.random.choice(_PAGES)
        address = f"{self.page.address}{site}/{path}" if site and path else self.page.address
        self.answers[requests.get(address, timeout=60).status_code] += 1

    def _sites(self) -> list[str]:
        found = requests.get(f"{self.page.address}api/deployments", timeout=60).json()
        return [each["name"] for each in found]

    def commission(self, stop: threading.Event) -> None:
        """A task whenever there is none left; one that the chain forgot is no loss."""
        number = 0
        while not stop.wait(1):
            try:
                if self.arena.contracts.task_market.pending_count() == 0:
                    number += 1
                    self.arena.commission(self.cast[0], 1, f"task-{number}", 1)
            except (PoleError, requests.RequestException):
                continue


@click.command()
@click.option("--reorgs", type=click.IntRange(1), default=1_000, show_default=True)
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True)
@click.option("--json", "out", type=click.Path(dir_okay=False, path_type=Path), help="Also write the figures here.")
@click.option("--keep", is_flag=True, help="Keep logs, keys and the index afterwards, and say where.")
def cli(reorgs: int, seed: int, out: Path | None, keep: bool) -> None:
    """Reorganisations of depth 1 to 30 while a client, a miner and two verifiers act; fails if the audit disagrees."""
    folder = Path(tempfile.mkdtemp(prefix="pole-reorgs-"))
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    logs.configure(False, "error")
    try:
        figures = campaign(folder, reorgs, seed)
    finally:
        if keep:
            click.echo(f"logs, keys and index: {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    click.echo(json.dumps(figures, indent=1))
    if out is not None:
        write_atomically(out, json.dumps(figures).encode())
    if not figures["audit"].endswith(": 0 disagreements") or figures["answers"].keys() - {"200", "404"}:
        raise Disagreed("the audit disagrees or a page failed; see above")


def campaign(folder: Path, reorgs: int, seed: int) -> dict[str, Any]:
    """All of it; what it came to."""
    with arena(folder, len(_ROLES)) as built:
        cast = [built.cast(role, f"{role}-{number}") for number, role in enumerate(_ROLES, start=1)]
        run = Campaign(built, random.Random(seed), cast, ExplorerProcess(built.stage, free_port()))  # noqa: S311
        try:
            return _run(run, reorgs)
        finally:
            run.page.stop()


def _run(run: Campaign, reorgs: int) -> dict[str, Any]:
    lowest, started_s = int(run.rpc("eth_blockNumber"), 16), time.monotonic()
    run.rpc("anvil_setBlockTimestampInterval", _BLOCK_S)  # or blocks that come back would all have one time
    run.page.start()
    for actor in run.cast:
        run.start(actor)
    run.arena.until("the explorer's page", lambda: _is_up(run), _START_S)
    stop = threading.Event()
    client = threading.Thread(target=run.commission, args=(stop,))
    client.start()
    try:
        while len(run.depths) < reorgs:
            is_quiet = run.random.random() < _QUIET_SHARE
            time.sleep(_QUIET_S if is_quiet else run.random.uniform(0, _LONGEST_PAUSE_S))
            run.reorganise(lowest)
            run.revive()
            run.look()
            if len(run.depths) % 50 == 0:
                click.echo(f"{time.monotonic() - started_s:6.0f} s  {len(run.depths)} of {reorgs}", err=True)
    finally:
        stop.set()
        client.join()
    run.arena.stage.stop()
    run.arena.until("the index to catch up", lambda: _measured(run)["indexed"] >= lowest + 1, _CATCH_UP_S)
    seen = _measured(run)
    run.page.stop()
    return {
        "reorgs": len(run.depths),
        "mean_depth": round(sum(run.depths) / len(run.depths), 1),
        "deepest": max(run.depths),
        "transactions_moved": run.moved,
        "transactions_lost": run.lost,
        "roles_restarted": run.restarts,
        "rounds": run.arena.contracts.learning_chain.round_count(),
        "height": run.arena.contracts.block_ledger.height(),
        "steps_back_of_the_index": int(seen["reorganised_total"]),
        "answers": {str(status): count for status, count in run.answers.items()},
        "wall_s": round(time.monotonic() - started_s),
        "audit": audited(run.page),
    }


def _is_up(run: Campaign) -> bool:
    try:
        return bool(run.arena.contracts.verifier_committee.seated()) and bool(run._sites())
    except requests.RequestException:
        return False


def _measured(run: Campaign) -> dict[str, float]:
    """The explorer's own figures."""
    lines = requests.get(f"{run.page.address}metrics", timeout=60).text.splitlines()
    said = [line.removeprefix("pole_explorer_").split(" ") for line in lines if line.startswith("pole_explorer_")]
    return {name.partition("{")[0]: float(value) for name, value in said}


def audited(page: ExplorerProcess) -> str:
    """What `pole explorer audit` says of the index that is left."""
    command = [sys.executable, "-m", "explorer", *page.options, "audit"]
    done = subprocess.run(command, env=page.built.environment(), capture_output=True, text=True, check=False)
    lines = (done.stdout or done.stderr).strip().splitlines()
    return "\n".join(lines[-51:])


if __name__ == "__main__":
    sys.exit(exit_code(cli))
