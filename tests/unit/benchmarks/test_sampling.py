"""A forged segment loses money where verifiers replay samples, in every setting of the published table."""

import pytest

from benchmarks.simulate_sampling import REWARD_WEI, SETTINGS, mean_gain, row


@pytest.mark.parametrize(("segments", "members", "times"), SETTINGS)
def test_mean_gain__one_forged_segment__loses(segments: int, members: int, times: int) -> None:
    """2,000 blocks: four standard errors below nothing."""
    _, gain, error = mean_gain(segments, members, times * REWARD_WEI, 2000)
    assert gain + 4 * error < 0


def test_row__few_blocks__says_what_was_found_beside_what_was_foreseen() -> None:
    cells = row(64, 3, 34, 500, 1)
    assert cells[:4] == ["64", "3", "34", "2"]
    assert abs(float(cells[4]) - float(cells[5])) < 0.05
