"""Weights between nodes: safetensors only, with exactly the names, shapes and dtypes of the model.

A model file comes from a stranger. It is never unpickled; its header is bounded before it is parsed, and every tensor
is checked before the first weight is changed.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from pole.errors import ModelInvalid
from pole.storage.tensorfile import read_tensors, write_tensors

_LISTED_NAMES = 5


def save_model(model: nn.Module) -> bytes:
    """All weights and buffers as a safetensors file; equal weights give equal bytes.

    Raises ModelInvalid if a weight is not finite: every verifier would refuse the file.
    """
    tensors = {name: _array(tensor) for name, tensor in model.state_dict().items()}
    for name, array in tensors.items():
        _check_finite(name, array)
    return write_tensors(tensors)


@torch.no_grad()
def load_model(content: bytes, model: nn.Module) -> None:
    """Set all weights and buffers of the model, on whatever device it is; raises ModelInvalid and then changes nothing.

    The model comes from `pole.task.model.build_model`: the file cannot add, omit, resize or retype a tensor.
    """
    tensors = read_tensors(content, "model file", ModelInvalid).tensors
    wanted = model.state_dict()
    _check_names(set(tensors), set(wanted))
    for name, tensor in wanted.items():
        _check_like(name, tensors[name], tensor)
        _check_finite(name, tensors[name])
    for name, tensor in wanted.items():
        # A copy: the arrays are read-only views into the file, which torch does not know how to respect.
        tensor.copy_(torch.from_numpy(tensors[name].copy()))


def _check_names(present: set[str], wanted: set[str]) -> None:
    for problem, names in (("lacks", wanted - present), ("has unknown", present - wanted)):
        if names:
            listed = ", ".join(f"{name!r:.100}" for name in sorted(names)[:_LISTED_NAMES])
            raise ModelInvalid(
                f"model file {problem} {len(names)} tensor(s): {listed}{' …' if len(names) > _LISTED_NAMES else ''}; "
                "save exactly the state of the model that the manifest specifies"
            )


def _check_like(name: str, array: NDArray[Any], wanted: torch.Tensor) -> None:
    if array.shape != tuple(wanted.shape):
        raise ModelInvalid(f"tensor {name!r} has shape {array.shape}; the specification says {tuple(wanted.shape)}")
    dtype = _dtype(wanted)
    if array.dtype != dtype:
        raise ModelInvalid(f"tensor {name!r} has dtype {array.dtype}; it must be {dtype}")


def _check_finite(name: str, array: NDArray[Any]) -> None:
    if not np.isfinite(array).all():
        raise ModelInvalid(f"tensor {name!r} holds NaN or infinity; the training has diverged, or the file is hostile")


def _dtype(tensor: torch.Tensor) -> np.dtype[Any]:
    dtype: np.dtype[Any] = torch.empty(0, dtype=tensor.dtype).numpy().dtype
    return dtype


def _array(tensor: torch.Tensor) -> NDArray[Any]:
    array: NDArray[Any] = tensor.detach().cpu().contiguous().numpy()
    return array
