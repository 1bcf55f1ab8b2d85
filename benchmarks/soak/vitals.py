"""Memory and open files of long-lived processes, round by round, and how they grow."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

import numpy as np

from testbed.processes import Process

_KIB = 1024
MAX_MORE_FILES = 2
"""Between the first and the last rounds: what is open for a moment, such as a connection, comes and goes."""
MAX_GROWTH = 0.10
"""Of memory, from the first to the last ten rounds."""


@dataclass(frozen=True)
class Sample:
    """One process at the end of one round; open files are those of the process alone."""

    rss_kib: int
    files: int


@dataclass(frozen=True)
class Trend:
    """First and last ten rounds (fewer, at most half, of a short run), and the fitted change per round."""

    name: str
    first: float
    last: float
    slope: float

    @property
    def growth(self) -> float:
        return self.last / self.first - 1 if self.first else 0.0


def sample(pid: int) -> Sample:
    """Raises FileNotFoundError or ProcessLookupError when the process is gone."""
    status = dict(_fields(Path(f"/proc/{pid}/status").read_text()))
    return Sample(int(status["VmRSS"].split()[0]), len(list(Path(f"/proc/{pid}/fd").iterdir())))


def children(pid: int) -> list[int]:
    """Ids of a process's children, oldest first."""
    found = []
    for path in Path("/proc").glob("[0-9]*/status"):
        with suppress(OSError):
            fields = dict(_fields(path.read_text()))
            if fields["PPid"] == str(pid):
                found.append(int(fields["Pid"]))
    return sorted(found)


def _fields(status: str) -> Iterator[tuple[str, str]]:
    for line in status.splitlines():
        name, _, value = line.partition(":")
        yield name, value.strip()


def watched(processes: Mapping[str, Process]) -> dict[str, Sample]:
    """Samples by name; children, such as a verifier's judging processes, are listed under their parent's."""
    found = {}
    for name, process in processes.items():
        found[name] = sample(process.pid)
        for number, child in enumerate(children(process.pid), start=1):
            with suppress(FileNotFoundError, ProcessLookupError):
                found[f"{name}, child {number}"] = sample(child)
    return found


def trend(name: str, values: Sequence[float]) -> Trend:
    """Least squares over the second half, since caches fill in the first rounds."""
    few = max(1, min(10, len(values) // 2))
    settled = np.asarray(values[len(values) // 2 :], dtype=float)
    slope = float(np.polyfit(np.arange(len(settled)), settled, 1)[0]) if len(settled) > 1 else 0.0
    return Trend(name, mean(values[:few]), mean(values[-few:]), slope)


def memory_trends(rounds: Sequence[Mapping[str, Sample]]) -> list[Trend]:
    """In MiB, of what was there in every round."""
    return [trend(name, [each[name].rss_kib / _KIB for each in rounds]) for name in _lasting(rounds)]


def file_trends(rounds: Sequence[Mapping[str, Sample]]) -> list[Trend]:
    return [trend(name, [float(each[name].files) for each in rounds]) for name in _lasting(rounds)]


def _lasting(rounds: Sequence[Mapping[str, Sample]]) -> list[str]:
    return sorted(set.intersection(*(set(each) for each in rounds))) if rounds else []


def growing(memory: Sequence[Trend], files: Sequence[Trend]) -> list[str]:
    """What does not stay flat, in words."""
    return [
        *(f"memory of {each.name}: {100 * each.growth:.0f} % more" for each in memory if each.growth > MAX_GROWTH),
        *(
            f"files of {each.name}: {each.first:.1f} to {each.last:.1f}"
            for each in files
            if each.last - each.first > MAX_MORE_FILES
        ),
    ]
