"""Files damaged at random end in rows or in one clear error. `make fuzz-sources` does the same 100,000 times."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tools.fuzz_sources import KINDS, MAX_EDITS, Edit, mutated, outcome, write_valid

EDITS = st.lists(
    st.tuples(st.integers(0, 5), st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=MAX_EDITS
)


@pytest.mark.parametrize("kind", KINDS)
def test_outcome__undamaged_file__is_read(tmp_path: Path, kind: str) -> None:
    options, _ = write_valid(kind, tmp_path)
    assert outcome(options) == "read"


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=60)
@given(edits=EDITS)
def test_outcome__damaged_file__is_read_or_refused(kind: str, edits: list[Edit]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        options, path = write_valid(kind, Path(folder))
        path.write_bytes(mutated(path.read_bytes(), edits))
        assert outcome(options) in ("read", "refused")
