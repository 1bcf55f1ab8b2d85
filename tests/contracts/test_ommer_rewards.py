"""OmmerRewards: both readings of equation (2), their caps and the ends of their ranges."""

from typing import Any

import pytest

FRACTION, PRINTED = 0, 1
R_W = 32 * 10**18
MAX_UINT256 = 2**256 - 1


@pytest.mark.parametrize("formula", [FRACTION, PRINTED])
@pytest.mark.parametrize(("winner_height", "ommer_height"), [(5, 5), (5, 6), (0, 0)])
def test_reward__ommer_not_older__reverts(
    library: Any, reverts: Any, formula: int, winner_height: int, ommer_height: int
) -> None:
    with reverts(library.OmmerNotOlder, winnerHeight=winner_height, ommerHeight=ommer_height):
        library.ommerReward(formula, R_W, winner_height, ommer_height, 1)


@pytest.mark.parametrize(
    ("winner_height", "ommer_height", "ommer_count", "expected"),
    [
        (10, 9, 1, R_W),
        (10, 8, 1, R_W // 2),
        (10, 4, 1, R_W // 6),
        (10, 7, 2, R_W * 2 // 3),
        (10, 4, 6, R_W),
        (10, 4, 63, R_W),  # capped: more ommers at a height never earn one of them more than a winner
        (10, 9, 0, 0),
    ],
)
def test_fraction__known_values(
    library: Any, winner_height: int, ommer_height: int, ommer_count: int, expected: int
) -> None:
    assert library.ommerReward(FRACTION, R_W, winner_height, ommer_height, ommer_count) == expected


def test_fraction__rounds_down(library: Any) -> None:
    assert library.ommerReward(FRACTION, 100, 4, 1, 2) == 66


@pytest.mark.parametrize(
    ("winner_reward", "winner_height", "ommer_height", "ommer_count", "expected"),
    [
        (5, 3, 2, 1, 5),  # 5*3 - 2*1 = 13, capped at R_w
        (5, 3, 2, 6, 3),  # 5*3 - 2*6 = 3
        (5, 3, 2, 8, 0),  # 5*3 - 2*8 = -1, floored
        (R_W, 10, 9, 1, R_W),
        (0, 3, 2, 1, 0),
    ],
)
def test_printed__known_values(
    library: Any, winner_reward: int, winner_height: int, ommer_height: int, ommer_count: int, expected: int
) -> None:
    assert library.ommerReward(PRINTED, winner_reward, winner_height, ommer_height, ommer_count) == expected


def test_fraction__largest_arguments__is_capped(library: Any) -> None:
    assert library.ommerReward(FRACTION, MAX_UINT256, 2, 1, 1) == MAX_UINT256
    assert library.ommerReward(FRACTION, MAX_UINT256, MAX_UINT256, 0, 1) == 1


@pytest.mark.parametrize(
    ("winner_reward", "winner_height", "ommer_height", "ommer_count", "expected"),
    [
        (MAX_UINT256, MAX_UINT256, 1, 1, MAX_UINT256 - 1),
        (MAX_UINT256, MAX_UINT256, MAX_UINT256 - 1, MAX_UINT256, 0),
        (1, MAX_UINT256, 0, MAX_UINT256, 1),
    ],
)
def test_printed__largest_arguments__saturates(
    library: Any, winner_reward: int, winner_height: int, ommer_height: int, ommer_count: int, expected: int
) -> None:
    assert library.ommerReward(PRINTED, winner_reward, winner_height, ommer_height, ommer_count) == expected
