"""Messages between a verifier and its judging process: a request in, one line of JSON per finding out."""

from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field

from pole.chain.structs import VerdictKind
from pole.chain.verdicts import Part, pack_verdict
from pole.exact.published import EntryRows, pack_rows
from pole.exact.roots import RowPart
from pole.task.manifest import Document
from pole.task.scores import Integers
from pole.timing import NOTHING, Timing


class FindingKind(StrEnum):
    """What a line is about.

    `ready`: the features stand, models come next. `retry`: something is missing or out of order that may heal (store,
    memory). `no_data`: nobody has a file of the client's, so far. `no_test_set`: the same of the test set alone.
    `hopeless`: manifest, keys or data are wrong for everybody: no model can be valid. `judged`: a verdict.
    `unavailable`: a model's content cannot be had, so far. `done`: the request is answered.
    """

    READY = "ready"
    RETRY = "retry"
    NO_DATA = "no_data"
    NO_TEST_SET = "no_test_set"
    HOPELESS = "hopeless"
    JUDGED = "judged"
    UNAVAILABLE = "unavailable"
    DONE = "done"


class Finding(Document):
    """One finding; `entry` is -1 where it is about all entries.

    `train`, `test`: what a vote says of both parts; only a scored one has a ppm and a root (32 bytes, in hexadecimal).
    `train_rows`, `test_rows`: the predictions, see `pole.exact.published`.
    `opening`: what was decrypted before the features stood.
    `wrong_segments`: bit i is segment i of a gradient proposal's trajectory that does not replay.
    """

    kind: Annotated[FindingKind, Field(strict=False)]
    entry: int = -1
    train: Annotated[VerdictKind, Field(strict=False)] = VerdictKind.INVALID
    train_ppm: int = 0
    train_root: str = ""
    train_rows: str = ""
    test: Annotated[VerdictKind, Field(strict=False)] = VerdictKind.NONE
    test_ppm: int = 0
    test_root: str = ""
    test_rows: str = ""
    wrong_segments: int = 0
    reason: str = ""
    opening: Timing = NOTHING

    @property
    def is_valid(self) -> bool:
        return self.train == VerdictKind.SCORED

    @property
    def rows(self) -> EntryRows:
        return EntryRows(train=self.train_rows, test=self.test_rows)

    @property
    def word(self) -> int:
        """The entry's verdict as a vote says it."""
        return pack_verdict(
            Part(self.train, self.train_ppm, bytes.fromhex(self.train_root)),
            Part(self.test, self.test_ppm, bytes.fromhex(self.test_root)),
        )


def scored_part(part: RowPart, ppm: int, predictions: Integers, root: bytes) -> dict[str, Any]:
    """The fields of a finding that say what a valid model scored on one part."""
    name = part.name.lower()
    return {
        name: VerdictKind.SCORED,
        f"{name}_ppm": ppm,
        f"{name}_root": root.hex(),
        f"{name}_rows": pack_rows(predictions),
    }


class JudgingLimits(Document):
    """What the judging process may use. `memory_bytes` is on top of the libraries; `cpu_s` is per model."""

    memory_bytes: int = 4 << 30
    file_bytes: int = 8 << 30
    cpu_s: int = 600
    wall_s: int = 600
    threads: int = 1
