"""Experiment 3: a stolen model under another round's mapping, as the paper swaps it and as a thief would.

Source: PoLe, section 4.4; the transplants and the hardened candidates are ours.
"""

import copy
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from experiments import features, hardening, networks, transplant
from experiments.cells import Cell, Result, Tell, run_cells
from experiments.data import Data, load
from experiments.figures import figure
from experiments.hardening import FOLDED, LINEAR, RECTIFIED, Nonlinearity, cosine
from experiments.report import Report
from experiments.settings import Settings
from experiments.training import Rows, Training, accuracy_of
from miner.whitening import Whitening, whitening_of
from pole.mapping import mapping_matrix
from scripts.table import markdown_table

BITS, SEGMENTS = 4, 4
OUTPUTS = (32, 128, 256)
QUICK_EPOCHS, FULL_EPOCHS = 4, 20
SHARE_OF_HONEST = 0.985
"""The threshold of "steps until": this share of the honest test accuracy."""
MOST_STEPS_EPOCHS = 8
FIRST_LAYER = "hidden0"


@dataclass(frozen=True)
class Variant:
    """A mapping to swap. `vectors` of the inner products, `outputs` after the non-linearity."""

    name: str
    vectors: int
    outputs: int
    nonlinearity: Nonlinearity | None

    @property
    def key(self) -> str:
        return f"{self.name.lower().replace(' ', '-')}-{self.outputs}"


def variants() -> list[Variant]:
    published = [Variant("paper", outputs, outputs, None) for outputs in OUTPUTS]
    bits = [Variant("XOF bits", 128, 128, LINEAR)]
    curved = [
        Variant(each.name, 128, outputs, each)
        for each in (cosine(0.1), cosine(0.3), RECTIFIED, FOLDED)
        for outputs in (128, 512)
    ]
    return [*published, *bits, *curved]


def run(settings: Settings) -> Report:
    folder = settings.folder("replaced-mapping")
    cells = [Cell(variant.key, partial(_swap, variant, settings)) for variant in variants()]
    cells.append(Cell("convolutional", partial(_swap_convolutional, settings)))
    results = run_cells(folder / "cells", cells)
    _draw(folder / "ports", results)
    tables = [_accuracies(results), _steps(results)]
    return Report(
        "replaced-mapping",
        "Experiment 3: another mapping under a stolen model (Table 3)",
        "\n\n".join(tables),
        ["ports"],
        _notes(results),
    )


# --- dense mappings ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class View:
    """A data set as one round's features show it: what a model is submitted for, and the same whitened for training."""

    rows: Rows
    whitening: Whitening

    @property
    def white(self) -> Rows:
        return features.white(self.rows)


def _view(variant: Variant, data: Data, phs: bytes) -> View:
    if variant.nonlinearity is None:
        rows = features.secure(data, features.dense(variant.outputs, SEGMENTS), phs)
    else:
        mapping = hardening.hardened(
            data.train_x,
            phs,
            vectors=variant.vectors // SEGMENTS,
            segments=SEGMENTS,
            nonlinearity=variant.nonlinearity,
            outputs=variant.outputs,
        )
        rows = Rows(mapping.apply(data.train_x), data.train_y, mapping.apply(data.test_x), data.test_y)
    return View(rows, whitening_of(rows.train_x, has_bias=True))


def _swap(variant: Variant, settings: Settings, tell: Tell) -> Result:
    """Train under one hash, then try to use the model under another."""
    data = load("mnist", settings, bits=BITS)
    old, new = (_view(variant, data, features.previous_hash(settings.seed, name)) for name in ("old", "new"))
    epochs = FULL_EPOCHS if settings.is_full else QUICK_EPOCHS
    honest, steps = _honest(old, data.classes, settings, epochs)
    stolen = old.whitening.fold(honest, FIRST_LAYER)
    tell(1, 5)
    result: Result = {"data": data.name, "outputs": variant.outputs, "honest_steps": steps}
    result["honest"] = accuracy_of(stolen, old.rows.test_x, data.test_y)
    result["replaced"] = accuracy_of(stolen, new.rows.test_x, data.test_y)
    ports = {"port 1000": _least_squares(old, new, 1000), "port all": _least_squares(old, new, None)}
    if variant.nonlinearity is None:
        ports["pseudo-inverse"] = _pseudo_inverse(variant, data, settings)
    moved = {name: transplant.fold(stolen, FIRST_LAYER, *port) for name, port in ports.items()}
    for name, model in moved.items():
        result[name] = accuracy_of(model, new.rows.test_x, data.test_y)
    tell(2, 5)
    threshold = SHARE_OF_HONEST * result["honest"]
    result["threshold"] = threshold
    for i, (name, model) in enumerate(_starts(moved["port all"], new, data.classes, settings).items()):
        result[f"steps {name}"] = _steps_to(model, new, settings, threshold)
        tell(3 + i, 5)
    return result


def _honest(view: View, classes: int, settings: Settings, epochs: int) -> tuple[nn.Module, int]:
    """A model of whitened features, and the steps it took."""
    torch.manual_seed(settings.seed)
    model = networks.build(networks.mlp(classes), view.rows.shape, classes)
    training = Training(model, view.white, settings.torch_device, seed=settings.seed)
    for _ in range(epochs):
        training.epoch()
    return model, epochs * (len(view.rows.train_y) // min(128, len(view.rows.train_y)))


def _least_squares(old: View, new: View, count: int | None) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """From rows that the thief has seen in both rounds, or published itself."""
    return transplant.from_rows(old.rows.train_x[:count], new.rows.train_x[:count])


def _pseudo_inverse(
    variant: Variant, data: Data, settings: Settings
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """From the two hashes alone, through both rounds' public normalisation."""
    mapping = features.dense(variant.outputs, SEGMENTS)
    hashes = [features.previous_hash(settings.seed, name) for name in ("old", "new")]
    vectors = [mapping_matrix(mapping, phs, data.shape) for phs in hashes]
    matrix = transplant.from_mappings(vectors[0], vectors[1], SEGMENTS)
    raw = [features.raw(mapping, phs, data.train_x).astype(np.float64) for phs in hashes]
    means, scales = [x.mean(axis=0) for x in raw], [x.std(axis=0) for x in raw]
    scales = [np.where(scale > 0, scale, 1.0) for scale in scales]
    return scales[1][:, None] * matrix / scales[0], (means[1] @ matrix - means[0]) / scales[0]


def _starts(ported: nn.Module, new: View, classes: int, settings: Settings) -> dict[str, nn.Module]:
    """Where fine-tuning starts from: the ported model (first layer only, or all), or nothing."""
    torch.manual_seed(settings.seed + 1)
    scratch = networks.build(networks.mlp(classes), new.rows.shape, classes)
    whole = _unfolded(ported, new.whitening)
    first = copy.deepcopy(whole)
    for name, parameter in first.named_parameters():
        parameter.requires_grad_(name.startswith(f"{FIRST_LAYER}."))
    return {"first layer": first, "all layers": whole, "from scratch": scratch}


def _unfolded(model: nn.Module, whitening: Whitening) -> nn.Module:
    """The same function as a model of whitened features, in which training goes fastest."""
    inverse = np.linalg.inv(whitening.matrix)
    return transplant.fold(model, FIRST_LAYER, inverse, whitening.mean)


def _steps_to(model: nn.Module, view: View, settings: Settings, threshold: float) -> int:
    training = Training(model, view.white, settings.torch_device, seed=settings.seed + 1)
    most = MOST_STEPS_EPOCHS * max(1, len(view.rows.train_y) // 128)
    steps, reached = training.steps_until(threshold, on="test", most=most, every=5)
    return steps if reached >= threshold else -most


# --- the convolutional mapping ----------------------------------------------------------------------------------------


def _swap_convolutional(settings: Settings, tell: Tell) -> Result:
    """A CSML swap with the new round's own statistics: nothing is ported."""
    data = load("mnist", settings, bits=BITS, rows=None if settings.is_full else 4000)
    mapping = features.convolutional(8)
    old, new = (features.secure(data, mapping, features.previous_hash(settings.seed, name)) for name in ("old", "new"))
    torch.manual_seed(settings.seed)
    model = networks.build(networks.small_convolutional(data.classes), old.shape, data.classes)
    training = Training(model, old, settings.torch_device, seed=settings.seed)
    epochs = FULL_EPOCHS if settings.is_full else QUICK_EPOCHS
    for epoch in range(epochs):
        training.epoch()
        tell(epoch + 1, epochs)
    return {
        "data": data.name,
        "outputs": old.shape[0],
        "honest": accuracy_of(model, old.test_x, data.test_y),
        "replaced": accuracy_of(model, new.test_x, data.test_y),
    }


# --- what is said about it --------------------------------------------------------------------------------------------

_PORTS = ("pseudo-inverse", "port 1000", "port all")
_STEPS = ("first layer", "all layers", "from scratch")


def _accuracies(results: dict[str, Result]) -> str:
    header = ["mapping", "honest %", "replaced %", "pseudo-inverse %", "least squares, 1,000 rows %", "all rows %"]
    lines = [
        [key, *(f"{result[name]:.2f}" if name in result else "-" for name in ("honest", "replaced", *_PORTS))]
        for key, result in results.items()
    ]
    return markdown_table(header, [["PoLe, Table 3", "99.50", "13.48", "-", "-", "-"], *lines])


def _steps(results: dict[str, Result]) -> str:
    header = ["mapping", "threshold %", *(f"steps, {name}" for name in _STEPS), "all layers / from scratch"]
    lines = []
    for key, result in results.items():
        if "threshold" not in result:
            continue
        steps = [result[f"steps {name}"] for name in _STEPS]
        shown = [f"{count}" if count >= 0 else f"> {-count}" for count in steps]
        share = (
            f"{min(steps[:2], key=abs) / steps[2]:.2f}" if min(steps) > 0 else f"{max(steps[1], 0) / abs(steps[2]):.2f}"
        )
        lines.append([key, f"{result['threshold']:.2f}", *shown, share])
    return markdown_table(header, lines)


def _notes(results: dict[str, Result]) -> list[str]:
    data = next(iter(results.values()))["data"]
    return [
        f"Data: {data}; an MLP on whitened features (4 bits, {SEGMENTS} segments), folded before it is stolen; test "
        "accuracy. `replaced` is the paper's swap.",
        "The ports use no label: the pseudo-inverse needs the two hashes only, least squares the features of the same "
        "rows in both rounds. Each is folded into the first layer, so what is scored is a valid submission.",
        f"Steps: mini-batches of 128 until {100 * SHARE_OF_HONEST:.1f} % of the honest test accuracy, from the model "
        "ported with all rows or from nothing.",
        "`convolutional` swaps the filters and takes the new round's statistics; nothing else is done.",
        "The other rows are candidates for a hardened mapping: query vectors from SHAKE-256, and a function drawn from "
        "the hash after the inner products, which no linear layer can absorb.",
    ]


def _draw(path: Path, results: dict[str, Result]) -> None:
    kept = {key: result for key, result in results.items() if "port all" in result}
    with figure(path, width=9) as [axis]:
        for offset, name in enumerate(("honest", "replaced", "port all")):
            axis.bar(np.arange(len(kept)) + 0.27 * offset, [result[name] for result in kept.values()], 0.25, label=name)
        axis.set_xticks(np.arange(len(kept)) + 0.27, list(kept), rotation=35, ha="right", fontsize=7)
        axis.set(ylabel="test accuracy, %")
        axis.legend(fontsize=8)
