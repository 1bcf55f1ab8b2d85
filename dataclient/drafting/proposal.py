"""Proposes every choice of a task from the training rows: discretisation, mapping, model, threshold, time limit."""

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from dataclient.drafting.baseline import baseline_ppm
from dataclient.drafting.linear_scores import DEFAULT_METRICS, linear_ppm, propose_quantities, required_ppm
from dataclient.drafting.models import ModelWord, named_model
from dataclient.sources.load import SourceOptions
from dataclient.sources.plain import PlainData
from dataclient.task_file import Encryption, TaskFile, TermsSection, first_problem, is_named_set
from pole.encryption.points import PointForm
from pole.errors import BadInput
from pole.money import ether_to_wei
from pole.task.manifest import (
    Activation,
    AnyLayer,
    AnyMapping,
    Convolution,
    ConvolutionalMapping,
    DenseMapping,
    Discretisation,
    GlobalPool,
    GraphModel,
    Linear,
    Normalisation,
    Pool,
)

THRESHOLD_MARGIN_PPM = 30_000
PPM_PER_PERCENT = 10_000
MIN_TIME_LIMIT_S = 120
TRAINING_PASSES = 50
FLOPS_PER_S = 2e9
SEGMENTED_FROM = 256
SEGMENTS = (8, 4, 1)  # eight, of neighbouring pixels, keep more of MNIST than the paper's four do
MAX_OUTPUTS = 128
WIDE_TABLE = 64


@dataclass(frozen=True)
class Wishes:
    """What the client decided on the command line; None leaves the choice to the proposal."""

    scheme: Literal["none", "ipfe-secp256k1"] = "ipfe-secp256k1"
    is_test_set_encrypted: bool = True
    points: PointForm = "uncompressed"
    name: str | None = None
    metric: str | None = None
    model: ModelWord = "auto"
    reward_ether: str = "0.1"
    time_limit_s: int | None = None
    required_train_ppm: int | None = None
    solutions_wanted: int = 1
    bits: int | None = None
    vectors: int | None = None
    segments: int | None = None
    mapping: Literal["dense", "convolutional"] | None = None


@dataclass(frozen=True)
class ProposedTask:
    """`baseline_ppm`: what a linear model reaches on the mapped, discretised rows; None if a threshold was given."""

    task: TaskFile
    baseline_ppm: int | None


def propose(training: PlainData, options: SourceOptions, wishes: Wishes, *, miner_setup_s: float = 0.0) -> ProposedTask:
    """A task for these training rows. `miner_setup_s`: expected decryption time, part of the training clock."""
    _check_wishes(wishes)
    try:
        return _propose(training, options, wishes, miner_setup_s)
    except ValidationError as exc:
        raise BadInput(f"{options.source} cannot be commissioned like this: {first_problem(exc)}") from exc


def _propose(training: PlainData, options: SourceOptions, wishes: Wishes, miner_setup_s: float) -> ProposedTask:
    mapping = propose_mapping(training.shape, wishes)
    discretisation = propose_discretisation(training, wishes.bits)
    outputs = mapping.output_shape(training.shape)
    if wishes.model == "auto":
        model = propose_model(outputs, len(training.names))
    else:
        model = named_model(wishes.model, outputs, len(training.names))
    metric = wishes.metric or DEFAULT_METRICS[training.target]
    quantities = propose_quantities(training, options.unit)
    measured = required = None
    if wishes.required_train_ppm is None and metric == "accuracy":
        measured = baseline_ppm(training, discretisation, mapping)
        required = threshold_ppm(measured, len(training.class_names))
    elif wishes.required_train_ppm is None:
        measured = linear_ppm(training, discretisation, mapping, metric, quantities)
        required = required_ppm(measured)
    terms = TermsSection(
        reward_ether=wishes.reward_ether,
        time_limit_s=wishes.time_limit_s or propose_time_limit_s(model, outputs, training.rows, miner_setup_s),
        required_train_ppm=wishes.required_train_ppm or required or PPM_PER_PERCENT,
        solutions_wanted=wishes.solutions_wanted,
    )
    task = TaskFile(
        name=wishes.name or propose_name(options.source),
        metric=metric,
        data=options,
        quantities=quantities,
        discretisation=discretisation,
        mapping=mapping,
        model=model,
        encryption=propose_encryption(mapping, training.shape, wishes),
        terms=terms,
    )
    return ProposedTask(task, measured)


def _check_wishes(wishes: Wishes) -> None:
    try:
        ether_to_wei(wishes.reward_ether)
    except ValueError as exc:
        raise BadInput(f"reward: {exc}") from exc


def propose_name(source: str) -> str:
    """The source's own name, as far as a task's name may hold it."""
    text = source.partition(":")[2] if is_named_set(source) else Path(source).stem
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", text).strip("-_.")[:64] or "task"


def propose_discretisation(training: PlainData, bits: int | None) -> Discretisation:
    """Tables: one range per column, 8 bits; pixels: one range for all, 4 bits (8-bit images: 0 to 255)."""
    if training.has_columns:
        low, high = training.x.min(axis=0), training.x.max(axis=0)
        return Discretisation(
            bits=bits or (8 if training.x.shape[1] <= WIDE_TABLE else 4),
            minimum=[float(value) for value in low],
            maximum=[float(value) for value in high],
        )
    if training.x.dtype == "uint8":
        return Discretisation(bits=bits or 4, minimum=[0.0], maximum=[255.0])
    lowest, highest = float(training.x.min()), float(training.x.max())
    if lowest == highest:
        raise BadInput(f"every feature of every row is {lowest}; there is nothing to learn from")
    return Discretisation(bits=bits or 4, minimum=[lowest], maximum=[highest])


def propose_mapping(shape: tuple[int, ...], wishes: Wishes) -> AnyMapping:
    """Colour images: 4 filters per channel. Else a quarter of the features (what lattices do not open), at least 3."""
    is_colour_image = len(shape) == 3 and shape[0] > 1 and min(shape[1:]) >= 8
    kind = wishes.mapping or ("convolutional" if is_colour_image and not wishes.vectors else "dense")
    if kind == "convolutional":
        if len(shape) != 3:
            raise BadInput(f"a convolutional mapping needs images; these rows have {shape[0]} features")
        return ConvolutionalMapping(filters=4, kernel=3)
    features = math.prod(shape)
    segments = wishes.segments or _propose_segments(features)
    if features % segments:
        raise BadInput(f"{segments} segments do not divide {features} features equally; choose a divisor")
    width = features // segments
    if wishes.vectors is not None and wishes.scheme != "none" and wishes.vectors >= width:
        raise BadInput(
            f"{wishes.vectors} query vectors on {width} features per segment would give the data away outright; "
            f"choose at most {width - 1}"
        )
    proposed = min(max(3, width // 4), max(1, MAX_OUTPUTS // segments), max(1, width - 1))
    return DenseMapping(vectors=wishes.vectors or proposed, segments=segments)


def _propose_segments(features: int) -> int:
    return next(count for count in SEGMENTS if features % count == 0) if features >= SEGMENTED_FROM else 1


def propose_encryption(mapping: AnyMapping, shape: tuple[int, ...], wishes: Wishes) -> Encryption:
    """The rank limit allows a second round on another hash if that stays under 3/8 of the features of a segment."""
    if wishes.scheme == "none":
        return Encryption(scheme="none")
    rank_limit = math.prod(shape)  # a convolutional mapping's keys open everything
    if isinstance(mapping, DenseMapping):
        width = math.prod(shape) // mapping.segments
        if width < 2:
            raise BadInput("a single feature per segment cannot be encrypted: any key opens it; say --no-encryption")
        rank_limit = max(mapping.vectors, min(2 * mapping.vectors, 3 * width // 8))
    return Encryption(
        scheme="ipfe-secp256k1",
        rank_limit=rank_limit,
        encrypt_test_set=wishes.is_test_set_encrypted,
        points=wishes.points,
    )


def propose_model(outputs: tuple[int, ...], classes: int) -> GraphModel:
    """Dense features: two hidden layers; images: a small convolutional network."""
    return _convolutional_model(classes) if len(outputs) == 3 else _dense_model(outputs[0], classes)


def _dense_model(features: int, classes: int) -> GraphModel:
    first = min(512, max(32, 1 << (4 * features - 1).bit_length()))
    return GraphModel(
        layers=[
            Linear(name="hidden1", size=first),
            Activation(name="active1", type="relu"),
            Linear(name="hidden2", size=first // 2),
            Activation(name="active2", type="relu"),
            Linear(name="classes", size=classes),
        ]
    )


def _convolutional_model(classes: int) -> GraphModel:
    layers: list[AnyLayer] = []
    for i, channels in enumerate((32, 64, 128), start=1):
        layers += [
            Convolution(name=f"conv{i}", channels=channels, kernel=3, padding=1, bias=False),
            Normalisation(name=f"norm{i}", type="batch_norm"),
            Activation(name=f"active{i}", type="relu"),
        ]
        if i < 3:
            layers.append(Pool(name=f"pool{i}", type="max_pool", kernel=2, stride=2))
    return GraphModel(layers=[*layers, GlobalPool(name="pooled"), Linear(name="classes", size=classes)])


def threshold_ppm(measured_ppm: int, classes: int) -> int:
    """The baseline less a margin, in whole per cent, but never below half-way from chance to the baseline."""
    chance_ppm = 1_000_000 // classes
    wanted = max(measured_ppm - THRESHOLD_MARGIN_PPM, (measured_ppm + chance_ppm) // 2)
    return max(PPM_PER_PERCENT, min(wanted, measured_ppm) // PPM_PER_PERCENT * PPM_PER_PERCENT)


def propose_time_limit_s(model: GraphModel, outputs: tuple[int, ...], rows: int, miner_setup_s: float) -> int:
    """Decryption plus many passes on a slow machine, rounded up to a whole minute."""
    flops = 6 * rows * TRAINING_PASSES * _multiplications(model, outputs)
    return max(MIN_TIME_LIMIT_S, math.ceil((2 * miner_setup_s + flops / FLOPS_PER_S) / 60) * 60)


def _multiplications(model: GraphModel, outputs: tuple[int, ...]) -> int:
    """Multiplications of one row through a proposed model."""
    from pole.exact.size import measure_model

    last = model.layers[-1]
    assert isinstance(last, Linear)
    return measure_model(model, outputs, last.size).multiplications
