"""`python -m benchmarks.gradient`: figures of the gradient chain's core as Markdown tables.

Everything runs in one process with one thread, so that CPU time, which other processes disturb less, is the measure.
"""

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks.gradient.agreement import agreement_table
from benchmarks.gradient.blocks import cost_table, sampled_table
from benchmarks.gradient.loops import loop_table
from benchmarks.gradient.odds import fixed_table, odds_table
from benchmarks.gradient.tasks import Task, digits_task, image_task, perceptron_task
from pole.gradient.manifest import DIGEST_BITS
from pole.gradient.network import prepare_torch
from pole.gradient.pace import choose_threads
from pole.storage.folder import FolderStore

PARTS = ("loops", "threads", "odds", "fixed", "cost", "sampled", "agreement")


def main() -> None:
    arguments = _arguments()
    prepare_torch("cpu", threads=1)
    with tempfile.TemporaryDirectory() as folder:
        store = FolderStore(Path(folder))
        digits, images = digits_task(store), image_task(store)
        tables: dict[str, tuple[str, Callable[[], str]]] = {
            "loops": ("CPU time per step", lambda: loop_table([digits, images], arguments.turns)),
            "threads": ("CPU threads", lambda: _threads([digits, images])),
            "odds": (f"P(valid), {arguments.steps} steps", lambda: odds_table(digits, arguments.steps)),
            "fixed": ("One R per block or one per step", lambda: fixed_table(digits)),
            "cost": (
                "Verifier's time over the miner's",
                lambda: cost_table(digits, arguments.blocks // 5, (1 << DIGEST_BITS) // 320),
            ),
            "sampled": (
                "Verifier's time over the miner's, samples of long blocks",
                lambda: sampled_table(digits, max(1, arguments.blocks // 25)),
            ),
            "agreement": (
                f"Agreement over {arguments.blocks} blocks",
                lambda: agreement_table(perceptron_task(store), arguments.blocks, (1 << DIGEST_BITS) // 32),
            ),
        }
        for part in arguments.parts:
            title, table = tables[part]
            print(f"{title}:\n\n{table()}\n", flush=True)


def _threads(tasks: list[Task]) -> str:
    return "\n".join(f"{task.name}: {choose_threads(task.network(), task.samples)}" for task in tasks)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks.gradient", description=__doc__)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS, help="what to measure")
    parser.add_argument("--turns", type=int, default=50, help="alternations of the loops, 20 steps each")
    parser.add_argument("--steps", type=int, default=30_000, help="training steps for P(valid)")
    parser.add_argument("--blocks", type=int, default=100, help="length of the chain that verifiers must agree on")
    return parser.parse_args()


if __name__ == "__main__":
    main()
