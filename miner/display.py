"""Shows long work while it runs: a progress bar on a terminal, a log line every few seconds elsewhere."""

import sys
import time
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from miner.training.api import TrainingProgress
from pole.task.scores import PPM

SECONDS_PER_LINE = 2.0


class Display:
    """A context in which `rows` and `training` may be called as often as one likes."""

    def __init__(self, log: Any, title: str) -> None:
        self._log, self._title, self._said_at = log, title, time.monotonic()
        self._bar = _bar() if sys.stderr.isatty() else None
        self._task = self._bar.add_task(title, total=None, detail="") if self._bar else None

    def __enter__(self) -> "Display":
        if self._bar:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar:
            self._bar.stop()

    def rows(self, done: int, total: int) -> None:
        """So many rows of the data set are decrypted or mapped."""
        self._show(done, total, f"{done} of {total} rows")

    def training(self, progress: TrainingProgress, target_ppm: int) -> None:
        """Live accuracy."""
        reached = percent(progress.train_ppm)
        said = f"{reached} on rows held out" if progress.is_held_out else f"train accuracy {reached}"
        detail = f"epoch {progress.epoch}, loss {progress.loss:.4f}, {said}; {percent(target_ppm)} required"
        self._show(progress.train_ppm, target_ppm, detail)

    def _show(self, done: int, total: int, detail: str) -> None:
        if self._bar and self._task is not None:
            self._bar.update(self._task, completed=done, total=total, detail=detail)
        elif time.monotonic() - self._said_at >= SECONDS_PER_LINE:
            self._said_at = time.monotonic()
            self._log.info(f"{self._title}: {detail}")


def percent(ppm: int) -> str:
    """950000 -> "95.00 %"."""
    return f"{100 * ppm / PPM:.2f} %"


def _bar() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[detail]}"),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
    )
