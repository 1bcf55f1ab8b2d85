"""Damages valid files at random and reads them: each must end in rows or in one clear error, never in a traceback.

`python -m tools.fuzz_sources --mutations 100000` (`make fuzz-sources`).
"""

import argparse
import random
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from dataclient.sources.load import SourceOptions, load_source, training_and_test
from pole.errors import PoleError

KINDS = ("csv", "parquet", "npz", "png", "jpeg")
ROWS = 12
SIDE = 8
INTERESTING = (0x00, 0x01, 0x0A, 0x0D, 0x20, 0x22, 0x2C, 0x2E, 0x30, 0x3B, 0x7F, 0x80, 0xFE, 0xFF)
MAX_EDITS = 8
Edit = tuple[int, float, int]
"""What to do (0 to 5), where (0 to 1), and a byte or a length."""


def mutated(content: bytes, edits: list[Edit]) -> bytes:
    """Bytes replaced, flipped, inserted, removed, repeated, or the rest cut off."""
    data = bytearray(content)
    for what, where, value in edits:
        at = min(int(where * len(data)), max(0, len(data) - 1))
        if not data:
            break
        if what == 0:
            data[at] = INTERESTING[value % len(INTERESTING)]
        elif what == 1:
            data[at] ^= 1 << value % 8
        elif what == 2:
            data[at:at] = bytes([value])
        elif what == 3:
            del data[at : at + 1 + value % 16]
        elif what == 4:
            data[at:at] = data[at : at + 1 + value]
        else:
            del data[at:]
    return bytes(data)


def write_valid(kind: str, folder: Path) -> tuple[SourceOptions, Path]:
    """A valid source of this kind, and the file in it that is to be damaged."""
    generator = np.random.default_rng(0)
    labels = np.arange(ROWS) % 2
    if kind in ("png", "jpeg"):
        for label in ("cat", "dog"):
            (folder / label).mkdir()
            for i in range(4):
                pixels = generator.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / label / f"{i}.{kind}")
        return SourceOptions(source=str(folder)), folder / "dog" / f"3.{kind}"
    path = folder / f"rows.{kind}"
    if kind == "npz":
        np.savez_compressed(path, x=generator.normal(size=(ROWS, 3)), y=labels)
        return SourceOptions(source=str(path)), path
    frame = pd.DataFrame(
        {
            "size": generator.normal(size=ROWS).round(3),
            "colour": ["red", 'dark "blue"', "green, light"] * (ROWS // 3),
            "when": [f"2024-01-{i + 1:02d}" for i in range(ROWS)],
            "edible": [True, False, True] * (ROWS // 3),
            "kind": [("rose", "iris")[i] for i in labels],
        }
    )
    if kind == "csv":
        frame.to_csv(path, index=False)
    else:
        frame.to_parquet(path)
    return SourceOptions(source=str(path), label="kind"), path


def outcome(options: SourceOptions) -> str:
    """`read` or `refused`; anything that is not one of our errors is let through."""
    try:
        training_and_test(load_source(options), options)
    except PoleError as exc:
        if not str(exc).isprintable():
            raise ValueError(f"an error that is not one printable line: {exc!r}") from exc
        return "refused"
    return "read"


def random_edits(source: random.Random) -> list[Edit]:
    """Mostly one or two; the end is cut off more rarely than anything else is done."""
    count = min(MAX_EDITS, 1 + int(source.expovariate(1)))
    whats = source.choices(range(6), weights=(6, 6, 3, 3, 3, 1), k=count)
    return [(what, source.random(), source.randrange(256)) for what in whats]


def fuzz(kind: str, mutations: int, seed: int, report: Callable[[str], None]) -> Counter[str]:
    """How many were read, refused, and ended in something else."""
    source, counts = random.Random(f"{kind} {seed}"), Counter[str]()  # noqa: S311  # to be repeated, not secret
    with tempfile.TemporaryDirectory() as folder:
        options, path = write_valid(kind, Path(folder))
        content = path.read_bytes()
        for number in range(mutations):
            edits = random_edits(source)
            path.write_bytes(mutated(content, edits))
            try:
                counts[outcome(options)] += 1
            except Exception:
                counts["traceback"] += 1
                report(f"{kind} {number}: {edits}\n{traceback.format_exc(limit=-4)}")
    return counts


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mutations", type=int, default=100_000, help="in all, shared by the kinds of files")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kind", choices=KINDS, action="append")
    given = parser.parse_args()
    kinds = given.kind or list(KINDS)
    tracebacks = 0
    for kind in kinds:
        counts = fuzz(kind, given.mutations // len(kinds), given.seed, lambda text: print(text, file=sys.stderr))
        tracebacks += counts["traceback"]
        print(
            f"{kind}: {counts['read']} read, {counts['refused']} refused, {counts['traceback']} tracebacks", flush=True
        )
    return 1 if tracebacks else 0


if __name__ == "__main__":
    sys.exit(main())
