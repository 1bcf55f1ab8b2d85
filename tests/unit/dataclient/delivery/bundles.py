"""Bundles of untrained models on made-up rows, for the tests of what is delivered."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from dataclient.bundle import Bundle, Description, Normalisation, Origin
from pole.learning.mapping import project, statistics
from pole.storage.cid import cid_of
from pole.task.manifest import (
    AnyMapping,
    AnyModel,
    DataSet,
    DenseMapping,
    Discretisation,
    InnerProductEncryption,
    Manifest,
    NoEncryption,
    RowFile,
)
from pole.task.model import new_model
from pole.task.network import ChannelNorm, PositionEmbedding
from pole.task.rows import discretise
from pole.task.weights import save_model

PREVIOUS_HASH = bytes(range(7, 39))


def manifest_of(
    model: AnyModel,
    mapping: AnyMapping,
    shape: tuple[int, ...],
    classes: int = 5,
    *,
    is_encrypted: bool = False,
    metric: str = "accuracy",
    **targets: Any,
) -> Manifest:
    """Each feature has a range of its own, with ends that float32 does not hold. `targets`: in place of classes."""
    features = int(np.prod(shape))
    width = mapping.segment_width(shape) if isinstance(mapping, DenseMapping) else features
    low = [-1.1 - 0.01 * i for i in range(features)]
    cid = str(cid_of(b"rows"))
    return Manifest(
        name="made up",
        model=model,
        metric=metric,
        data=DataSet(
            shape=list(shape),
            **(targets or {"class_names": [f"class {i} é" for i in range(classes)]}),
            discretisation=Discretisation(bits=4, minimum=low, maximum=[value + 2.3 for value in low]),
            training_set=[RowFile(cid=cid, rows=100, size_bytes=4)],
            test_rows=1,
            test_size_bytes=1,
        ),
        mapping=mapping,
        encryption=InnerProductEncryption(public_key=cid, rank_limit=width - 1) if is_encrypted else NoEncryption(),
        max_model_bytes=1 << 32,
    )


def rows_of(manifest: Manifest, rows: int, seed: int = 0) -> NDArray[np.float64]:
    """Plain rows of as many clumps as there are classes, in turns; some values lie outside of their ranges."""
    shape = tuple(manifest.data.shape)
    centres = np.random.default_rng(99).normal(0.0, 0.6, (manifest.outputs, *shape))
    noise = np.random.default_rng(seed).normal(0.0, 0.5, (rows, *shape))
    found: NDArray[np.float64] = centres[np.arange(rows) % manifest.outputs] + noise
    return found


def bundle_of(manifest: Manifest, seed: int = 0) -> Bundle:
    """Random weights, norms and embeddings that are not those of a new model, and a last linear layer that fits."""
    torch.manual_seed(seed)
    model = new_model(manifest).eval()
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, torch.nn.GroupNorm | PositionEmbedding | ChannelNorm):
                for tensor in module.parameters(recurse=False):
                    tensor.uniform_(0.5, 1.5)
        for name, tensor in model.state_dict().items():
            if name.endswith("running_var"):
                tensor.uniform_(0.2, 2.0)
            elif name.endswith(("running_mean", "bias")):
                tensor.uniform_(-0.5, 0.5)
        _fit_last(model, manifest)
    return bundle_with(manifest, save_model(model))


def _fit_last(model: torch.nn.Module, manifest: Manifest) -> None:
    """Ridge regression of the last linear layer on what it gets, so that classes have margins as trained ones do."""
    last = [module for module in model.modules() if isinstance(module, torch.nn.Linear)][-1]
    got: list[torch.Tensor] = []
    hook = last.register_forward_hook(lambda _module, inputs, _output: got.append(inputs[0]))
    rows = 20 * manifest.outputs
    model(torch.from_numpy(bundle_with(manifest, b"").features(rows_of(manifest, rows, seed=2))))
    hook.remove()
    inputs = torch.cat([got[0], torch.ones(rows, 1)], dim=1).double()
    wanted = torch.nn.functional.one_hot(torch.arange(rows) % manifest.outputs, manifest.outputs).double()
    wanted = wanted if manifest.data.quantities else wanted * 4 - 2
    solved = inputs.T @ torch.linalg.solve(inputs @ inputs.T + 0.1 * torch.eye(rows, dtype=torch.float64), wanted)
    last.weight.copy_(solved[:-1].T)
    last.bias.copy_(solved[-1])


def bundle_with(manifest: Manifest, weights: bytes) -> Bundle:
    whole = discretise(rows_of(manifest, 200, seed=1), manifest.data.discretisation)
    constants = statistics(manifest.mapping, [project(manifest.mapping, PREVIOUS_HASH, whole)])
    description: dict[str, Any] = {
        "model": str(cid_of(weights)),
        "manifest_cid": str(cid_of(manifest.to_bytes())),
        "manifest": manifest,
        "previous_hash": PREVIOUS_HASH.hex(),
        "normalisation": Normalisation(
            mean=constants.mean.astype(float).tolist(), scale=constants.scale.astype(float).tolist()
        ),
        "feature_names": None,
        "origin": Origin(
            chain_id=1,
            task_id=1,
            height=1,
            header_hash="00" * 32,
            winner="0x" + "11" * 20,
            voted_train_ppm=1,
            voted_test_ppm=1,
        ),
        "own_train_ppm": 1,
        "own_test_ppm": 1,
    }
    return Bundle(Description(**description), weights)
