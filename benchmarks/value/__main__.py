"""`make bench-value`: is a commissioned model better than what its client could make of the plain rows in seconds?

`bulk`: many splits and hashes on features alone; `rounds`: real rounds on anvil, with real encryption and voting.
"""

import argparse
import statistics
from pathlib import Path

import torch

from benchmarks.value.bulk import Cell, cells_of
from benchmarks.value.rounds import played
from benchmarks.value.sets import BIG_SET_ROWS, SETS, ValueSet
from dataclient.drafting.proposal import Wishes
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


def bulk(sets: list[ValueSet], given: argparse.Namespace) -> bool:
    """Prints a line per set as it comes; whether all reach their target."""
    lines, gaps, is_reached = [], [], True
    for each in sets:
        data = each.load(given.data_dir)
        splits, hashes = SMALL if data.rows < BIG_SET_ROWS else BIG
        splits, hashes = given.splits or splits, given.hashes or hashes
        wishes = Wishes(protect=given.protect, time_limit_s=round(given.seconds))
        cells = [cells_of(data, seed, hashes, given.seconds, wishes) for seed in range(splits)]
        line, gap = _line(each.name, cells)
        print(" | ".join(line), flush=True)
        lines.append(line)
        gaps.append(gap)
        is_reached &= gap >= -each.tolerance
    mean = statistics.mean(gaps)
    print("\n" + markdown_table(list(HEADER), lines))
    print(f"mean gap {mean:+.2f} points (target {MEAN_GAP})")
    return is_reached and mean >= MEAN_GAP


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
    arguments.add_argument("--seconds", type=float, default=120, help="a miner's time limit")
    arguments.add_argument("--protect", choices=["accuracy", "balanced", "rows"], default="balanced")
    arguments.add_argument("--data-dir", type=Path, help="torchvision's files")
    given = arguments.parse_args()
    torch.set_num_threads(1)
    names = given.sets.split(",") if given.sets else [each.name for each in SETS]
    sets = [each for each in SETS if each.name in names]
    is_reached = bulk(sets, given) if given.part == "bulk" else played(sets, given)
    raise SystemExit(0 if is_reached else 1)


if __name__ == "__main__":
    main()
