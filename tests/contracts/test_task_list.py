"""TaskMarket's list: against a sorted list in Python, and what a wrong hint costs."""

import random
from collections.abc import Callable
from typing import Any

from tests.contracts.rounds import GWEI, ROUND_S

REFUNDED = 4
UNIT_WEI = 1_000 * GWEI

Model = list[tuple[int, int]]
"""Task ids and values, as the list must be."""


def add(model: Model, task_id: int, value: int) -> None:
    """Behind all that are worth as much."""
    place = next((i for i, (_, other) in enumerate(model) if other < value), len(model))
    model.insert(place, (task_id, value))


def listed(market: Any, count: int = 100, start: int = 0) -> Model:
    return list(zip(*market.pending(start, count), strict=True))


def test_list__random_submit_raise_cancel_pop_with_random_hints__matches_the_model(
    market: Any, client: Any, chain_account: Any, create_task: Callable[..., int]
) -> None:
    """One sequence; forge tries hundreds, in TaskList.t.sol."""
    chance = random.Random(0)
    model: Model = []
    paid_wei: dict[int, tuple[int, int]] = {}
    for _ in range(50):
        action = chance.choices(["submit", "raise", "cancel", "pop"], weights=[4, 2, 2, 2])[0]
        hint = chance.randrange(market.taskCount() + 3)
        if (action == "submit" and len(model) < 16) or not model:
            payment_wei, limit_s = chance.randrange(2, 9) * UNIT_WEI, chance.choice([60, 120, 240])
            task_id = create_task(market, payment_wei=payment_wei, hint=hint, timeLimitS=limit_s)
            paid_wei[task_id] = payment_wei, limit_s
            add(model, task_id, (payment_wei * 9 // 10 << 32) // (limit_s + ROUND_S))
        elif action == "raise":
            raised = chance.choice(model)
            payment_wei, limit_s = paid_wei[raised[0]]
            paid_wei[raised[0]] = payment_wei + UNIT_WEI, limit_s
            market.raiseReward(raised[0], hint, sender=client, value=UNIT_WEI)
            model.remove(raised)
            add(model, raised[0], ((payment_wei + UNIT_WEI) * 9 // 10 << 32) // (limit_s + ROUND_S))
        elif action == "cancel":
            cancelled = chance.choice(model)
            model.remove(cancelled)
            market.cancel(cancelled[0], sender=client)
        else:
            popped, _ = model.pop(0)
            market.popMostValuable(sender=chain_account)
            market.close(popped, REFUNDED, sender=chain_account)
        assert listed(market) == model
        assert (market.pendingCount(), market.mostValuable()) == (len(model), model[0][0] if model else 0)


def fill(market: Any, create_task: Callable[..., int], count: int) -> list[int]:
    """Tasks of falling value, each behind the one before."""
    tasks = [0]
    for worth in range(count, 0, -1):
        tasks.append(create_task(market, payment_wei=(10 + worth) * UNIT_WEI, hint=tasks[-1]))
    return tasks[1:]


def test_submit__hint_more_than_16_places_away__reverts(
    market: Any, create_task: Callable[..., int], reverts: Any
) -> None:
    tasks = fill(market, create_task, 17)
    for hint in (0, 99, tasks[0] + 99):  # the front, and tasks that are not on the list
        with reverts(market.StaleHint, hint=hint):
            create_task(market, payment_wei=5 * UNIT_WEI, hint=hint)
    with reverts(market.StaleHint, hint=tasks[-1]):
        create_task(market, payment_wei=90 * UNIT_WEI, hint=tasks[-1])
    assert market.pendingCount() == 17


def test_submit__hint_16_places_away__walks_both_ways(market: Any, create_task: Callable[..., int]) -> None:
    tasks = fill(market, create_task, 17)
    last = create_task(market, payment_wei=5 * UNIT_WEI, hint=tasks[0])
    first = create_task(market, payment_wei=90 * UNIT_WEI, hint=tasks[15])
    assert [task_id for task_id, _ in listed(market)] == [first, *tasks, last]


def test_raise_reward__hint_is_the_task_itself__starts_where_it_was(
    market: Any, client: Any, create_task: Callable[..., int]
) -> None:
    tasks = fill(market, create_task, 5)
    market.raiseReward(tasks[4], tasks[4], sender=client, value=3 * UNIT_WEI)
    assert [task_id for task_id, _ in listed(market)] == [tasks[place] for place in (0, 1, 4, 2, 3)]


def test_pending__in_pages__is_the_whole_list_once(market: Any, create_task: Callable[..., int]) -> None:
    tasks = fill(market, create_task, 5)
    pages = [[task_id for task_id, _ in listed(market, 2, start)] for start in (0, tasks[1], tasks[3], tasks[4])]
    assert pages == [tasks[:2], tasks[2:4], tasks[4:], []]
