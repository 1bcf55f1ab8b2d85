"""Proposes every choice of a task from the training rows: discretisation, mapping, model, threshold, time limit."""

import math
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from dataclient.drafting.frontier import Frontier, Say, frontier
from dataclient.drafting.linear_scores import (
    DEFAULT_METRICS,
    LinearScores,
    linear_scores,
    propose_quantities,
    required_ppm,
)
from dataclient.drafting.models import ModelWord, named_model
from dataclient.sources.load import SourceOptions
from dataclient.sources.plain import PlainData
from dataclient.task_file import Encryption, TaskFile, TermsSection, is_named_set
from pole.chain.structs import MAX_SUBMISSIONS
from pole.document import first_problem
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
    Dropout,
    GlobalPool,
    GraphModel,
    Linear,
    Normalisation,
    Pool,
    Shape,
)

PPM = 1_000_000
THRESHOLD_MARGIN_PPM = 30_000
PPM_PER_PERCENT = 10_000
MIN_TIME_LIMIT_S = 120
TRAINING_PASSES = 50
FLOPS_PER_S = 2e9
SEGMENTED_FROM = 256
SEGMENTS = (8, 4, 1)  # eight, of neighbouring pixels, keep more of MNIST than the paper's four do
LEAST_OUTPUTS = 128  # at most, of the smallest mapping: lattices do not open its rows
MAX_OUTPUTS = 1024
WIDE_TABLE = 64
DROPOUT = 0.2

Protection = Literal["accuracy", "balanced", "rows"]


@dataclass(frozen=True)
class Wishes:
    """What the client decided on the command line; None leaves the choice to the proposal.

    `close_after`: how many qualified solutions end the training; None: time alone does.
    """

    scheme: Literal["none", "ipfe-secp256k1"] = "ipfe-secp256k1"
    is_test_set_encrypted: bool = True
    points: PointForm = "uncompressed"
    name: str | None = None
    metric: str | None = None
    model: ModelWord = "auto"
    reward_ether: str = "0.1"
    time_limit_s: int | None = None
    required_train_ppm: int | None = None
    close_after: int | None = None
    protect: Protection = "balanced"
    bits: int | None = None
    vectors: int | None = None
    segments: int | None = None
    mapping: Literal["dense", "convolutional"] | None = None


@dataclass(frozen=True)
class ProposedTask:
    """`measured`: None if mapping and threshold were given."""

    task: TaskFile
    measured: Frontier | LinearScores | None


def propose(
    training: PlainData,
    options: SourceOptions,
    wishes: Wishes,
    *,
    say: Say = lambda _: None,
) -> ProposedTask:
    """A task for these training rows. `say` takes what is about to be measured, and how long that will take."""
    _check_wishes(wishes)
    try:
        return _propose(training, options, wishes, say)
    except ValidationError as exc:
        raise BadInput(f"{options.source} cannot be commissioned like this: {first_problem(exc)}") from exc


def _propose(training: PlainData, options: SourceOptions, wishes: Wishes, say: Say) -> ProposedTask:
    mappings = propose_mappings(training.shape, wishes)
    task = _task(training, options, wishes, mappings[0], wishes.required_train_ppm or PPM_PER_PERCENT)
    if wishes.required_train_ppm is not None and len(mappings) == 1:
        return ProposedTask(task, None)
    measured: Frontier | LinearScores
    if task.metric == "accuracy":
        measured = frontier(training, task.discretisation, mappings, say)
    else:
        measured = linear_scores(training, task.discretisation, mappings, task.metric, task.quantities)
    picked = measured.pick(wishes.protect)
    required = wishes.required_train_ppm or _required_ppm(picked.reached, training, task.metric)
    return ProposedTask(_task(training, options, wishes, picked.mapping, required), measured)


def _task(
    training: PlainData, options: SourceOptions, wishes: Wishes, mapping: AnyMapping, required_train_ppm: int
) -> TaskFile:
    """Takes no time, so that whatever cannot be commissioned is refused before anything is measured."""
    outputs = mapping.output_shape(training.shape)
    if wishes.model == "auto":
        model = propose_model(outputs, len(training.names))
    else:
        model = named_model(wishes.model, outputs, len(training.names))
    time_limit_s = wishes.time_limit_s or propose_time_limit_s(model, outputs, training.rows, 0.0)
    return TaskFile(
        name=wishes.name or propose_name(options.source),
        metric=wishes.metric or DEFAULT_METRICS[training.target],
        data=options,
        quantities=propose_quantities(training, options.unit),
        discretisation=propose_discretisation(training, wishes.bits),
        mapping=mapping,
        model=model,
        encryption=propose_encryption(mapping, training.shape, wishes),
        terms=TermsSection(
            reward_ether=wishes.reward_ether,
            time_limit_s=time_limit_s,
            required_train_ppm=required_train_ppm,
            solutions_wanted=wishes.close_after or MAX_SUBMISSIONS,
            earliest_close_s=0 if wishes.close_after else time_limit_s,
        ),
    )


def _required_ppm(reached: float, training: PlainData, metric: str) -> int:
    """What miners have to reach on training rows, given what quick models reach on rows held out, from 0 to 1."""
    if metric == "accuracy":
        return threshold_ppm(int(reached * PPM), len(training.class_names))
    return required_ppm(int(reached * PPM))


def with_miner_setup(proposal: ProposedTask, training: PlainData, miner_setup_s: float) -> ProposedTask:
    """The same task with the time that miners need to decrypt, part of the training clock, in its limit."""
    task = proposal.task
    assert isinstance(task.model, GraphModel)
    outputs = task.mapping.output_shape(training.shape)
    limit_s = propose_time_limit_s(task.model, outputs, training.rows, miner_setup_s)
    terms = task.terms.model_copy(update={"time_limit_s": limit_s})
    return replace(proposal, task=task.model_copy(update={"terms": terms}))


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


def propose_mappings(shape: tuple[int, ...], wishes: Wishes) -> list[AnyMapping]:
    """What to choose from: colour images: 4 filters per channel; else dense mappings, the smallest first."""
    is_colour_image = len(shape) == 3 and shape[0] > 1 and min(shape[1:]) >= 8
    kind = wishes.mapping or ("convolutional" if is_colour_image and not wishes.vectors else "dense")
    if kind == "convolutional":
        if len(shape) != 3:
            raise BadInput(f"a convolutional mapping needs images; these rows have {shape[0]} features")
        return [ConvolutionalMapping(filters=4, kernel=3)]
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
    counts = [wishes.vectors] if wishes.vectors else propose_vectors(width, segments, wishes)
    return [DenseMapping(vectors=count, segments=segments) for count in counts]


def propose_vectors(width: int, segments: int, wishes: Wishes) -> list[int]:
    """Query vectors per segment to choose from, ascending; twice the features where there is nothing to hide."""
    if wishes.scheme == "none":
        return [2 * width if 2 * width * segments <= MAX_OUTPUTS else width]
    least = min(max(3, width // 4), max(1, LEAST_OUTPUTS // segments), max(1, width - 1))
    return sorted({least, *(count for count in (width // 2, 3 * width // 4, width - 1) if count > least)})


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
    """Dense features: two hidden layers beside a linear one; images: a small convolutional network."""
    return _convolutional_model(classes) if len(outputs) == 3 else _dense_model(outputs[0], classes)


def _dense_model(features: int, classes: int) -> GraphModel:
    first = min(512, max(32, 1 << (4 * features - 1).bit_length()))
    return GraphModel(
        layers=[
            Linear(name="hidden1", size=first),
            Activation(name="active1", type="relu"),
            Dropout(name="dropout1", probability=DROPOUT),
            Linear(name="hidden2", size=first // 2),
            Activation(name="active2", type="relu"),
            Dropout(name="dropout2", probability=DROPOUT),
            Linear(name="deep", size=classes),
            Linear(name="direct", size=classes, inputs=["input"]),
            Shape(name="classes", type="add", inputs=["deep", "direct"]),
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

    last = next(layer for layer in reversed(model.layers) if isinstance(layer, Linear))
    return measure_model(model, outputs, last.size).multiplications
