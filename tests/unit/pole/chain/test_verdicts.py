"""Packed verdicts: one way to write each, and what the contract refuses is refused here."""

import pytest
from eth_utils.crypto import keccak

from pole.chain.structs import Verdict, VerdictKind
from pole.chain.verdicts import Part, fingerprint, pack_verdict, unpack_verdicts
from pole.errors import BadInput

ROOT = keccak(text="all predictions")
NONE, SCORED, INVALID, UNAVAILABLE, WITHHELD, UNDECIDED = VerdictKind


def test_pack_verdict__scored__has_kind_ppm_and_fingerprint_of_each_part() -> None:
    word = pack_verdict(Part(SCORED, 950_000, ROOT), Part(SCORED, 900_000, ROOT))
    train, test = word >> 96, word % (1 << 96)
    assert (train >> 88, train >> 64 & 0xFFFFFF, train % (1 << 64)) == (1, 950_000, fingerprint(950_000, ROOT))
    assert (test >> 88, test >> 64 & 0xFFFFFF, test % (1 << 64)) == (1, 900_000, fingerprint(900_000, ROOT))


def test_fingerprint__other_score_or_other_predictions__is_another() -> None:
    assert len({fingerprint(1, ROOT), fingerprint(2, ROOT), fingerprint(1, bytes(32))}) == 3


def test_unpack_verdicts__of_packed_ones__says_the_same() -> None:
    words = [
        pack_verdict(Part(SCORED, 1, ROOT), Part(WITHHELD)),
        pack_verdict(Part(INVALID), Part(NONE)),
        UNDECIDED << 184 | UNDECIDED << 88,
    ]
    verdicts = unpack_verdicts(words)
    assert verdicts == [
        Verdict(SCORED, 1, WITHHELD, 0),
        Verdict(INVALID, 0, NONE, 0),
        Verdict(UNDECIDED, 0, UNDECIDED, 0),
    ]
    assert [verdict.is_valid for verdict in verdicts] == [True, False, False]


@pytest.mark.parametrize(
    ("kind", "ppm", "root"), [(SCORED, 1_000_001, ROOT), (SCORED, -1, ROOT), (SCORED, 1, b""), (INVALID, 1, b"")]
)
def test_part__impossible__raises(kind: VerdictKind, ppm: int, root: bytes) -> None:
    with pytest.raises(BadInput, match="part"):
        Part(kind, ppm, root)


@pytest.mark.parametrize(
    ("train", "test"), [(NONE, NONE), (UNDECIDED, NONE), (INVALID, UNAVAILABLE), (UNAVAILABLE, INVALID)]
)
def test_pack_verdict__what_no_vote_may_say__raises(train: VerdictKind, test: VerdictKind) -> None:
    with pytest.raises(BadInput, match="vote"):
        pack_verdict(Part(train), Part(test))
