"""Saves and restores a training run: weights and optimizer state as safetensors, never pickled."""

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import nn

from pole.atomicfile import write_atomically

MODEL, OPTIMIZER, STEP = "model.", "optimizer.", "step"


def save_checkpoint(path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, step: int) -> None:
    """Writes the run's state atomically to `path`."""
    tensors = {MODEL + name: tensor for name, tensor in model.state_dict().items()}
    for index, entries in optimizer.state_dict()["state"].items():
        tensors.update({f"{OPTIMIZER}{index}.{name}": torch.as_tensor(value) for name, value in entries.items()})
    tensors[STEP] = torch.tensor(step)
    write_atomically(path, save({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}))


def load_checkpoint(path: Path, model: nn.Module, optimizer: torch.optim.Optimizer) -> int:
    """Restores model and optimizer in place and returns the step; 0, with nothing changed, if there is no usable file.

    A checkpoint only saves time, so one that is missing, damaged or of another model is no error.
    """
    try:
        tensors = load_file(path)
    except (OSError, SafetensorError):
        return 0
    weights = {name.removeprefix(MODEL): tensor for name, tensor in tensors.items() if name.startswith(MODEL)}
    if STEP not in tensors or _shapes(weights) != _shapes(model.state_dict()):
        return 0
    model.load_state_dict(weights)
    optimizer.load_state_dict({**optimizer.state_dict(), "state": _optimizer_state(tensors)})
    return int(tensors[STEP])


def _shapes(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in tensors.items()}


def _optimizer_state(tensors: dict[str, torch.Tensor]) -> dict[int, dict[str, torch.Tensor]]:
    state: dict[int, dict[str, torch.Tensor]] = {}
    for key, tensor in tensors.items():
        if key.startswith(OPTIMIZER):
            index, name = key.removeprefix(OPTIMIZER).split(".", 1)
            state.setdefault(int(index), {})[name] = tensor
    return state
