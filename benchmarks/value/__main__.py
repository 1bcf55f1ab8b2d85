"""`make bench-value`: is a commissioned model better than what its client could make of the plain rows in seconds?

`bulk`: many splits and hashes on features alone; `rounds`: real rounds on anvil, with real encryption and voting.
"""

import argparse
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from benchmarks.value.bulk import MeasuredSplit
from benchmarks.value.results import Key, Results, Scores
from benchmarks.value.rounds import played
from benchmarks.value.sets import BIG_SET_ROWS, SETS, ValueSet
from dataclient.drafting.proposal import Wishes
from dataclient.sources.plain import PlainData
from miner.training.recipes import RECIPE_VERSION
from testbed.markdown import markdown_table

HEADER = (
    "set",
    "splits x hashes",
    "linear",
    "boosting",
    "network, plain rows",
    "commissioned",
    "gap",
    "worst split",
    "given away",
    "seconds",
)
SMALL, BIG = (10, 3), (3, 2)  # splits and hashes
MEAN_GAP = -0.3


@dataclass(frozen=True)
class Cell:
    """One split under one hash; scores in per cent. `given_away`: share of a row's numbers that a round opens."""

    linear: float
    boosting: float
    network: float
    commissioned: float
    given_away: float
    seconds: float

    @property
    def gap(self) -> float:
        return self.commissioned - max(self.linear, self.boosting)


def bulk(sets: list[ValueSet], given: argparse.Namespace) -> bool:
    """Measures split by split, so that what is known when it is cut short is about all sets; whether all reach their
    target.
    """
    results, cells = Results(given.results), dict[str, list[list[Cell]]]()
    for seed in range(given.splits or max(SMALL[0], BIG[0])):
        for each in sets:
            data = each.load(given.data_dir)
            splits, hashes = SMALL if data.rows < BIG_SET_ROWS else BIG
            if seed < (given.splits or splits):
                found = _cells(each, data, seed, given.hashes or hashes, given, results)
                cells.setdefault(each.name, []).append(found)
                print(" | ".join(_line(each.name, cells[each.name])[0]), flush=True)
    lines, gaps = zip(*(_line(each.name, cells[each.name]) for each in sets), strict=True)
    mean = statistics.mean(gaps)
    print("\n" + markdown_table(list(HEADER), list(lines)))
    print(f"mean gap {mean:+.2f} points (target {MEAN_GAP})")
    is_each_reached = all(gap >= -each.tolerance for each, gap in zip(sets, gaps, strict=True))
    return is_each_reached and mean >= MEAN_GAP


def _cells(
    each: ValueSet, data: PlainData, seed: int, hashes: int, given: argparse.Namespace, results: Results
) -> list[Cell]:
    """All cells of one split; what an earlier run has measured is not measured again."""
    measured = MeasuredSplit(data, seed, given.seconds, Wishes(protect=given.protect))

    def known(number: int | None, measure: Callable[[], Scores]) -> Scores:
        key = Key(each.name, seed, number, given.seconds, given.protect, RECIPE_VERSION)
        return results.get(key) or results.put(key, measure())

    plain = known(None, measured.plain)
    every = [known(number, partial(measured.commissioned, number)) for number in range(hashes)]
    return [Cell(**{**plain, **scores}) for scores in every]


def _line(name: str, cells: list[list[Cell]]) -> tuple[list[str], float]:
    every = [cell for split in cells for cell in split]
    linear, boosting, network, commissioned, given_away, seconds = (
        statistics.mean(getattr(cell, field) for cell in every)
        for field in ("linear", "boosting", "network", "commissioned", "given_away", "seconds")
    )
    gap = commissioned - max(linear, boosting)
    worst = min(statistics.mean(cell.gap for cell in split) for split in cells)
    scores = [f"{value:.1f}" for value in (linear, boosting, network, commissioned)]
    line = [name, f"{len(cells)} x {len(cells[0])}", *scores, f"{gap:+.2f}", f"{worst:+.1f}"]
    return [*line, f"{100 * given_away:.0f} %", f"{seconds:.0f}"], gap


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("part", choices=["bulk", "rounds"])
    arguments.add_argument("--sets", default="", help="names, with commas between them; all by default")
    arguments.add_argument("--splits", type=int, help="instead of 10 (small sets) or 3")
    arguments.add_argument("--hashes", type=int, help="of each split, instead of 3 (small sets) or 2")
    arguments.add_argument(
        "--seconds", type=float, default=120, help="a miner's limit: of time, in bulk of the processor's"
    )
    arguments.add_argument("--results", type=Path, help="a file that keeps what bulk has measured, to go on from")
    arguments.add_argument("--protect", choices=["accuracy", "balanced", "rows"], default="balanced")
    arguments.add_argument("--data-dir", type=Path, help="torchvision's files")
    given = arguments.parse_args()
    torch.set_num_threads(1)
    known = {each.name: each for each in SETS}
    names = given.sets.split(",") if given.sets else list(known)
    if unknown := set(names) - set(known):
        arguments.error(f"there are no sets {', '.join(sorted(unknown))}; known are {', '.join(known)}")
    sets = [known[name] for name in names]
    is_reached = bulk(sets, given) if given.part == "bulk" else played(sets, given)
    raise SystemExit(0 if is_reached else 1)


if __name__ == "__main__":
    main()
