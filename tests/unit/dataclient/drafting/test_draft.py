"""What init says of a task before anything is spent."""

import re
from pathlib import Path

import numpy as np
import pytest

from dataclient.drafting.draft import draft
from dataclient.drafting.frontier import Frontier
from dataclient.drafting.proposal import Wishes
from dataclient.sources.load import SourceOptions
from pole.chain.profiles import LOCAL

WARNING = "hardly better than guessing (50.0 %)"


@pytest.mark.parametrize(("is_learnable", "warns"), [(False, True), (True, False)])
def test_draft__labels_at_random__warns_that_the_task_is_not_worth_it(
    tmp_path: Path, is_learnable: bool, warns: bool
) -> None:
    random = np.random.default_rng(1)
    y = random.integers(0, 2, 400)
    x = random.normal(size=(400, 8)) + (6 * y[:, None] if is_learnable else 0)
    np.savez(tmp_path / "rows.npz", x=x, y=y)
    drafted = draft(SourceOptions(source=str(tmp_path / "rows.npz")), Wishes(), LOCAL.market)
    assert any(WARNING in remark for remark in drafted.remarks) is warns
    assert (WARNING in drafted.text) is warns


def test_draft__measured_mappings__says_what_each_keeps(tmp_path: Path) -> None:
    """A mapping whose score is as good, but which hides much of what the rows say, is not proposed."""
    random = np.random.default_rng(1)
    y = random.integers(0, 2, 400)
    np.savez(tmp_path / "rows.npz", x=random.normal(size=(400, 8)) + y[:, None], y=y)
    drafted = draft(SourceOptions(source=str(tmp_path / "rows.npz")), Wishes(), LOCAL.market)
    measured = drafted.proposal.measured
    assert isinstance(measured, Frontier)
    kept = [re.search(r"keeps (\d+) % of what plain rows say", remark) for remark in drafted.remarks]
    shares = [int(found[1]) for found in kept if found]
    assert shares == [round(100 * min(max(each.kept, 0.0), 1.0)) for each in measured.choices]
    assert len(set(shares)) > 1
