"""Everybody derives the same order of a step, and each account waits for those before it."""

import pytest

from pole.chain.order import STEP_BLOCKS, Turns, place_of

GROUP = [f"0x{number:040x}" for number in range(1, 6)]
STRANGER = "0x" + "ab" * 20


def test_place_of__group__each_has_one_and_the_order_differs_by_step() -> None:
    places = {step: [place_of(step, GROUP, each) for each in GROUP] for step in ("a", "b", "c", "d")}
    assert all(sorted(found) == [0, 1, 2, 3, 4] for found in places.values())
    assert len({tuple(found) for found in places.values()}) > 1
    assert [place_of("a", GROUP[::-1], each) for each in GROUP] == places["a"]


def test_place_of__stranger__comes_after_the_group() -> None:
    assert all(len(GROUP) <= place_of(step, GROUP, STRANGER) < len(GROUP) + 4 for step in "abcdefgh")


@pytest.mark.parametrize("silent", [0, 1, 4])
def test_turns__first_ones_silent__the_next_one_acts_two_blocks_later(silent: int) -> None:
    everybody = {each: Turns() for each in GROUP}
    ordered = sorted(GROUP, key=lambda each: place_of("step", GROUP, each))
    for block in range(100, 100 + STEP_BLOCKS * silent):
        willing = [each for each in ordered[silent:] if everybody[each].is_mine("step", GROUP, each, block)]
        assert willing == []
    block = 100 + STEP_BLOCKS * silent
    assert [each for each in ordered[silent:] if everybody[each].is_mine("step", GROUP, each, block)] == [
        ordered[silent]
    ]


def test_turns__many_steps__old_ones_are_forgotten() -> None:
    turns = Turns()
    for number in range(1000):
        turns.is_mine(f"step {number}", GROUP, GROUP[0], number)
    assert len(turns._since) == 64
