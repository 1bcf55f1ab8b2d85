"""How large a model may be. Needs no torch.

Who builds models measures them with torch (`pole.task.model`), who only commissions them by their plan
(`pole.exact.size`); both find the same.
"""

import math
from dataclasses import dataclass

from pole.errors import ManifestInvalid
from pole.task.graph import RowShape

MAX_PARAMETERS = 200_000_000  # VGG-16 has 138 million
# Numbers of one row that are alive at once: evaluation in batches of 256 rows then needs at most 8 GiB.
MAX_ACTIVATIONS = 1 << 23
MAX_MULTIPLICATIONS = 20_000_000_000  # per row; VGG-16 on 224x224 needs 15.5 billion


@dataclass(frozen=True)
class ModelSize:
    """What a model costs. Activations and multiplications are per row, the latter without those of activations."""

    parameters: int
    state_bytes: int
    activations: int
    multiplications: int


def check_row(input_shape: RowShape, outputs: int) -> None:
    """Raises ManifestInvalid for rows or outputs that no model can have."""
    if len(input_shape) not in (1, 3) or min(input_shape) < 1:
        raise ManifestInvalid(f"rows of shape {input_shape}: need (features,) or (channels, height, width)")
    if math.prod(input_shape) > MAX_ACTIVATIONS:
        raise ManifestInvalid(f"rows of shape {input_shape} exceed the cap of {MAX_ACTIVATIONS} numbers per row")
    if outputs < 1:
        raise ManifestInvalid(f"{outputs} outputs: need at least 1")


def check_caps(size: ModelSize, where: str) -> None:
    """Raises ManifestInvalid that names `where`, the value and the cap."""
    for what, value, cap in (
        ("parameters", size.parameters, MAX_PARAMETERS),
        ("activations per row", size.activations, MAX_ACTIVATIONS),
        ("multiplications per row", size.multiplications, MAX_MULTIPLICATIONS),
    ):
        if value > cap:
            raise ManifestInvalid(f"{where} brings the model to {value} {what}; the cap is {cap}: make it smaller")
