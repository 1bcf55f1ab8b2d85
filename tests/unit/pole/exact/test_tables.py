"""Tables: refused where they differ, and right where another library computes them."""

import mpmath
import numpy as np
import pytest

from pole.errors import InexactMachine
from pole.exact import tables
from pole.exact.tables import ONE
from tests.paths import ROOT

BY_MPMATH = {
    "tanh": mpmath.tanh,
    "sigmoid": lambda x: 1 / (1 + mpmath.exp(-x)),
    "exp": lambda x: 16 * mpmath.exp(-x),
    "silu": lambda x: x / (1 + mpmath.exp(x)),
    "gelu": lambda x: x * mpmath.erfc(x / mpmath.sqrt(2)) / 2,
}


def test_table__library_that_computes_otherwise__refused(monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = tables.TABLES["tanh"]
    monkeypatch.setitem(tables.TABLES, "tanh", recipe._replace(fast=lambda x: recipe.fast(x) * (1 + 1e-9)))
    with pytest.raises(InexactMachine, match="cannot judge"):
        tables.table.__wrapped__("tanh")


@pytest.mark.parametrize("kind", BY_MPMATH)
def test_table__beside_mpmath__correctly_rounded(kind: str) -> None:
    """Every 997th entry, and those closest to a half."""
    entries, recipe = tables.table(kind), tables.TABLES[kind]
    values = recipe.fast(np.arange(len(entries)) / ONE) * ONE
    doubtful = np.argsort(np.abs(values - np.floor(values) - 0.5))[:50]
    with mpmath.workdps(40):
        for i in [*range(0, len(entries), 997), *doubtful.tolist()]:
            assert int(mpmath.nint(BY_MPMATH[kind](mpmath.mpf(i) / ONE) * ONE)) == entries[i]


@pytest.mark.parametrize("kind", BY_MPMATH)
def test_table__by_precise_arithmetic_alone__same_entries(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The entries that float64 is not trusted with would be the same if there were more of them."""
    entries = tables.table(kind)
    monkeypatch.setattr(tables, "_DOUBT", 2e-4)
    assert np.array_equal(tables._rounded(tables.TABLES[kind])[: len(entries)], entries)


@pytest.mark.parametrize("kind", BY_MPMATH)
def test_table__its_end__first_that_never_leaves_the_limit(kind: str) -> None:
    entries, bound = tables.table(kind), tables.TABLES[kind].bound
    assert entries[-1] == bound != entries[-2]
    assert not entries.flags.writeable
    beyond = np.arange(len(entries), tables.REACH, 4999) / ONE
    assert (np.rint(tables.TABLES[kind].fast(beyond) * ONE) == bound).all()


@pytest.mark.parametrize("kind", BY_MPMATH)
def test_specification__of_each_table__same_hash_and_length(kind: str) -> None:
    page = (ROOT / "docs" / "exact-evaluation.md").read_text()
    [line] = [line for line in page.splitlines() if tables.TABLES[kind].sha256 in line]
    assert line.startswith(f"| `{kind}` |")
    assert f" {len(tables.table(kind)):,} " in line
