"""Several trainings side by side in one cell, saved from time to time, so that a run of hours can be continued."""

import copy
import time
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save

from experiments.cells import Tell
from experiments.training import Training
from pole.atomicfile import write_atomically

KEEP_EVERY_S = 60.0
_RANDOM = "random"  # of torch itself: dropout draws from it


def train_in_turns(
    trainings: Mapping[str, Training], epochs: int, path: Path, tell: Tell, *, keep_every_s: float = KEEP_EVERY_S
) -> None:
    """So many epochs of each, epoch by epoch in turn; `path` holds the state in between, and is removed at the end.

    A state that is damaged or of other models is no error: the trainings start anew.
    """
    done, kept_at = _resumed(trainings, path), time.monotonic()
    for epoch in range(done, epochs):
        for training in trainings.values():
            training.epoch()
        tell(epoch + 1, epochs)
        if epoch + 1 < epochs and time.monotonic() - kept_at >= keep_every_s:
            _keep(trainings, path)
            kept_at = time.monotonic()
    path.unlink(missing_ok=True)


def _keep(trainings: Mapping[str, Training], path: Path) -> None:
    tensors = {f"{key}/{name}": each for key, training in trainings.items() for name, each in training.state().items()}
    tensors[_RANDOM] = torch.get_rng_state()
    if torch.cuda.is_available():
        tensors[f"{_RANDOM}.cuda"] = torch.cuda.get_rng_state()
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, save({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}))


def _resumed(trainings: Mapping[str, Training], path: Path) -> int:
    """Epochs that every training has behind it."""
    if not path.is_file():
        return 0
    # Copies: what restoring half of a damaged file has overwritten must come back.
    fresh = {key: copy.deepcopy(training.state()) for key, training in trainings.items()}
    try:
        tensors = load_file(path)
        for key, training in trainings.items():
            start = f"{key}/"
            training.restore(
                {name.removeprefix(start): each for name, each in tensors.items() if name.startswith(start)}
            )
        torch.set_rng_state(tensors[_RANDOM])
        if torch.cuda.is_available():
            torch.cuda.set_rng_state(tensors[f"{_RANDOM}.cuda"])
    except (OSError, SafetensorError, KeyError, RuntimeError):
        for key, training in trainings.items():
            training.restore(fresh[key])
        return 0
    return len(next(iter(trainings.values())).curve.train)
