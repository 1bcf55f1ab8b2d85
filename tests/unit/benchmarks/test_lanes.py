"""How much sooner tasks are done on several lanes: by the rules alone, in block time."""

from benchmarks.lanes import measure


def test_measure__twelve_tasks_on_four_lanes__take_at_most_a_third_of_one_lanes_block_time() -> None:
    one, four = measure(1, 12, 3_600), measure(4, 12, 3_600)
    assert (one.blocks, four.blocks) == ([12], [3, 3, 3, 3])
    assert one.block_s >= 12 * 3_600
    assert four.block_s <= 0.35 * one.block_s
