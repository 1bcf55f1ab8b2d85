"""Saves and restores a training run: weights and optimizer state as safetensors, never pickled."""

from pathlib import Path

import structlog
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import nn
from torch.optim import AdamW

from pole.atomicfile import write_atomically

log = structlog.get_logger()

MODEL, OPTIMIZER, STEP = "model.", "optimizer.", "step"
# What AdamW remembers of parameter i, and under which name a checkpoint has it.
_MOMENTS = {"exp_avg": "average.{}", "exp_avg_sq": "square.{}"}


def save_checkpoint(path: Path, model: nn.Module, optimizer: AdamW, step: int) -> None:
    """Writes the run's state atomically to `path`; a disk that cannot is logged, since only time depends on it."""
    tensors = {MODEL + name: tensor for name, tensor in model.state_dict().items()}
    tensors |= {OPTIMIZER + name: tensor for name, tensor in _state_of(optimizer).items()}
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
    _restore(optimizer, _under(OPTIMIZER, tensors))
    return int(tensors[STEP])


def forget(optimizer: AdamW) -> None:
    """Lets it start again with no memory of past gradients."""
    optimizer.state.clear()


def _state_of(optimizer: AdamW) -> dict[str, torch.Tensor]:
    """Its moments and its step, as named tensors; empty before the first step."""
    remembered = optimizer.state_dict()["state"]
    state = {
        named.format(i): moments[moment] for i, moments in remembered.items() for moment, named in _MOMENTS.items()
    }
    return state | ({STEP: remembered[0]["step"]} if state else {})


def _restore(optimizer: AdamW, saved: dict[str, torch.Tensor]) -> None:
    """Takes up what was saved of the same parameters; of others, nothing."""
    parameters = optimizer.param_groups[0]["params"]
    wanted = {named.format(i): p.shape for i, p in enumerate(parameters) for named in _MOMENTS.values()}
    if _shapes(saved) != wanted | {STEP: torch.Size()}:
        forget(optimizer)
        return
    state = {
        i: {moment: saved[named.format(i)] for moment, named in _MOMENTS.items()}
        | {"step": saved[STEP].float().clone()}
        for i in range(len(parameters))
    }
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def _under(prefix: str, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _shapes(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in tensors.items()}
