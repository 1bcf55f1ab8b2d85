"""What a machine lacks that has torch, numba, numpy and safetensors alone: the kit's packages, after its own."""

import importlib.util
import sys
from pathlib import Path

import torch

PACKAGES = Path(__file__).parents[2] / "packages"
_operators: list[torch.library.Library] = []


def lend_packages() -> None:
    """Nothing where there is no kit. Its torchvision has no compiled part, and asks for one operator of it by name."""
    if not PACKAGES.is_dir():
        return
    sys.path.append(str(PACKAGES))
    found = importlib.util.find_spec("torchvision")
    if found is not None and found.origin is not None and Path(found.origin).is_relative_to(PACKAGES):
        operators = torch.library.Library("torchvision", "DEF")
        operators.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        _operators.append(operators)  # gone with its last reference
