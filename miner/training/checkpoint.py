"""Saves and restores a training run: weights and optimizer state as safetensors, never pickled."""

from pathlib import Path

import structlog
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import nn

from miner.training.adamw import AdamW
from pole.atomicfile import write_atomically

log = structlog.get_logger()

MODEL, OPTIMIZER, STEP = "model.", "optimizer.", "step"


def save_checkpoint(path: Path, model: nn.Module, optimizer: AdamW, step: int) -> None:
    """Writes the run's state atomically to `path`; a disk that cannot is logged, since only time depends on it."""
    tensors = {MODEL + name: tensor for name, tensor in model.state_dict().items()}
    tensors |= {OPTIMIZER + name: tensor for name, tensor in optimizer.state().items()}
    tensors[STEP] = torch.tensor(step)
    content = save({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()})
    try:
        write_atomically(path, content)
    except OSError as exc:
        log.warning("the checkpoint is not kept", path=str(path), reason=exc.strerror)


def load_checkpoint(path: Path, model: nn.Module, optimizer: AdamW) -> int:
    """Restores model and optimizer in place and returns the step; 0, with nothing changed, if there is no usable file.

    A checkpoint only saves time, so one that is missing, damaged or of another model is no error.
    """
    try:
        tensors = load_file(path)
    except (OSError, SafetensorError):
        return 0
    weights = _under(MODEL, tensors)
    if STEP not in tensors or _shapes(weights) != _shapes(model.state_dict()):
        return 0
    model.load_state_dict(weights)
    try:
        optimizer.restore(_under(OPTIMIZER, tensors))
    except (KeyError, RuntimeError):
        optimizer.forget()
    return int(tensors[STEP])


def _under(prefix: str, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _shapes(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in tensors.items()}
