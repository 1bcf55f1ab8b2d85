"""`python -m benchmarks.load`: as many miners and verifiers as asked for, in their own loops, on one anvil."""

import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click

from benchmarks.load import books
from benchmarks.load.arena import STAKE_ETHER, Arena, NotInTime, arena
from benchmarks.load.crew import Member, Plan
from pole.atomicfile import write_atomically
from pole.errors import PoleError
from pole.node import logs
from pole.node.exit import exit_code
from testbed.markdown import markdown_table
from testbed.processes import ROOT, Actor

_CLIENT_NUMBER = 1
_START_S, _ROUND_S = 600.0, 1800.0
ROLES = ("dataclient", "miner", "verifier")


class LoadFailed(PoleError):
    """A count that must be 0 is not."""


@dataclass(frozen=True)
class Size:
    """`poll_s`: between two passes of a role; `processes`: that the miners, and the verifiers, are spread over."""

    miners: int
    verifiers: int
    rounds: int
    poll_s: float
    processes: int
    seed: int = 1
    lanes: int = 1


@click.command()
@click.option("--miners", type=click.IntRange(1, 64), default=64, show_default=True)
@click.option("--verifiers", type=click.IntRange(1, 21), default=21, show_default=True)
@click.option("--rounds", type=click.IntRange(1), default=20, show_default=True)
@click.option("--lanes", type=click.IntRange(1, 16), default=1, show_default=True)
@click.option("--poll-interval", type=click.FloatRange(0.1, 30), default=2.0, show_default=True, help="Seconds.")
@click.option("--processes", type=click.IntRange(1, 32), default=2, show_default=True, help="For each of both roles.")
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="Of the miners' models.")
@click.option("--json", "out", type=click.Path(dir_okay=False, path_type=Path), help="Also write all figures here.")
@click.option("--keep", is_flag=True, help="Keep logs, keys and journals afterwards, and say where.")
def cli(
    miners: int,
    verifiers: int,
    rounds: int,
    poll_interval: float,
    lanes: int,
    processes: int,
    seed: int,
    out: Path | None,
    keep: bool,
) -> None:
    """Load one chain with real role loops and a stand-in for training; fails if a deadline, nonce or vote is lost."""
    size = Size(miners, verifiers, rounds, poll_interval, processes, seed, lanes)
    folder = Path(tempfile.mkdtemp(prefix="pole-load-"))
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    logs.configure(False, "warning")
    try:
        figures = measure(folder, size)
    except NotInTime:
        keep = True
        raise
    finally:
        if keep:
            click.echo(f"logs, keys and journals: {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    click.echo(tables(figures))
    if out is not None:
        write_atomically(out, json.dumps(figures, indent=1).encode())
    if any(figures["faults"].values()) or figures["failures"]:
        raise LoadFailed(f"these must be 0: {figures['faults']}; roles that ended: {figures['failures']}")


def measure(folder: Path, size: Size) -> dict[str, Any]:
    """One run; what it came to."""
    with arena(folder, 1 + size.miners + size.verifiers, size.lanes) as built:
        crews = gather(built, size)
        built.is_interrupted = crews.trouble
        before, started_s = crews.totals(), time.monotonic()
        for number in range(1, size.rounds + 1):
            built.commission(crews.client, _CLIENT_NUMBER, f"task-{number}", size.miners)
        for number in range(1, size.rounds + 1):
            built.until(f"round {number} to end", lambda number=number: built.ended(number), _ROUND_S)  # type: ignore[misc]
            click.echo(f"{time.monotonic() - started_s:6.0f} s  {number} of {size.rounds} rounds", err=True)
        wall_s, after = time.monotonic() - started_s, crews.totals()
        homes = [actor.home for actor in crews.actors]
        found = books.faults(built, size.miners, homes)
        return {
            "size": asdict(size),
            "wall_s": round(wall_s, 1),
            "faults": asdict(found),
            "failures": crews.failures(),
            "mined_in_vain": books.mined_in_vain(homes),
            "phase_s": books.phase_seconds(built),
            "roles": {role: _used(before[role], after[role]) for role in ROLES},
        }


@dataclass
class Crews:
    """The processes, and what they report."""

    arena: Arena
    client: Actor
    actors: list[Actor]
    reports: list[Path]

    def read(self) -> list[dict[str, Any]]:
        return [json.loads(path.read_bytes()) for path in self.reports if path.exists()]

    def failures(self) -> list[str]:
        return [failure for report in self.read() for failure in report["failures"]]

    def trouble(self) -> str:
        """Why there is no point in waiting longer; empty as long as there is."""
        return "; ".join([*(f"process {name} ended" for name in self.arena.stage.failed()), *self.failures()])

    def are_ready(self) -> bool:
        reports = self.read()
        return len(reports) == len(self.reports) and all(each["ready"] == each["members"] for each in reports)

    def totals(self) -> dict[str, dict[str, Any]]:
        """Members, passes, transactions, calls and errors by role."""
        found: dict[str, dict[str, Any]] = {}
        for report in self.read():
            sums = found.setdefault(report["role"], {"calls": Counter(), "errors": Counter()})
            for name in ("members", "passes", "transactions"):
                sums[name] = sums.get(name, 0) + report[name]
            sums["calls"].update(report["calls"])
            sums["errors"].update(report["errors"])
        return found


def gather(built: Arena, size: Size) -> Crews:
    """Starts everybody, and waits until the verifiers have their seats."""
    client = built.cast("dataclient", "client")
    miners = [built.cast("miner", f"miner-{i}") for i in range(1, size.miners + 1)]
    verifiers = [built.cast("verifier", f"verifier-{i}") for i in range(1, size.verifiers + 1)]
    actors = [client, *miners, *verifiers]
    numbers = {actor.name: number for number, actor in enumerate(actors, start=_CLIENT_NUMBER)}
    crews = Crews(built, client, actors, [])
    for name, group in (
        ("clients", [client]),
        *((f"miners-{i}", miners[i :: size.processes]) for i in range(min(size.processes, len(miners)))),
        *((f"verifiers-{i}", verifiers[i :: size.processes]) for i in range(min(size.processes, len(verifiers)))),
    ):
        crews.reports.append(_start(built, name, group, numbers, size))
    built.is_interrupted = crews.trouble
    built.until("everybody to be ready", crews.are_ready, _START_S)
    built.until(
        "the verifiers' seats", lambda: len(built.contracts.verifier_committee.seated()) == size.verifiers, _START_S
    )
    return crews


def _start(built: Arena, name: str, group: Sequence[Actor], numbers: dict[str, int], size: Size) -> Path:
    """Start one process for some actors of a role; returns where it reports."""
    stage, role = built.stage, group[0].role
    plan = Plan(
        role=role,
        rpc=stage.chain.rpc_url,
        deployment=stage.deployment,
        store=stage.store(role),
        poll_s=size.poll_s,
        seed=size.seed,
        stake_ether=str(STAKE_ETHER),
        report=built.folder / f"{name}.report.json",
        members=[
            Member(name=actor.name, number=numbers[actor.name], home=actor.home, keyfile=actor.keyfile)
            for actor in group
        ],
    )
    file = built.folder / f"{name}.plan.json"
    file.write_text(plan.model_dump_json())
    with (built.folder / f"{name}.log").open("ab") as log:
        stage.processes[name] = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.load.crew", str(file)],
            cwd=ROOT,
            env=stage.environment(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    return plan.report


def _used(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """What a role used between two reports."""
    calls, errors = after["calls"] - before["calls"], after["errors"] - before["errors"]
    return {
        "members": after["members"],
        "passes": after["passes"] - before["passes"],
        "transactions": after["transactions"] - before["transactions"],
        "calls": dict(calls.most_common()),
        "errors": dict(errors),
    }


def tables(figures: dict[str, Any]) -> str:
    """What people read."""
    size, rounds = figures["size"], figures["size"]["rounds"]
    lines = [
        f"{size['miners']} miners, {size['verifiers']} verifiers, {rounds} rounds on {size['lanes']} lane(s) in "
        f"{figures['wall_s']} s; polls every {size['poll_s']} s, {figures['mined_in_vain']} transactions mined in vain",
        markdown_table(list(figures["phase_s"]), [[f"{seconds:.1f}" for seconds in figures["phase_s"].values()]]),
        markdown_table(
            ["role", "calls a pass", "calls a round and role", "transactions a round and role", "failed passes"],
            [_row(role, used, rounds) for role, used in figures["roles"].items()],
        ),
        markdown_table(["must be 0", "count"], [[name, str(count)] for name, count in figures["faults"].items()]),
    ]
    return "\n\n".join(lines)


def _row(role: str, used: dict[str, Any], rounds: int) -> list[str]:
    calls, each = sum(used["calls"].values()), used["members"] * rounds
    return [
        role,
        f"{calls / max(1, used['passes']):.1f}",
        f"{calls / each:.0f}",
        f"{used['transactions'] / each:.2f}",
        str(sum(used["errors"].values())),
    ]


if __name__ == "__main__":
    sys.exit(exit_code(cli))
