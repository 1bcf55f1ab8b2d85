"""Weights between nodes: safetensors only, with exactly the names, shapes and dtypes of the model.

A model file comes from a stranger. It is never unpickled; its header is bounded before it is parsed, and every tensor
is checked before the first weight is changed.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from pole.storage.tensorfile import write_tensors
from pole.task.model_file import TensorKind, check_finite, read_model_file


def save_model(model: nn.Module) -> bytes:
    """All weights and buffers as a safetensors file; equal weights give equal bytes.

    Raises ModelInvalid if a weight is not finite: every verifier would refuse the file.
    """
    tensors = {name: _array(tensor) for name, tensor in model.state_dict().items()}
    for name, array in tensors.items():
        check_finite(name, array)
    return write_tensors(tensors)


@torch.no_grad()
def load_model(content: bytes, model: nn.Module) -> None:
    """Set all weights and buffers of the model, on whatever device it is; raises ModelInvalid and then changes nothing.

    The model comes from `pole.task.model.build_model`: the file cannot add, omit, resize or retype a tensor.
    """
    wanted = model.state_dict()
    kinds = {name: TensorKind(tuple(tensor.shape), _dtype(tensor)) for name, tensor in wanted.items()}
    tensors = read_model_file(content, kinds)
    for name, tensor in wanted.items():
        # A copy: the arrays are read-only views into the file, which torch does not know how to respect.
        tensor.copy_(torch.from_numpy(tensors[name].copy()))


def _dtype(tensor: torch.Tensor) -> np.dtype[Any]:
    dtype: np.dtype[Any] = torch.empty(0, dtype=tensor.dtype).numpy().dtype
    return dtype


def _array(tensor: torch.Tensor) -> NDArray[Any]:
    array: NDArray[Any] = tensor.detach().cpu().contiguous().numpy()
    return array
