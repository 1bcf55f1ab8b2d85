"""IndexedHeap: against a sorted list in Python."""

import random
from typing import Any


def first_of(model: dict[int, int]) -> int:
    """The id that must be popped: highest value, ties to the smaller id."""
    return min(model, key=lambda task_id: (-model[task_id], task_id))


def test_peek__empty__reverts(library: Any, reverts: Any) -> None:
    with reverts(library.EmptyHeap):
        library.peek()


def test_pop__empty__reverts(library: Any, stranger: Any, reverts: Any) -> None:
    with reverts(library.EmptyHeap):
        library.pop(sender=stranger)


def test_insert__id_already_in__reverts(library: Any, stranger: Any, reverts: Any) -> None:
    library.insert(5, 1, sender=stranger)
    with reverts(library.AlreadyInHeap, id=5):
        library.insert(5, 2, sender=stranger)


def test_remove__id_not_in__reverts(library: Any, stranger: Any, reverts: Any) -> None:
    library.insert(5, 1, sender=stranger)
    with reverts(library.NotInHeap, id=6):
        library.remove(6, sender=stranger)


def test_remove__popped_id__reverts(library: Any, stranger: Any, reverts: Any) -> None:
    library.insert(5, 1, sender=stranger)
    library.pop(sender=stranger)
    with reverts(library.NotInHeap, id=5):
        library.remove(5, sender=stranger)


def test_peek__extreme_ids_and_values__are_kept_whole(library: Any, stranger: Any) -> None:
    last_id, most = 2**64 - 1, 2**192 - 1
    library.insert(last_id, most, sender=stranger)
    library.insert(0, most - 1, sender=stranger)

    assert library.peek() == last_id
    library.remove(last_id, sender=stranger)
    assert library.peek() == 0
    assert (library.contains(0), library.contains(last_id)) == (True, False)


def test_random_sequence__matches_the_model(library: Any, stranger: Any) -> None:
    """One sequence; forge tries hundreds, in IndexedHeap.t.sol."""
    chance = random.Random(0)
    model: dict[int, int] = {}
    for next_id in range(60):
        action = chance.choices(["insert", "remove", "pop"], weights=[5, 2, 2])[0]
        if action == "insert" or not model:
            model[next_id] = chance.randrange(6)  # few values, so that ties are common
            library.insert(next_id, model[next_id], sender=stranger)
        elif action == "remove":
            removed = chance.choice(list(model))
            del model[removed]
            library.remove(removed, sender=stranger)
        else:
            assert library.peek() == first_of(model)
            del model[first_of(model)]
            library.pop(sender=stranger)
        assert library.length() == len(model)

    while model:
        assert library.peek() == first_of(model)
        del model[first_of(model)]
        library.pop(sender=stranger)
    assert library.length() == 0
