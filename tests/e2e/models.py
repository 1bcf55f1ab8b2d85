"""Model files that scripted miners submit: honest, weak and hostile ones."""

import pickle
import struct
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save
from torch import nn

from pole.chain.contracts import Contracts
from pole.chain.structs import Round
from pole.learning.features import Features, load_features
from pole.learning.round_files import fetch_manifest
from pole.task.estimate import estimate_ppm
from pole.task.manifest import Manifest
from pole.task.model import new_model
from pole.task.weights import save_model
from tests.e2e.site import Site
from tests.unit.commission import train_quickly

_NEVER = -1e4


@dataclass(frozen=True)
class Workshop:
    """What a miner knows of a round of an unencrypted task."""

    manifest: Manifest
    features: Features

    @classmethod
    def of(cls, site: Site, contracts: Contracts, current: Round) -> "Workshop":
        cid = contracts.manifest_of(current)
        manifest, cache = fetch_manifest(site.store, cid), site.folder / "workshop"
        return cls(manifest, load_features(site.store, manifest, cid, current.previous_hash, None, None, cache))

    def new_model(self) -> nn.Module:
        return new_model(self.manifest)

    def train_ppm(self, model: nn.Module) -> int:
        return estimate_ppm(model, self.features.train_x, self.features.train_y, self.manifest.metric)

    def weak_model(self) -> nn.Module:
        """A trained model that has forgotten every second class: right about half of the rows."""
        model = train_quickly(self.new_model(), self.features.train_x, self.features.train_y)
        *_, last = (parameter for name, parameter in model.named_parameters() if name.endswith("bias"))
        with torch.no_grad():
            last[::2] = _NEVER
        return model

    def hostile_files(self, trap: Path) -> dict[str, bytes]:
        """Files that must be voted invalid; unpickling the first would create `trap`."""
        return {
            "pickle": pickle.dumps(_Bomb(trap)),
            "not a number": _with_not_a_number(self.new_model()),
            "wrong shape": save({name: tensor[:-1] for name, tensor in self.new_model().state_dict().items()}),
            "header of 10 GB": struct.pack("<Q", 10 << 30) + save_model(self.new_model())[8:],
        }


def _with_not_a_number(model: nn.Module) -> bytes:
    with torch.no_grad():
        next(model.parameters())[0, 0] = float("nan")
    return bytes(save(model.state_dict()))


class _Bomb:
    def __init__(self, trap: Path) -> None:
        self.trap = trap

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return (open, (str(self.trap), "w"))
