"""Settings of every experiment: how long it may take, which data, which seed, where results go."""

from dataclasses import dataclass
from pathlib import Path

import torch


@dataclass(frozen=True)
class Settings:
    """`is_full`: the papers' own sizes, which want a GPU; else minutes on two CPU cores.

    `data_dir`: holds MNIST's and CIFAR-10's files; without it scikit-learn's digits stand in for both.
    """

    is_full: bool
    seed: int
    data_dir: Path | None
    results: Path
    device: str = "auto"

    @property
    def scale(self) -> str:
        return "full" if self.is_full else "quick"

    @property
    def torch_device(self) -> torch.device:
        if self.device == "auto":
            return torch.device("cuda" if torch.cuda.is_available() else "cpu")
        return torch.device(self.device)

    def folder(self, experiment: str) -> Path:
        """Where an experiment keeps its cells, tables and pictures; one per choice that changes the numbers."""
        data = "files" if self.data_dir else "embedded"
        return self.results / experiment / f"{self.scale}-{data}-seed{self.seed}"
