"""Seeds of segments: the same on every machine, indifferent to tolerated changes, different for any other training."""

import json
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pole.gradient.seeds import COORDINATES, MOVABLE, ROUNDING, cell_widths, segment_seed
from tests.paths import VECTORS as VECTORS_DIR
from tests.unit.gradient_task import MINER, OTHER_MINER, PREVIOUS_HASH

VECTORS: list[dict[str, Any]] = json.loads((VECTORS_DIR / "gradient.json").read_text())["seeds"]
TENSORS = [(0, 3000), (3000, 3100), (3100, 4000)]
TOLERANCE = 0.0002

Weights = NDArray[np.float32]


def checkpoints(seed: int = 1) -> tuple[Weights, Weights]:
    """Two, one segment apart."""
    generator = np.random.default_rng(seed)
    before = generator.normal(0, 0.1, 4000).astype(np.float32)
    return before, (before + generator.normal(0, 0.01, 4000)).astype(np.float32)


def seed_of(
    before: Weights, after: Weights, *, segment: int = 1, miner: str = MINER, hashed: bytes = PREVIOUS_HASH
) -> bytes:
    return segment_seed(hashed, miner, segment, before, after, TENSORS, TOLERANCE)


@pytest.mark.parametrize("case", VECTORS)
def test_segment_seed__is_that_of_exact_fractions(case: dict[str, Any]) -> None:
    before, after = (np.array(case[name], dtype=np.float32) for name in ("before", "after"))
    tensors = [(first, end) for first, end in case["tensors"]]
    start = (bytes.fromhex(case["previous_hash"][2:]), case["miner"], case["segment"])
    assert segment_seed(*start, before, after, tensors, case["tolerance"]).hex() == case["seed"][2:]


def test_segment_seed__depends_on_hash_miner_segment_and_training() -> None:
    before, after = checkpoints()
    others = [
        seed_of(before, after, hashed=bytes(32)),
        seed_of(before, after, miner=OTHER_MINER),
        seed_of(before, after, segment=2),
        seed_of(before, checkpoints(2)[1]),
    ]
    assert len({seed_of(before, after), *others}) == 5


def test_segment_seed__checkpoint_altered_within_the_tolerance__has_hardly_ever_another_seed() -> None:
    """Each of 256 coordinates as far as a replay forgives, all at once: 0.06 of them leave their cell on average, so in
    200 trials about 12 seeds change (standard deviation 3.4).
    """
    before, after = checkpoints()
    allowed = ROUNDING * np.abs(after)
    for first, end in TENSORS:
        allowed[first:end] += TOLERANCE * np.sqrt(np.square(after[first:end] - before[first:end]).mean())
    signs = np.random.default_rng(3).choice([-1, 1], len(after))
    altered = (after + 0.99 * signs * allowed).astype(np.float32)
    assert not np.array_equal(altered, after)
    changed = sum(seed_of(before, altered, segment=n) != seed_of(before, after, segment=n) for n in range(1, 201))
    assert 0 < changed <= 24


def test_segment_seed__numbers_too_small_for_the_normal_form__count_as_zero() -> None:
    """Machines that train flush them, others do not."""
    before, after = np.zeros(4000, dtype=np.float32), np.full(4000, 1e-40, dtype=np.float32)
    assert seed_of(before, after) == seed_of(before, before)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_segment_seed__diverged_training__has_a_seed_all_the_same(bad: float) -> None:
    """The miner notices when it publishes."""
    before, after = checkpoints()
    after[:] = bad
    assert len(seed_of(before, after)) == 32


def test_cell_widths__expected_crossings__are_as_few_as_promised() -> None:
    """A cell is at least as wide as all tolerated alterations of all coordinates together, over the share promised."""
    before, after = (weights.astype(np.float64) for weights in checkpoints())
    rms = float(np.sqrt(np.square(after[:3000] - before[:3000]).mean()))
    least = 2 * COORDINATES / MOVABLE * (TOLERANCE * rms + ROUNDING * np.abs(after[:3000]))
    widths = cell_widths(before, after, TENSORS, TOLERANCE)[:3000]
    assert (widths >= least).all()
    assert (widths <= 2.01 * least).all()
