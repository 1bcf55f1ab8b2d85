"""An experiment as cells: each is computed once, kept as JSON, and found again by the next run."""

import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from pole.atomicfile import write_atomically
from pole.errors import BadInput

Result = dict[str, Any]
Tell = Callable[[int, int], None]
"""Progress inside a cell: done and total, in any unit."""


@dataclass(frozen=True)
class Cell:
    """`key`: a file name that says everything the result depends on, besides the folder's settings."""

    key: str
    run: Callable[[Tell], Result]

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z0-9][a-z0-9.-]*", self.key):
            raise BadInput(f"cell {self.key!r} must be lower-case letters, digits, dots and dashes")


def run_cells(folder: Path, cells: Sequence[Cell], *, is_quiet: bool = False) -> dict[str, Result]:
    """All results by key, in order; only the missing ones are computed, with a bar on stderr unless `is_quiet`."""
    folder.mkdir(parents=True, exist_ok=True)
    results: dict[str, Result] = {}
    columns = [TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()]
    console = Console(stderr=True)
    with Progress(*columns, TimeRemainingColumn(), console=console, transient=True, disable=is_quiet) as bar:
        overall = bar.add_task(folder.parent.name, total=len(cells))
        for cell in cells:
            path = folder / f"{cell.key}.json"
            results[cell.key] = _kept(path) or _computed(cell, path, bar)
            bar.advance(overall)
    return results


def _computed(cell: Cell, path: Path, bar: Progress) -> Result:
    inner = bar.add_task(f"  {cell.key}", total=None)
    started = time.perf_counter()
    result = cell.run(lambda done, total: bar.update(inner, completed=done, total=total))
    bar.remove_task(inner)
    result = {**result, "wall_s": round(time.perf_counter() - started, 1)}
    write_atomically(path, json.dumps(result, indent=1).encode())
    return result


def _kept(path: Path) -> Result | None:
    if not path.is_file():
        return None
    try:
        kept = json.loads(path.read_bytes())
    except ValueError as exc:
        raise BadInput(f"{path} is damaged ({exc}); delete it, and it is computed again") from exc
    if not isinstance(kept, Mapping):
        raise BadInput(f"{path} holds no result; delete it, and it is computed again")
    return dict(kept)
