"""Published predictions: what anybody may leave there, and what comes back."""

import base64
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pole.errors import ContentMismatch
from pole.exact.published import (
    EntryRows,
    PublishedPredictions,
    most_published_bytes,
    pack_rows,
    read_published,
    unpack_rows,
)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("?", "cannot be unpacked"),
        ("é", "cannot be unpacked"),
        (base64.b64encode(b"not compressed").decode(), "cannot be unpacked"),
        (base64.b64encode(zlib.compress(b"123")).decode(), "do not have the shape"),
        (pack_rows(np.arange(4)), "do not have the shape"),
        ("", "do not have the shape"),
    ],
)
def test_unpack_rows__something_else__is_refused(text: str, reason: str) -> None:
    with pytest.raises(ContentMismatch, match=reason):
        unpack_rows(text, (3,))


def test_unpack_rows__a_gigabyte_of_zeros__is_refused_without_unpacking_it() -> None:
    packer = zlib.compressobj(9)
    bomb = b"".join(packer.compress(bytes(1 << 20)) for _ in range(1024)) + packer.flush()
    with pytest.raises(ContentMismatch, match="do not have the shape"):
        unpack_rows(base64.b64encode(bomb).decode(), (3,))


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b'{"ballot_id": 1, "entries": [{"train": 1}]}', b"\xff"])
def test_read_published__something_else__is_refused(content: bytes) -> None:
    with pytest.raises(ContentMismatch, match="the file of published predictions is invalid"):
        read_published(content)


@given(st.lists(st.integers(0, 2**31 - 1), max_size=50), st.lists(st.integers(0, 9), max_size=50))
def test_read_published__what_was_written__comes_back(train: list[int], test: list[int]) -> None:
    entry = EntryRows(train=pack_rows(np.array(train, dtype=np.int64)), test=pack_rows(np.array(test, dtype=np.int64)))
    found = read_published(PublishedPredictions(ballot_id=7, entries=[entry]).to_bytes())
    assert found.ballot_id == 7
    assert unpack_rows(found.entries[0].train, (len(train),)).tolist() == train
    assert unpack_rows(found.entries[0].test, (len(test),)).tolist() == test


@given(st.integers(1, 5), st.integers(0, 300), st.integers(0, 300))
def test_most_published_bytes__numbers_that_cannot_be_compressed__fit(entries: int, train: int, test: int) -> None:
    random = np.random.default_rng(entries + train + test)
    parts = [pack_rows(random.integers(-(2**62), 2**62, size)) for size in (train, test)]
    document = PublishedPredictions(ballot_id=2**62, entries=[EntryRows(train=parts[0], test=parts[1])] * entries)
    assert len(document.to_bytes()) <= most_published_bytes(entries, train + test)
