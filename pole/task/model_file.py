"""Model files from strangers: exactly the tensors that a model has, all finite. Needs no torch."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pole.errors import ModelInvalid
from pole.storage.tensorfile import read_tensors

_LISTED_NAMES = 5


class TensorKind(NamedTuple):
    """What a tensor of a model must be like."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]


def read_model_file(content: bytes, wanted: Mapping[str, TensorKind]) -> dict[str, NDArray[Any]]:
    """The tensors by name, read-only. Raises ModelInvalid unless they are exactly the wanted ones, and finite."""
    tensors = read_tensors(content, "model file", ModelInvalid).tensors
    _check_names(set(tensors), set(wanted))
    for name, kind in wanted.items():
        _check_like(name, tensors[name], kind)
        check_finite(name, tensors[name])
    return tensors


def check_finite(name: str, array: NDArray[Any]) -> None:
    """Raises ModelInvalid if a value is NaN or infinite."""
    if not np.isfinite(array).all():
        raise ModelInvalid(f"tensor {name!r} holds NaN or infinity; the training has diverged, or the file is hostile")


def _check_names(present: set[str], wanted: set[str]) -> None:
    for problem, names in (("lacks", wanted - present), ("has unknown", present - wanted)):
        if names:
            listed = ", ".join(f"{name!r:.100}" for name in sorted(names)[:_LISTED_NAMES])
            raise ModelInvalid(
                f"model file {problem} {len(names)} tensor(s): {listed}{' …' if len(names) > _LISTED_NAMES else ''}; "
                "save exactly the state of the model that the manifest specifies"
            )


def _check_like(name: str, array: NDArray[Any], wanted: TensorKind) -> None:
    if array.shape != wanted.shape:
        raise ModelInvalid(f"tensor {name!r} has shape {array.shape}; the specification says {wanted.shape}")
    if array.dtype != wanted.dtype:
        raise ModelInvalid(f"tensor {name!r} has dtype {array.dtype}; it must be {wanted.dtype}")
