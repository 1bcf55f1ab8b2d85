"""Experiment 3: a stolen model under another round's mapping, as the paper swaps it and as a thief would.

Source: PoLe, section 4.4; the transplants and the hardened candidates are ours.
"""

from dataclasses import dataclass, replace
from functools import partial
from statistics import median

import numpy as np
import torch
from torch import nn

from experiments import features, hardening, networks, transplant
from experiments.cells import Cell, Result, Tell, run_cells
from experiments.data import Data, load
from experiments.hardening import Nonlinearity
from experiments.race import Start, steps_to, teacher_of
from experiments.report import Report
from experiments.settings import Settings
from experiments.training import Rows, Training, accuracy_of
from experiments.transplant import Seen
from experiments.transplant_report import claims, drawn, notes, tables
from miner.training.whitening import HALF, Whitening, whitening_of
from pole.learning.mapping import mapping_matrix

BITS, SEGMENTS = 4, 4
EPOCHS, LR = 8, 2e-3
SHARES_OF_HONEST = (0.985, 0.995)
"""The thresholds of "steps until": shares of the honest test accuracy."""
MOST_EPOCHS = 3
LAYERS = ["hidden0", "hidden1", "last"]
SCRATCH_RUNS = 3
RATE, GENTLE_RATE, FULL_RATES = 6e-3, 1e-3, (1e-3, 3e-3, 6e-3, 1e-2)
"""Of races: the best of the four for training from nothing, what suits a start that is nearly there, all."""
NEARLY = 3.0
"""Points below the higher threshold."""
SEEDS = 6
"""Pairs of hashes; without `--full` only for the variants that the target is about."""
CONVOLUTIONAL_ROWS, CONVOLUTIONAL_LR = 4000, 1e-2


@dataclass(frozen=True)
class Variant:
    """A mapping to swap. `vectors`: inner products per row; `nonlinearity`: none for the published mapping."""

    name: str
    vectors: int
    nonlinearity: Nonlinearity | None = None
    is_repeated: bool = False

    @property
    def key(self) -> str:
        return f"{self.name.lower().replace(' ', '-')}-{self.vectors}"


def variants() -> list[Variant]:
    published = [Variant("paper", count) for count in (32, 128, 256)]
    linear = [Variant("xof linear", count, hardening.LINEAR, count == 128) for count in (32, 128, 256)]
    chosen = [Variant(hardening.CHOSEN.name, count, hardening.CHOSEN, count == 128) for count in (32, 128, 256)]
    others = [Variant(each.name, 128, each) for each in hardening.OTHERS]
    return [*published, *linear, *chosen, *others]


def run(settings: Settings) -> Report:
    folder = settings.folder("replaced-mapping")
    seeds = {each.key: range(settings.seed, settings.seed + _repeats(each, settings)) for each in variants()}
    cells = [
        Cell(f"{variant.key}-seed{seed}", partial(_swap, variant, seed, settings))
        for variant in variants()
        for seed in seeds[variant.key]
    ]
    cells.append(Cell("convolutional", partial(_swap_convolutional, settings)))
    results = run_cells(folder / "cells", cells)
    by_variant = {key: _medians([results[f"{key}-seed{seed}"] for seed in seeds[key]]) for key in seeds}
    swapped = {"convolutional": results["convolutional"]}
    pictures = drawn(folder, by_variant, SHARES_OF_HONEST)
    title = "Experiment 3: another mapping under a stolen model (Table 3)"
    said = notes(by_variant, SHARES_OF_HONEST)
    table = tables(by_variant, swapped, SHARES_OF_HONEST)
    return Report("replaced-mapping", title, table, pictures, said, claims(by_variant["paper-128"]))


def _repeats(variant: Variant, settings: Settings) -> int:
    return SEEDS if settings.is_full or variant.is_repeated else 1


def _medians(results: list[Result]) -> Result:
    """Of every number over the seeds."""
    merged: Result = dict(results[0])
    for name, value in results[0].items():
        if isinstance(value, float | int):
            merged[name] = median(result[name] for result in results)
        if isinstance(value, dict):
            merged[name] = {
                each: [median(result[name][each][i] for result in results) for i in range(len(SHARES_OF_HONEST))]
                for each in value
            }
    return {**merged, "runs": results}


# --- dense mappings ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class View:
    """A data set as one round shows it: what a submitted model sees, the same as it is trained on, and the branches."""

    rows: Rows
    trained: Rows
    whitening: Whitening | None
    branch: transplant.Branches

    @property
    def seen(self) -> Seen:
        return Seen(self.trained.train_x, self.branch)


def _view(variant: Variant, data: Data, phs: bytes) -> View:
    none = np.zeros(len(data.train_y), dtype=np.int64)
    if variant.nonlinearity is None:
        rows = features.secure(data, features.dense(variant.vectors, SEGMENTS), phs)
        # As the default miner trains.
        whitening = whitening_of(rows.train_x, has_bias=True, power=HALF)
        white = Rows(whitening.apply(rows.train_x), rows.train_y, whitening.apply(rows.test_x), rows.test_y)
        return View(rows, white, whitening, none)
    mapping = hardening.hardened(
        data.train_x,
        phs,
        vectors=variant.vectors // SEGMENTS,
        segments=SEGMENTS,
        nonlinearity=variant.nonlinearity,
    )
    rows = Rows(mapping.apply(data.train_x), data.train_y, mapping.apply(data.test_x), data.test_y)
    branch = mapping.branch(data.train_x)
    return View(rows, rows, None, none if branch is None else branch)


def _swap(variant: Variant, seed: int, settings: Settings, tell: Tell) -> Result:
    """Train under one hash, then try to use the model under another."""
    data = load("mnist", settings, bits=BITS)
    old, new = (_view(variant, data, features.previous_hash(seed, name)) for name in ("old", "new"))
    tell(1, 4)
    stolen, epoch_s = _honest(old, data.classes, seed, settings)
    honest = accuracy_of(stolen, old.trained.test_x, data.test_y)
    submitted = old.whitening.fold(stolen, LAYERS[0]) if old.whitening else stolen
    result: Result = {
        "data": data.name,
        "outputs": old.rows.shape[0],
        "epoch_s": epoch_s,
        "honest": honest,
        "replaced": accuracy_of(submitted, new.rows.test_x, data.test_y),
    }
    tell(2, 4)
    ports = _ports(stolen, old, new)
    result |= {name: accuracy_of(model, new.trained.test_x, data.test_y) for name, model in ports.items()}
    if variant.nonlinearity is None:
        moved = transplant.fold(submitted, LAYERS[0], *_pseudo_inverse(variant, data, seed))
        result["pseudo-inverse"] = accuracy_of(moved, new.rows.test_x, data.test_y)
    tell(3, 4)
    result |= _raced(stolen, ports, old, new, data, seed, settings)
    tell(4, 4)
    return result


def _honest(view: View, classes: int, seed: int, settings: Settings) -> tuple[nn.Module, float]:
    """A trained model, and the CPU seconds of an epoch."""
    torch.manual_seed(seed)
    model = networks.build(networks.mlp(classes), view.rows.shape, classes)
    training = Training(model, view.trained, settings.torch_device, seed=seed, lr=LR, epochs=EPOCHS)
    for _ in range(EPOCHS):
        training.epoch()
    return model.cpu(), median(training.curve.cpu_s)


def _ports(stolen: nn.Module, old: View, new: View) -> dict[str, nn.Module]:
    """Label-free transplants of the stolen model, both rounds' features as they are trained on."""
    layer, a, b = LAYERS[0], old.seen, new.seen
    ports = {
        "port 1000": transplant.first_layer(stolen, layer, a.x[:1000], b.x[:1000]),
        "port all": transplant.first_layer(stolen, layer, a.x, b.x),
        "layer by layer": transplant.layer_by_layer(stolen, LAYERS, a.x, b.x),
    }
    if len(np.unique(b.branch)) > 1:
        ports["same branch"] = transplant.same_branch(stolen, layer, a, b)
        shared = [transplant.shared_units(stolen, LAYERS, a, b, is_gated=gated) for gated in (False, True)]
        ports["shared units"] = _better(shared, new)
    return ports


def _better(models: list[nn.Module], view: View) -> nn.Module:
    """By training accuracy: a thief has no other."""
    return max(models, key=lambda model: accuracy_of(model, view.trained.train_x, view.trained.train_y))


def _pseudo_inverse(variant: Variant, data: Data, seed: int) -> transplant.Port:
    """From the two hashes alone, through both rounds' public normalisation."""
    mapping = features.dense(variant.vectors, SEGMENTS)
    hashes = [features.previous_hash(seed, name) for name in ("old", "new")]
    vectors = [mapping_matrix(mapping, phs, data.shape) for phs in hashes]
    matrix = transplant.from_mappings(vectors[0], vectors[1], SEGMENTS)
    raw = [features.raw(mapping, phs, data.train_x).astype(np.float64) for phs in hashes]
    means, scales = [x.mean(axis=0) for x in raw], [x.std(axis=0) for x in raw]
    scales = [np.where(scale > 0, scale, 1.0) for scale in scales]
    return scales[1][:, None] * matrix / scales[0], (means[1] @ matrix - means[0]) / scales[0]


# --- races ------------------------------------------------------------------------------------------------------------


def _raced(
    stolen: nn.Module, ports: dict[str, nn.Module], old: View, new: View, data: Data, seed: int, settings: Settings
) -> Result:
    """Steps to each threshold: `attacks` by name, `scratch` the median over several starts from nothing.

    One more than `most` where that many were not enough.
    """
    honest = accuracy_of(stolen, old.trained.test_x, data.test_y)
    most = MOST_EPOCHS * max(1, len(data.train_y) // 128)

    thresholds = [share * honest for share in SHARES_OF_HONEST]

    def race(start: Start, order: int = 0) -> list[int]:
        found = steps_to(
            start,
            new.trained,
            thresholds,
            most=most,
            seed=seed + 1 + order,
            device=settings.torch_device,
            rates=FULL_RATES if settings.is_full else _rates(start, new, max(thresholds)),
        )
        return [most + 1 if steps is None else steps for steps in found]

    scratch = [race(Start(_untrained(new, data, seed + 1 + i)), i) for i in range(SCRATCH_RUNS)]
    attacks = {name: race(start) for name, start in _starts(stolen, ports, old, new, data, seed).items()}
    medians = [median(run[i] for run in scratch) for i in range(len(SHARES_OF_HONEST))]
    return {"most": most, "scratch": {"scratch": medians}, "attacks": attacks}


def _rates(start: Start, view: View, threshold: float) -> tuple[float, ...]:
    reached = accuracy_of(start.model, view.trained.test_x, view.trained.test_y)
    return (GENTLE_RATE, RATE) if reached > threshold - NEARLY else (RATE,)


def _starts(
    stolen: nn.Module, ports: dict[str, nn.Module], old: View, new: View, data: Data, seed: int
) -> dict[str, Start]:
    """Where a thief may begin, and what it then trains on: labels, or the stolen model's answers on the old rows."""
    teacher = teacher_of(stolen, LAYERS[1], old.trained.train_x)
    port = ports["port all"]
    best = _better([model for name, model in ports.items() if name not in ("port all", "port 1000")], new)
    untrained = _untrained(new, data, seed + 1)
    kept = transplant.with_layer_of(stolen, LAYERS[0], untrained)
    return {
        "first layer": Start(port, f"{LAYERS[0]}."),
        "all layers": Start(port),
        "imitating": Start(port, teacher=teacher),
        "imitating, labels too": Start(port, teacher=replace(teacher, has_labels=True)),
        "best port, all layers": Start(best),
        "best port, imitating": Start(best, teacher=teacher),
        "later layers kept": Start(kept),
        "imitating from nothing": Start(untrained, teacher=teacher),
    }


def _untrained(view: View, data: Data, seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return networks.build(networks.mlp(data.classes), view.rows.shape, data.classes)


# --- the convolutional mapping ----------------------------------------------------------------------------------------


def _swap_convolutional(settings: Settings, tell: Tell) -> Result:
    """A CSML swap with the new round's own statistics; then the old channels guessed from the new ones."""
    rows = None if settings.is_full else CONVOLUTIONAL_ROWS
    data = load("mnist", settings, bits=BITS, rows=rows)
    mapping = features.convolutional(8)
    hashes = [features.previous_hash(settings.seed, name) for name in ("old", "new")]
    old, new = (features.secure(data, mapping, phs) for phs in hashes)
    torch.manual_seed(settings.seed)
    model = networks.build(networks.small_convolutional(data.classes), old.shape, data.classes)
    lr = CONVOLUTIONAL_LR
    training = Training(model, old, settings.torch_device, seed=settings.seed, lr=lr, epochs=EPOCHS)
    for epoch in range(EPOCHS):
        training.epoch()
        tell(epoch + 1, EPOCHS)
    honest, replaced = (accuracy_of(model, rows.test_x, data.test_y) for rows in (old, new))
    ports = {}
    for name, count in (("port 1000", 1000), ("port all", len(data.train_y))):
        port = transplant.from_pixels(old.train_x[:count], new.train_x[:count])
        ports[name] = accuracy_of(transplant.fold_channels(model, "conv0", port), new.test_x, data.test_y)
    return {
        "data": data.name,
        "rows": len(data.train_y),
        "outputs": old.shape[0],
        "honest": honest,
        "replaced": replaced,
        **ports,
    }
