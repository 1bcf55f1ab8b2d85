"""`python -m benchmarks.soak`: consecutive rounds of real processes, one of which is killed in each."""

import json
import random
import shutil
import signal
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from benchmarks.load import books
from benchmarks.load.arena import Arena, NotInTime, arena
from benchmarks.soak import vitals
from benchmarks.soak.cast import Cast, cast_for
from pole.atomicfile import write_atomically
from pole.errors import PoleError
from pole.node import logs
from pole.node.exit import exit_code
from testbed.markdown import markdown_table

_ACTORS, _MINERS, _VERIFIERS = 6, 2, 2
_START_S, _ROUND_S = 600.0, 1800.0
_ENOUGH_TO_JUDGE = 20


class SoakFailed(PoleError):
    """Something was lost, or something grows."""


@click.command()
@click.option("--rounds", type=click.IntRange(1), default=50, show_default=True)
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="Of who is killed when.")
@click.option("--json", "out", type=click.Path(dir_okay=False, path_type=Path), help="Also write all figures here.")
@click.option("--keep", is_flag=True, help="Keep logs, keys and journals afterwards, and say where.")
def cli(rounds: int, seed: int, out: Path | None, keep: bool) -> None:
    """Two clients, miners and verifiers on one anvil; of each two, one is killed at random times and started again.

    Fails if a round ends without a block, somebody is neither paid nor refunded, the books do not agree, or memory or
    open files of what was never killed grow.
    """
    folder = Path(tempfile.mkdtemp(prefix="pole-soak-"))
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    logs.configure(False, "warning")
    try:
        figures = soak(folder, rounds, seed)
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
    if any(figures["faults"].values()) or figures["growing"]:
        raise SoakFailed(f"these must be 0: {figures['faults']}; this grows: {figures['growing']}")


def soak(folder: Path, rounds: int, seed: int) -> dict[str, Any]:
    """All rounds; what they came to."""
    samples: list[dict[str, vitals.Sample]] = []
    journals: list[int] = []
    with arena(folder, _ACTORS) as built:
        cast = gather(built)
        random_source, started_s = random.Random(seed), time.monotonic()  # noqa: S311 - repeatable on purpose
        for number in range(1, rounds + 1):
            play(cast, number, random_source)
            samples.append(vitals.watched(cast.lasting()))
            journals.append(cast.journal_bytes())
            click.echo(f"{time.monotonic() - started_s:6.0f} s  {number} of {rounds} rounds, {cast.kills}", err=True)
        wall_s = time.monotonic() - started_s
        found = books.faults(built, _MINERS, [actor.home for actor in cast.actors])
    memory, files = vitals.memory_trends(samples), vitals.file_trends(samples)
    return {
        "rounds": rounds,
        "seed": seed,
        "wall_s": round(wall_s, 1),
        "kills": cast.kills,
        "faults": asdict(found),
        "memory_mib": [asdict(each) for each in memory],
        "files": [asdict(each) for each in files],
        "journal_bytes": journals,
        "growing": vitals.growing(_roles(memory), _roles(files)) if rounds >= _ENOUGH_TO_JUDGE else [],
    }


def _roles(trends: list[vitals.Trend]) -> list[vitals.Trend]:
    """Without the development node, which keeps every state in memory."""
    return [each for each in trends if not each.name.startswith("anvil")]


def gather(built: Arena) -> Cast:
    """Starts everybody, and waits until the verifiers have their seats."""
    cast = cast_for(built)
    for actor in cast.actors:
        cast.start(actor)
    built.is_interrupted = lambda: ", ".join(f"{name} ended" for name in built.stage.failed())
    built.until(
        "the verifiers' seats", lambda: len(built.contracts.verifier_committee.seated()) == _VERIFIERS, _START_S
    )
    return cast


def play(cast: Cast, number: int, random_source: random.Random) -> None:
    """One round, from the commission to an account of every wei; who was killed is back at the end of it."""
    built, death = cast.arena, cast.draw(random_source)
    client = (cast.steady if number % 2 else cast.mortal)["dataclient"]
    built.commission(client, cast.number(client), f"task-{number}", _MINERS)

    def is_over() -> bool:
        cast.carry_out(death)
        return death.is_back and built.ended(number)

    built.until(f"round {number} to end", is_over, _ROUND_S)
    if built.unaccounted_wei() or built.owed_wei():
        raise SoakFailed(f"after round {number}: {built.unaccounted_wei()} wei unaccounted, {built.owed_wei()} owed")


def tables(figures: dict[str, Any]) -> str:
    """What people read."""
    header = ["process", "memory, first", "last", "MiB a round", "files, first", "last"]
    files = {each["name"]: each for each in figures["files"]}
    rows = [
        [
            each["name"],
            *(f"{each[name]:.1f}" for name in ("first", "last")),
            f"{each['slope']:+.3f}",
            *(f"{files[each['name']][name]:.1f}" for name in ("first", "last")),
        ]
        for each in figures["memory_mib"]
    ]
    journals = figures["journal_bytes"]
    return "\n\n".join(
        [
            f"{figures['rounds']} rounds in {figures['wall_s']} s, kills: {figures['kills']}; journals of all six: "
            f"{journals[0]} bytes after the first round, {journals[-1]} after the last",
            markdown_table(header, rows),
            markdown_table(["must be 0", "count"], [[name, str(count)] for name, count in figures["faults"].items()]),
        ]
    )


if __name__ == "__main__":
    sys.exit(exit_code(cli))
