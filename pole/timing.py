"""How long slow work took, written to logs so that the demo can add it up, and how far it has come."""

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

OnProgress = Callable[[int, int], None]
"""Takes how much of slow work is done, and how much there is."""

_WRITTEN = re.compile(r"(\d+) rows in (\d+\.\d+) s \((\d+\.\d+) s of processor time\)")


@dataclass(frozen=True)
class Timing:
    """Seconds by the clock, and of processor time in all threads of the process; loading kernels counts."""

    rows: int = 0
    wall_s: float = 0.0
    cpu_s: float = 0.0

    def __add__(self, other: "Timing") -> "Timing":
        return Timing(self.rows + other.rows, self.wall_s + other.wall_s, self.cpu_s + other.cpu_s)

    def __str__(self) -> str:
        return f"{self.rows} rows in {self.wall_s:.3f} s ({self.cpu_s:.3f} s of processor time)"

    @classmethod
    def mentioned(cls, text: str) -> "Timing":
        """The sum of all that a log or another text says."""
        found = [cls(int(rows), float(wall_s), float(cpu_s)) for rows, wall_s, cpu_s in _WRITTEN.findall(text)]
        return sum(found, cls())


NOTHING = Timing()


class Stopwatch:
    """Adds up what happens while it runs."""

    def __init__(self) -> None:
        self.timing = NOTHING

    @contextmanager
    def running(self, rows: int) -> Iterator[None]:
        wall, cpu = time.perf_counter(), time.process_time()
        try:
            yield
        finally:
            self.timing += Timing(rows, time.perf_counter() - wall, time.process_time() - cpu)
