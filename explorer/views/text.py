"""How values are written, and how what strangers wrote is made harmless to look at."""

import unicodedata
from collections.abc import Callable
from datetime import UTC, datetime
from enum import IntEnum
from typing import Any

from explorer.fold.folding import name_of
from pole.chain.gradient_structs import GradientTaskState, HeightPhase, Rules, StopReason
from pole.chain.structs import AbortReason, Phase, TaskState, VerdictKind
from pole.money import wei_to_ether

MOST = 200
_HIDDEN = ("C", "Zl", "Zp")
_MAX_TIME = 253402300799  # the last second of the year 9999


def harmless(text: str, most: int = MOST) -> str:
    """On one line, without controls, text direction, invisible or private characters, and not endless."""
    cut = text[:most]
    kept = "".join(c if not unicodedata.category(c).startswith(_HIDDEN) else "\N{REPLACEMENT CHARACTER}" for c in cut)
    # Marks that pile up on one letter cover the lines above and below.
    piled, run = [], 0
    for character in kept:
        run = run + 1 if unicodedata.combining(character) else 0
        if run <= 3:
            piled.append(character)
    return "".join(piled) + (f"… ({len(text):,} characters)" if len(text) > most else "")


def ether(amount_wei: int) -> str:
    sign = "-" if amount_wei < 0 else ""
    return f"{sign}{wei_to_ether(abs(amount_wei))} ETH"


def tokens(amount: int) -> str:
    sign = "-" if amount < 0 else ""
    return f"{sign}{wei_to_ether(abs(amount))} LEARN"


def percent(ppm: int) -> str:
    """Exact: four places at most, without zeros at the end."""
    whole, rest = divmod(ppm, 10_000)
    return f"{whole}.{rest:04d}".rstrip("0").rstrip(".") + " %"


def moment(at: int) -> str:
    """UTC, to the second."""
    if not 0 <= at <= _MAX_TIME:
        return str(at)
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def duration(seconds: int) -> str:
    sign, seconds = ("-" if seconds < 0 else ""), abs(seconds)
    days, rest = divmod(seconds, 86_400)
    hours, rest = divmod(rest, 3_600)
    minutes, left = divmod(rest, 60)
    parts = [(days, "d"), (hours, "h"), (minutes, "min"), (left, "s")]
    return sign + (" ".join(f"{amount} {unit}" for amount, unit in parts if amount) or "0 s")


def short(text: str) -> str:
    """The ends of a long identifier."""
    return text if len(text) <= 16 else f"{text[:8]}…{text[-6:]}"


_NAMED: dict[str, type[IntEnum]] = {
    "phase": Phase,
    "task state": TaskState,
    "abort reason": AbortReason,
    "verdict": VerdictKind,
    "gradient state": GradientTaskState,
    "height phase": HeightPhase,
    "rules": Rules,
    "stop reason": StopReason,
}
WRITTEN: dict[str, Callable[[int], str]] = {
    "wei": ether,
    "wei lost": lambda value: f"lost {ether(value)}",
    "token": tokens,
    "ppm": percent,
    "time": moment,
    "seconds": duration,
    "count": lambda value: f"{value:,}",
    "gas price": lambda value: f"{value / 10**9:.6g} gwei",
}


def written(value: Any, unit: str) -> str:
    """A figure's value for people."""
    if value is None:
        return "—"
    if unit in _NAMED:
        return name_of(_NAMED[unit], value)
    if unit == "yes":
        return "yes" if value else "no"
    if unit in WRITTEN and isinstance(value, int):
        return WRITTEN[unit](value)
    return harmless(str(value))
