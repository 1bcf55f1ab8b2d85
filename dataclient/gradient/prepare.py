"""Makes a gradient task ready to submit: rows, network, first weights, the start-up check, the first threshold."""

import math

import numpy as np
import numpy.typing as npt
import torch
from pydantic import ValidationError

from dataclient.drafting.proposal import propose_discretisation
from dataclient.gradient.network import propose_network
from dataclient.gradient.task_folder import GradientOrder, OrderHome, PreparedOrder
from dataclient.sources.load import load_source, training_and_test
from dataclient.sources.plain import PlainData
from pole.chain.gradient_structs import GradientParameters
from pole.document import first_problem
from pole.errors import BadInput, ManifestInvalid
from pole.gradient.claim import LONG_BLOCK_SEGMENTS
from pole.gradient.difficulty import MAX_THRESHOLD
from pole.gradient.manifest import DIGEST_BITS, MAX_SEGMENTS, GradientManifest, InputScaling
from pole.gradient.network import FlatNetwork, prepare_torch
from pole.gradient.pace import steps_per_second
from pole.gradient.samples import Samples
from pole.gradient.startup import MIN_SURPRISE, check_startup, measure_surprise
from pole.gradient.trajectory import first_eligible_step
from pole.storage.store import Store
from pole.task.manifest import DataSet, Discretisation, RowFile
from pole.task.rows import Rows, discretise, rows_to_bytes

PIXEL_BITS = 8
MIN_BLOCK_TIME_LIMIT_S = 60
INTERVALS_PER_LIMIT = 30
CHECKPOINTS_PER_BLOCK = 4
MAX_CHECKPOINT_INTERVAL = 128  # devices drift apart with every step, so more only if blocks have very many
LONGEST_CHECKPOINT_INTERVAL = 8192
LONGEST_SURPRISE = 1024
STEPS_BEFORE_FIRST = 4  # a share of a block's steps: what addresses to choose from would have to pay for, each
LONGEST_BLOCKS = 64
MAX_REQUIREMENTS = 64


def prepare(order: GradientOrder, home: OrderHome, store: Store, parameters: GradientParameters) -> PreparedOrder:
    """Publishes rows, manifest and first weights; called again, it returns what was prepared. Raises PoleError."""
    done = home.prepared()
    if done is not None:
        return done
    prepare_torch("cpu", threads=1)
    training, test, discretisation = _rows(order)
    rows = [Rows(discretise(part.x, discretisation), part.labels) for part in (training, test)]
    draft = _manifest(order, training, discretisation, rows, store)
    samples = Samples.from_rows(rows[0], rows[1], draft.scaling)
    rate = steps_per_second(FlatNetwork.genesis(draft, order.seed), samples)
    steps = order.steps_per_block or max(1, round(rate * order.target_interval_s))
    manifest = _paced(order, draft, steps)
    if order.rules == "hardened":  # the paper's rules take any network, and what comes of it
        manifest = _shared(order, _surprising(order, manifest, samples), steps)
        check_startup(FlatNetwork.genesis(manifest, order.seed), samples, order.check_steps)
    network = FlatNetwork.genesis(manifest, order.seed)
    limit_s = max(MIN_BLOCK_TIME_LIMIT_S, INTERVALS_PER_LIMIT * order.target_interval_s)
    prepared = PreparedOrder(
        manifest=str(store.put(manifest.to_bytes())),
        genesis_weights=str(store.put(network.to_bytes())),
        block_time_limit_s=order.block_time_limit_s or min(limit_s, parameters.max_block_time_limit_s),
        steps_per_s=rate,
        **_bounds(order, manifest, steps),
    )
    home.keep_prepared(prepared)
    return prepared


def _rows(order: GradientOrder) -> tuple[PlainData, PlainData, Discretisation]:
    training, test = training_and_test(load_source(order.data), order.data)
    return training, test, propose_discretisation(training, PIXEL_BITS)


def _manifest(
    order: GradientOrder, training: PlainData, discretisation: Discretisation, rows: list[Rows], store: Store
) -> GradientManifest:
    files = [_stored(part, store) for part in rows]
    model = propose_network(order.model, training.shape, len(training.class_names), training.has_columns)
    try:
        manifest = GradientManifest(
            name=order.name,
            rules=order.rules,
            model=model,
            data=DataSet(
                shape=list(training.shape),
                class_names=list(training.class_names),
                discretisation=discretisation,
                training_set=files[:1],
                test_rows=files[1].rows,
                test_size_bytes=files[1].size_bytes,
            ),
            test_set=files[1],
            scaling=_scaling(rows[0].x, training.has_columns),
            batch_size=order.batch_size,
            learning_rate=order.learning_rate,
            requirement_count=DIGEST_BITS if order.rules == "hardened" else 1,
            segments=order.segments or "all",
            redundancy=order.redundancy,
            devices=order.devices or ("alike" if order.model == "resnet18" else "any"),
        )
    except ValidationError as exc:
        raise ManifestInvalid(f"gradient task {order.name!r}: {first_problem(exc)}") from exc
    return GradientManifest.from_bytes(manifest.to_bytes())


def _stored(rows: Rows, store: Store) -> RowFile:
    content = rows_to_bytes(rows)
    return RowFile(cid=str(store.put(content)), rows=len(rows.labels), size_bytes=len(content))


def _scaling(levels: npt.NDArray[np.uint8], has_columns: bool) -> InputScaling:
    """Of every channel or column; of all together where a row is one flat picture. Constant ones are not scaled."""
    is_flat_picture = levels.ndim == 2 and not has_columns
    axes = None if is_flat_picture else tuple(axis for axis in range(levels.ndim) if axis != 1)
    mean, deviation = np.atleast_1d(levels.mean(axis=axes)), np.atleast_1d(levels.std(axis=axes))
    return InputScaling(mean=mean.tolist(), deviation=[value if value > 0 else 1.0 for value in deviation.tolist()])


def _paced(order: GradientOrder, manifest: GradientManifest, steps: int) -> GradientManifest:
    """With what depends on how many steps a block takes. Under the paper's rules each requirement halves the chance.

    Powers of two are what a GPU divides its steps by.
    """
    proposed_interval = min(MAX_CHECKPOINT_INTERVAL, _power_of_two(steps / CHECKPOINTS_PER_BLOCK))
    least_interval = _power_of_two(CHECKPOINTS_PER_BLOCK * steps / MAX_SEGMENTS)
    interval = order.checkpoint_interval or min(LONGEST_CHECKPOINT_INTERVAL, max(proposed_interval, least_interval))
    changes: dict[str, int] = {"checkpoint_interval": interval}
    if order.rules == "paper":
        proposed = min(MAX_REQUIREMENTS, max(1, round(math.log2(steps * order.miners))))
        changes["requirement_count"] = order.requirement_count or proposed
    return GradientManifest.from_bytes(manifest.model_copy(update=changes).to_bytes())


def _surprising(order: GradientOrder, manifest: GradientManifest, samples: Samples) -> GradientManifest:
    """With segments so long that nobody can foretell where they lead to, unless the order says how long they are."""
    while order.checkpoint_interval is None and manifest.checkpoint_interval < LONGEST_SURPRISE:
        if measure_surprise(FlatNetwork.genesis(manifest, order.seed), samples) >= MIN_SURPRISE:
            break
        manifest = manifest.model_copy(update={"checkpoint_interval": 2 * manifest.checkpoint_interval})
    return GradientManifest.from_bytes(manifest.to_bytes())


def _power_of_two(least: float) -> int:
    return 1 << max(0, math.ceil(math.log2(least)))


def _shared(order: GradientOrder, manifest: GradientManifest, steps: int) -> GradientManifest:
    """With samples instead of whole replays where blocks are long, unless the order says otherwise."""
    is_long = steps >= LONG_BLOCK_SEGMENTS * manifest.checkpoint_interval
    segments = order.segments or ("sampled" if is_long and order.rules == "hardened" else "all")
    return GradientManifest.from_bytes(manifest.model_copy(update={"segments": segments}).to_bytes())


def _bounds(order: GradientOrder, manifest: GradientManifest, steps: int) -> dict[str, int]:
    """First and last step that can be proposed, and the share of steps that are blocks at first. Raises BadInput."""
    if order.rules == "paper":
        return {"min_step": 0, "max_step": 0, "initial_threshold": 1}
    longest = MAX_SEGMENTS * manifest.checkpoint_interval
    if steps > longest:
        raise BadInput(
            f"blocks of {steps} steps do not fit into {MAX_SEGMENTS} segments of {manifest.checkpoint_interval}; give "
            "a larger --checkpoint-interval, a shorter --interval or fewer --steps-per-block"
        )
    before_first = steps // STEPS_BEFORE_FIRST
    min_step = first_eligible_step(manifest, before_first)
    trials = max(1, steps - before_first)
    return {
        "min_step": min_step,
        "max_step": min(min_step + LONGEST_BLOCKS * steps, longest),
        "initial_threshold": max(1, MAX_THRESHOLD // (trials * order.miners)),
    }


def describe(order: GradientOrder, prepared: PreparedOrder) -> str:
    """For people: what was found out on the way."""
    threads = torch.get_num_threads()
    return (
        f"this machine does {prepared.steps_per_s:.0f} steps/s with {threads} thread(s); blocks are due every "
        f"{order.target_interval_s} s, at first one step in {MAX_THRESHOLD // prepared.initial_threshold} is one"
        if order.rules == "hardened"
        else f"this machine does {prepared.steps_per_s:.0f} steps/s; under the paper's rules difficulty is fixed"
    )
