"""What a part is given, and what it says."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

Rows = list[tuple[str, str]]
"""What was measured, and the figure."""


@dataclass(frozen=True)
class Bench:
    """`is_toy`: sizes that a CPU manages in seconds; they show that the kit works, and nothing else.

    `folder`: of the results, where a part may keep what its next one goes on with. `budget_s`: for parts that take any.
    """

    device: torch.device
    is_toy: bool
    data: Path
    folder: Path
    budget_s: float

    def pick(self, toy: int, real: int) -> int:
        return toy if self.is_toy else real

    def wait(self) -> None:
        """Until the device has done what it was told."""
        if self.device.type == "cuda":
            torch.cuda.synchronize()


@dataclass(frozen=True)
class Part:
    """`goal` in words; `run` raises if a check fails."""

    name: str
    what: str
    goal: str
    run: Callable[[Bench], Rows]
