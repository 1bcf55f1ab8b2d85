"""How long a role sleeps between two looks at the chain: as long as nothing can be due, and no longer."""

LONGEST_S = 60.0
_PART, _IDLE_BLOCKS, _LEAST_BLOCKS = 3, 5, 2


def pause_s(until_s: int | None, now_s: int, interval_s: float, *, is_woken: bool = False) -> float:
    """Seconds until the next look, for a role that waits until `until_s` (block time) or for somebody else.

    What has a deadline is looked at a few times before, since others may be early, and right after it. `interval_s`:
    the time between two blocks, in which nothing changes. `is_woken`: somebody says when anything has changed.
    """
    if until_s is None:
        return LONGEST_S if is_woken else min(_IDLE_BLOCKS * interval_s, LONGEST_S)
    left_s = until_s - now_s
    if left_s <= 0:  # somebody has to move it on, perhaps this account
        return interval_s
    return min(max(left_s / _PART, _LEAST_BLOCKS * interval_s), left_s + interval_s / 2, LONGEST_S)
