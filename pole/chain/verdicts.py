"""Packed verdicts, as contracts/libraries/Verdicts.sol reads them: one 256-bit word per entry of a ballot.

A word has two parts of 96 bits, train above test: 8 bits of kind, 24 bits of ppm, and a fingerprint of 64 bits over
kind, ppm and the root of all the model's predictions on that part. Only a `SCORED` part has a ppm and a fingerprint.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from eth_abi.abi import encode
from eth_utils.crypto import keccak

from pole.chain.structs import Verdict, VerdictKind
from pole.errors import BadInput

PPM = 1_000_000
ROOT_BYTES = 32
_PART_BITS, _KIND_SHIFT, _PPM_SHIFT = 96, 88, 64
_PLAIN_BITS, _PER_WORD = 20, 6
_TRAIN_KINDS = (VerdictKind.SCORED, VerdictKind.INVALID, VerdictKind.UNAVAILABLE, VerdictKind.WITHHELD)
_TEST_KINDS = (VerdictKind.NONE, VerdictKind.SCORED, VerdictKind.UNAVAILABLE, VerdictKind.WITHHELD)


@dataclass(frozen=True)
class Part:
    """One half of a verdict; `root` is the root of all predictions of a `SCORED` part, and empty otherwise."""

    kind: VerdictKind
    ppm: int = 0
    root: bytes = b""

    def __post_init__(self) -> None:
        is_scored = self.kind == VerdictKind.SCORED
        if is_scored and not (0 <= self.ppm <= PPM and len(self.root) == ROOT_BYTES):
            raise BadInput(
                f"a scored part needs 0 to {PPM} ppm and a root of {ROOT_BYTES} bytes, not {self.ppm} ppm and "
                f"{len(self.root)} bytes"
            )
        if not is_scored and (self.ppm or self.root):
            raise BadInput(f"a part that is {self.kind.name.lower()} has neither a score nor a root; leave them out")

    @property
    def packed(self) -> int:
        """The 96 bits of a word."""
        hashed = fingerprint(self.ppm, self.root) if self.kind == VerdictKind.SCORED else 0
        return self.kind << _KIND_SHIFT | self.ppm << _PPM_SHIFT | hashed


def fingerprint(ppm: int, root: bytes) -> int:
    """64 bits of a scored part that nobody can guess without its predictions."""
    hashed = keccak(encode(["uint8", "uint32", "bytes32"], [VerdictKind.SCORED, ppm, root]))
    return int.from_bytes(hashed[:8], "big")


def pack_verdict(train: Part, test: Part) -> int:
    """The word of one entry; raises BadInput for a combination that the contract refuses."""
    if train.kind not in _TRAIN_KINDS or test.kind not in _TEST_KINDS:
        raise BadInput(f"no vote says {train.kind.name.lower()} of training and {test.kind.name.lower()} of testing")
    if train.kind == VerdictKind.INVALID and test.kind != VerdictKind.NONE:
        raise BadInput(f"an invalid model has no test part; vote none, not {test.kind.name.lower()}")
    return train.packed << _PART_BITS | test.packed


def unpack_verdict(word: int) -> Verdict:
    """What one word says, without the fingerprints."""
    return Verdict(*plain_part(word >> _PART_BITS), *plain_part(word))


def unpack_verdicts(words: Sequence[int]) -> list[Verdict]:
    """What a vote or an outcome says, without the fingerprints."""
    return [unpack_verdict(word) for word in words]


def expand_outcome(words: Sequence[int], entry_count: int) -> list[Verdict]:
    """What `VerifierCommittee.outcome` says, six entries to a word behind its digest; empty without words."""
    if not words:
        return []
    found = []
    for entry in range(entry_count):
        word = words[1 + entry // _PER_WORD] >> 2 * _PLAIN_BITS * (entry % _PER_WORD)
        found.append(Verdict(*_plain_fields(word >> _PLAIN_BITS), *_plain_fields(word)))
    return found


def _plain_fields(plain: int) -> tuple[VerdictKind, int]:
    """A ppm, or a kind above all ppm."""
    plain &= (1 << _PLAIN_BITS) - 1
    return (VerdictKind.SCORED, plain) if plain <= PPM else (VerdictKind(plain - PPM - 1), 0)


def part_of(word: int, is_train: bool) -> int:
    """One half of a word."""
    return word >> _PART_BITS if is_train else word & ((1 << _PART_BITS) - 1)


def plain_part(part: int) -> tuple[VerdictKind, int]:
    """Kind and ppm of a packed part."""
    return VerdictKind(part >> _KIND_SHIFT & 0xFF), part >> _PPM_SHIFT & 0xFFFFFF


INVALID = pack_verdict(Part(VerdictKind.INVALID), Part(VerdictKind.NONE))
"""The word of a model that fails verification."""
