"""Heads that lag are told from chains that were shortened, and the time between blocks is measured."""

import pytest

from pole.chain.heads import LAG_PATIENCE_S, Heads
from pole.errors import TransientChainError


class Watch:
    now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def same_chain() -> None:
    """The chain is still that of the deployment."""


def test_follow__older_head_within_a_lag__waits_and_then_gives_in() -> None:
    watch, checked = Watch(), [0]
    heads = Heads(watch)

    def check() -> None:
        checked[0] += 1

    heads.follow(100, 5000, check)
    for _ in range(2):
        with pytest.raises(TransientChainError, match="at block 98, but block 100 was seen before"):
            heads.follow(98, 4976, check)
    watch.now_s += LAG_PATIENCE_S
    heads.follow(98, 4976, check)
    assert (heads.newest, heads.timestamp, checked) == (98, 4976, [3])


def test_follow__caught_up_meanwhile__the_patience_begins_anew() -> None:
    watch = Watch()
    heads = Heads(watch)
    heads.follow(100, 5000, same_chain)
    for _ in range(3):
        with pytest.raises(TransientChainError):
            heads.follow(99, 4988, same_chain)
        watch.now_s += LAG_PATIENCE_S - 1
        heads.follow(100, 5000, same_chain)


@pytest.mark.parametrize("timestamp", [5000, 5100, 4879])
def test_follow__shorter_but_no_lag__accepted(timestamp: int) -> None:
    heads = Heads(Watch())
    heads.follow(100, 5000, same_chain)
    heads.follow(90, timestamp, same_chain)
    assert heads.newest == 90


@pytest.mark.parametrize(
    ("blocks", "seconds", "interval_s"), [(0, 0, None), (10, 10, 1.0), (40, 10, 0.25), (1, 600, 60.0)]
)
def test_interval__between_heads__within_bounds(blocks: int, seconds: int, interval_s: float | None) -> None:
    heads = Heads(Watch())
    heads.follow(100, 5000, same_chain)
    heads.follow(100 + blocks, 5000 + seconds, same_chain)
    assert heads.interval_s == interval_s


def test_still_s__only_new_blocks_end_it() -> None:
    watch = Watch()
    heads = Heads(watch)
    heads.follow(100, 5000, same_chain)
    watch.now_s += 50
    heads.follow(100, 5000, same_chain)
    assert heads.still_s() == 50
    heads.follow(101, 5012, same_chain)
    assert heads.still_s() == 0
