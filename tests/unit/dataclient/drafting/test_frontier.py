"""What the frontier measures, and which mapping is picked of it."""

from dataclasses import replace

import numpy as np
import pytest

from dataclient.drafting.frontier import Choice, Frontier, PlainScores, frontier, given_away, repeats
from dataclient.drafting.proposal import Wishes, propose_discretisation, propose_vectors
from dataclient.sources.plain import PlainData
from pole.task.manifest import ConvolutionalMapping, DenseMapping


def choice(vectors: int, reached: float) -> Choice:
    return Choice(DenseMapping(vectors=vectors), vectors / 8, reached)


MEASURED = Frontier(PlainScores(0.5, 0.9, 0.88, 0.95), [choice(2, 0.7), choice(4, 0.945), choice(7, 0.96)])


@pytest.mark.parametrize(("protect", "vectors"), [("accuracy", 7), ("balanced", 4), ("rows", 2)])
def test_pick__each_protection__its_point(protect: str, vectors: int) -> None:
    assert MEASURED.pick(protect).mapping == DenseMapping(vectors=vectors)


def test_pick__nothing_near_the_plain_rows__balanced_takes_what_reaches_most() -> None:
    poor = Frontier(PlainScores(0.5, 0.9, 0.9, 0.99), [choice(2, 0.7), choice(4, 0.8), choice(7, 0.8)])
    assert poor.pick("balanced").mapping == DenseMapping(vectors=4)


def test_pick__near_by_chance__is_not_near_enough() -> None:
    doubtful = replace(choice(4, 0.945), doubt=0.01)
    assert replace(MEASURED, choices=[doubtful, choice(7, 0.96)]).pick("balanced").mapping == DenseMapping(vectors=7)


def test_pick__near_but_much_is_lost__is_not_good_enough() -> None:
    lossy = replace(choice(4, 0.95), kept=0.9)
    assert replace(MEASURED, choices=[lossy, choice(7, 0.95)]).pick("balanced").mapping == DenseMapping(vectors=7)


def test_pick__all_lose_much__balanced_takes_what_loses_least() -> None:
    choices = [replace(choice(4, 0.96), kept=0.8), replace(choice(7, 0.95), kept=0.9)]
    assert replace(MEASURED, choices=choices).pick("balanced").mapping == DenseMapping(vectors=7)
    assert replace(MEASURED, choices=choices).pick("accuracy").mapping == DenseMapping(vectors=4)


def test_pick__rare_class__a_point_below_the_plain_rows_is_not_near() -> None:
    rare = Frontier(PlainScores(0.91, 0.9, 0.9, 0.94), [choice(2, 0.932), choice(7, 0.938)])
    assert rare.pick("balanced").mapping == DenseMapping(vectors=7)


def test_given_away__of_each_mapping__its_share_of_the_numbers() -> None:
    assert given_away(DenseMapping(vectors=6, segments=2), (16,)) == 0.75
    assert given_away(DenseMapping(vectors=32), (16,)) == 1.0
    assert given_away(ConvolutionalMapping(filters=4, kernel=3), (3, 8, 8)) == 1.0


@pytest.mark.parametrize(
    ("width", "segments", "expected"), [(2, 1, [1]), (4, 1, [3]), (13, 1, [3, 6, 9, 12]), (98, 8, [16, 49, 73, 97])]
)
def test_propose_vectors__encrypted__never_as_many_as_features(width: int, segments: int, expected: list[int]) -> None:
    assert propose_vectors(width, segments, Wishes()) == expected


@pytest.mark.parametrize(("width", "segments", "expected"), [(4, 1, [8]), (64, 1, [128]), (98, 8, [98])])
def test_propose_vectors__nothing_to_hide__full_rank(width: int, segments: int, expected: list[int]) -> None:
    assert propose_vectors(width, segments, Wishes(scheme="none")) == expected


def test_frontier__information_in_one_direction__more_vectors_reach_more_and_say_how_long_it_takes() -> None:
    random = np.random.default_rng(1)
    x = random.normal(size=(300, 6))
    y = (x[:, 0] - x[:, 1] > 0).astype(np.int64)
    data = PlainData(x, y, ("low", "high"), None, has_columns=True)
    said: list[str] = []
    mappings = [DenseMapping(vectors=1), DenseMapping(vectors=12)]
    found = frontier(data, propose_discretisation(data, None), mappings, said.append)
    least, most = found.choices
    assert found.plain.linear > 0.9
    assert most.reached > 0.9 > least.reached
    assert least.kept < 0.5
    assert most.kept > 0.9
    assert len(said) == 1
    assert "2 mapping(s): about" in said[0]


@pytest.mark.parametrize(("rows", "features", "expected"), [(100, 4, 6), (1_000, 64, 3), (2_000, 64, 2), (100, 784, 1)])
def test_repeats__small_sets__are_split_more_often(rows: int, features: int, expected: int) -> None:
    data = PlainData(np.zeros((rows, features)), np.zeros(rows, np.int64), ("a", "b"))
    assert repeats(data) == expected
