"""`python -m benchmarks.gradient.useful`: what the gradient chain's work is good for.

`chain`: one miner's blocks beside plain SGD with as many steps. `waste`: what share of all miners' steps ends up in the
chain. `merge`: the same work where losers' steps are merged into the next block. `draw`: the figure. Each part adds to
the file of results, so that they can run one after the other.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.gradient.races import MERGES, Merge, plain, race, test_loss
from benchmarks.gradient.tasks import Task, digits_task, mnist_task
from pole.atomicfile import write_atomically
from pole.gradient.network import prepare_torch
from pole.storage.folder import FolderStore
from testbed.markdown import markdown_table

MINERS = (1, 2, 4, 8, 16)
MARKS = 20  # points of a curve of plain SGD
POW = "0 (its work is hashes)"

Results = dict[str, Any]


def chain(task: Task, given: argparse.Namespace) -> tuple[str, Results]:
    """Test accuracy along one miner's chain, and of plain SGD after as many steps."""
    started, steps, accuracies = time.process_time(), [0], [task.network().test_ppm(task.samples)]
    ticks = 0
    for won in race(task, 1, given.blocks, given.steps, given.seed):
        steps.append(steps[-1] + won.claim.step)
        accuracies.append(won.test_ppm)
        ticks += won.ticks
    marks, network = _marks(steps[-1]), task.network()
    bare = []
    for state in plain(task, marks, given.seed):
        network.restore(state)
        bare.append(network.test_ppm(task.samples))
    result = {"steps": steps, "test_ppm": accuracies, "plain_steps": marks, "plain_ppm": bare, "all_steps": ticks}
    row = [
        *(task.name, str(given.seed), str(given.blocks), f"{steps[-1]:,}"),
        *(f"{ppm / 10_000:.2f}" for ppm in (accuracies[-1], bare[-1])),
        f"{(accuracies[-1] - bare[-1]) / 10_000:+.2f}",
        f"{steps[-1] / ticks:.2f}",
        f"{time.process_time() - started:.0f}",
    ]
    header = ["data", "seed", "blocks", "steps", "chain, test %", "plain SGD, test %", "points", "useful", "CPU s"]
    return markdown_table(header, [row]), {f"chain {task.name} {given.seed}": result}


def waste(task: Task, given: argparse.Namespace) -> tuple[str, Results]:
    """Steps of the blocks over all steps, by the number of miners."""
    rows, results = [], {}
    for miners in given.miners:
        won = list(race(task, miners, given.blocks, given.steps, given.seed))
        useful, spent = sum(each.claim.step for each in won), miners * sum(each.ticks for each in won)
        rows.append([str(miners), str(given.blocks), f"{useful:,}", f"{spent:,}", f"{useful / spent:.3f}", POW])
        results[f"waste {task.name} {given.seed} {miners}"] = {"useful": useful, "all": spent}
    header = ["miners", "blocks", "steps in the chain", "steps of all", "useful-work ratio", "proof of work's"]
    return markdown_table(header, rows), results


def merge(task: Task, given: argparse.Namespace) -> tuple[str, Results]:
    """How far a chain comes if losers' steps are merged: plain SGD's steps to the same test loss, over all steps."""
    rows, results, network = [], dict[str, Any](), task.network()
    marks = _marks(given.blocks * given.steps * 4, 16 * MARKS)
    curve = [test_loss(task, network, state) for state in plain(task, marks, given.seed)]
    for miners in given.miners:
        for kind in MERGES:
            rows.append(_merged_row(task, given, miners, kind, list(zip(marks, curve, strict=True)), results))
    header = [
        "miners",
        "next block starts from",
        "test loss",
        "test %",
        "worth in plain steps",
        "of a miner's",
        "of all",
    ]
    return markdown_table(header, rows), results


def _merged_row(
    task: Task, given: argparse.Namespace, miners: int, kind: Merge, curve: list[tuple[int, float]], results: Results
) -> list[str]:
    won, network = list(race(task, miners, given.blocks, given.steps, given.seed, kind)), task.network()
    loss, ticks = test_loss(task, network, won[-1].start), sum(each.ticks for each in won)
    accuracy = network.test_ppm(task.samples)
    worth = next((steps for steps, reached in curve if reached <= loss), None)
    results[f"merge {task.name} {given.seed} {miners} {kind}"] = {"loss": loss, "worth": worth, "ticks": ticks}
    said = [f"{loss:.4f}", f"{accuracy / 10_000:.2f}"]
    if worth is None:
        return [str(miners), kind, *said, f"more than {curve[-1][0]:,}", "-", "-"]
    return [str(miners), kind, *said, f"{worth:,}", f"{worth / ticks:.2f}", f"{worth / (miners * ticks):.2f}"]


def draw(results: Results, path: Path) -> None:
    """Accuracy over steps of every chain, and the share of useful steps by the number of miners."""
    from experiments.figures import figure

    chains = {name.split(" ")[1]: each for name, each in sorted(results.items(), reverse=True) if name[:5] == "chain"}
    shares = {int(name.split(" ")[3]): each for name, each in results.items() if name[:5] == "waste"}
    with figure(path, columns=len(chains) + 1) as axes:
        for axis, (name, each) in zip(axes, sorted(chains.items()), strict=False):
            axis.plot(each["steps"], [ppm / 10_000 for ppm in each["test_ppm"]], label="chain", linewidth=1)
            axis.plot(each["plain_steps"], [ppm / 10_000 for ppm in each["plain_ppm"]], label="plain SGD", linewidth=1)
            axis.set(title=f"{name}, {len(each['steps']) - 1} blocks", xlabel="steps", ylabel="test accuracy, %")
            axis.legend(loc="lower right")
        miners = sorted(shares)
        axes[-1].plot(miners, [shares[each]["useful"] / shares[each]["all"] for each in miners], marker="o")
        axes[-1].set(title="steps that end up in the chain", xlabel="miners", ylabel="share of all steps", ylim=(0, 1))


def _marks(steps: int, count: int = MARKS) -> list[int]:
    return sorted({max(1, steps * number // count) for number in range(1, count + 1)})


def main() -> None:
    given = _arguments()
    known: Results = json.loads(given.results.read_text()) if given.results.exists() else {}
    if given.part == "draw":
        draw(known, given.out)
        return
    prepare_torch("cpu", threads=1)
    with tempfile.TemporaryDirectory() as folder:
        store = FolderStore(Path(folder))
        task = digits_task(store) if given.data_dir is None else mnist_task(store, given.data_dir)
        table, found = {"chain": chain, "waste": waste, "merge": merge}[given.part](task, given)
    print(table)
    write_atomically(given.results, json.dumps(known | found, indent=1).encode())


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks.gradient.useful", description=__doc__)
    parser.add_argument("part", choices=["chain", "waste", "merge", "draw"])
    parser.add_argument("--data-dir", type=Path, help="MNIST's files; without, scikit-learn's digits")
    parser.add_argument("--blocks", type=int, default=300)
    parser.add_argument("--steps", type=int, default=256, help="that one miner needs for a block, on average")
    parser.add_argument("--miners", type=int, nargs="+", default=MINERS)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--results", type=Path, default=Path("useful.json"))
    parser.add_argument("--out", type=Path, default=Path("docs/results/useful-work"), help="the figure, without suffix")
    return parser.parse_args()


if __name__ == "__main__":
    main()
