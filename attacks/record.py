"""What an attack is and how it ended: shared by every suite of attacks.

A suite is a list of `Attack`s and a session. To write one:

1. Define what its attacks are carried out on (`C` below): a chain with the contracts, a judging process.
2. Write each attack as a function `run(ground: C) -> Outcome` that really does it, with real parts, and says what it
   saw. `defended` is computed from what happened; it is never a constant.
3. Give it a `Weakening` where that is cheap: the defence taken out of the contracts (`edits`) or of the Python
   (`patches`). The same attack must then succeed, which shows that it is one. `--weakened` and the suite's test do it.
4. Name its id in a row of docs/threat-model.md, as `attack:<id>`, and in no other suite.
5. Write `session()`: a context manager that yields a function which opens the ground for one attack, weakened or not;
   what is slow to start lives as long as the session. Pass both to `attacks.show.main`.

An attack that the design allows, as documented, is a known limit: `is_known_limit`. It is carried out and measured as
well, and counts neither as a pass nor as a failure.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from testbed.artifacts import Edit

C = TypeVar("C")


@dataclass(frozen=True)
class Outcome:
    """`evidence`: the error's name or the figures, for people; `figures`: the same for tests and for JSON."""

    defended: bool
    evidence: str
    figures: Mapping[str, int | float | str] = field(default_factory=dict)


@dataclass(frozen=True)
class Weakening:
    """A defence taken out. `patches`: what stands in for Python objects, by their dotted names."""

    what: str
    edits: tuple[Edit, ...] = ()
    patches: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Attack(Generic[C]):
    """`id` is unique among all suites; `what` says what is tried, as the attacker would."""

    id: str
    family: str
    what: str
    run: Callable[[C], Outcome]
    weakening: Weakening | None = None
    is_known_limit: bool = False


Open = Callable[[Weakening | None], AbstractContextManager[C]]
"""Opens the ground for one attack, with everything that an attack before it did undone."""

Session = Callable[[], AbstractContextManager[Open[C]]]


def carry_out(attack: Attack[C], open_ground: Open[C], is_weakened: bool = False) -> Outcome:
    """Run one attack; one that could not be carried out proves nothing, and is no pass."""
    try:
        with open_ground(attack.weakening if is_weakened else None) as ground:
            return attack.run(ground)
    except Exception as exc:
        return Outcome(is_weakened, f"could not be carried out: {type(exc).__name__}: {exc}")
