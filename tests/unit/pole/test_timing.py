"""Timings: what a log says can be parsed and added up."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pole.timing import Stopwatch, Timing


@pytest.mark.parametrize(
    "text", ["", "12 rows", "12 rows in 1 s", "decrypted nothing in 1.5 s (2.5 s of processor time)"]
)
def test_mentioned__nothing_of_the_kind__nothing(text: str) -> None:
    assert Timing.mentioned(text) == Timing()


_MILLISECONDS = st.integers(0, 10**7).map(lambda count: count / 1000)


@given(st.lists(st.builds(Timing, st.integers(0, 10**9), _MILLISECONDS, _MILLISECONDS), max_size=5))
def test_mentioned__efforts_between_other_words__their_sum(timings: list[Timing]) -> None:
    text = "\n".join(f"08:01:02 [info] round 7: decrypted {timing} role=miner" for timing in timings)
    total = Timing.mentioned(text)
    assert total.rows == sum(timing.rows for timing in timings)
    assert total.wall_s == pytest.approx(sum(timing.wall_s for timing in timings))
    assert total.cpu_s == pytest.approx(sum(timing.cpu_s for timing in timings))


def test_stopwatch__work_that_fails__counts_too() -> None:
    watch = Stopwatch()
    with watch.running(rows=3):
        sum(range(100_000))
    with pytest.raises(ZeroDivisionError), watch.running(rows=4):
        1 / 0  # noqa: B018
    assert watch.timing.rows == 7
    assert min(watch.timing.wall_s, watch.timing.cpu_s) > 0
