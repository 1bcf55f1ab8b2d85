"""Messages between a verifier and its judging process: a request in, one line of JSON per finding out."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from pole.task.manifest import Document
from pole.timing import NOTHING, Timing


class FindingKind(StrEnum):
    """What a line is about.

    `ready`: the features stand, models come next. `retry`: something is missing or out of order that may heal (store,
    memory). `no_test_set`: all is there but the released test set. `hopeless`: manifest, keys or data are wrong for
    everybody: no model can be valid. `judged`: a verdict. `unavailable`: a model's content cannot be had, so far.
    `done`: the request is answered.
    """

    READY = "ready"
    RETRY = "retry"
    NO_TEST_SET = "no_test_set"
    HOPELESS = "hopeless"
    JUDGED = "judged"
    UNAVAILABLE = "unavailable"
    DONE = "done"


class Finding(Document):
    """One finding; `entry` is -1 where it is about all entries. Accuracies are 0 unless the entry is valid.

    `opening`: what was decrypted before the features stood.
    `wrong_segments`: bit i is segment i of a gradient proposal's trajectory that does not replay.
    """

    kind: Annotated[FindingKind, Field(strict=False)]
    entry: int = -1
    is_valid: bool = False
    train_ppm: int = 0
    test_ppm: int = 0
    wrong_segments: int = 0
    reason: str = ""
    opening: Timing = NOTHING


class JudgingLimits(Document):
    """What the judging process may use. `memory_bytes` is on top of the libraries; `cpu_s` is per model."""

    memory_bytes: int = 4 << 30
    file_bytes: int = 8 << 30
    cpu_s: int = 600
    wall_s: int = 600
    threads: int = 1
