"""The main loop of a judging process: it confines itself first, then answers one request after the other."""

import math
import resource
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

from pole.chain.structs import VerdictKind
from pole.errors import ContentMismatch, ContentNotFound, ContentTooLarge, InexactMachine, StoreError
from verifier.judging.messages import Finding, FindingKind, JudgingLimits

# Written while judging: nothing but lines to a pipe, which no limit on files covers.
FILE_BYTES_WHEN_JUDGING = 1 << 20


def serve(set_up: Callable[[JudgingLimits], None], answer: Callable[[bytes], tuple[int, Iterator[Finding]]]) -> None:
    """Reads the limits, then request after request, a line each; writes findings as they come. Ends with its input.

    `answer` says how many entries a request has and yields findings about them.
    """
    limits = JudgingLimits.model_validate_json(sys.stdin.buffer.readline())
    set_up(limits)
    confine(limits)
    for raw in sys.stdin.buffer:
        entries, findings = answer(raw)
        allow(limits, entries)
        for finding in findings:
            _say(finding)
        _say(Finding(kind=FindingKind.DONE))


def _say(finding: Finding) -> None:
    sys.stdout.write(finding.model_dump_json() + "\n")
    sys.stdout.flush()


def set_up_torch(limits: JudgingLimits) -> None:
    """Numbers too small for float32's normal form count as zero: a model full of them takes forty times as long, and
    with it a stranger could keep every verifier from voting. Threads inherit this when they start.
    """
    torch.set_flush_denormal(True)
    torch.set_num_threads(limits.threads)


def confine(limits: JudgingLimits) -> None:
    """Caps memory, file sizes and core dumps of this process, for good."""
    mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    for kind, value in (
        (resource.RLIMIT_AS, mapped + limits.memory_bytes),
        (resource.RLIMIT_FSIZE, limits.file_bytes),
        (resource.RLIMIT_CORE, 0),
    ):
        _, hard = resource.getrlimit(kind)
        capped = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (capped, capped))


def allow(limits: JudgingLimits, entries: int) -> None:
    """Processor time for one more request; beyond it, the system ends this process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    allowed = math.ceil(used.ru_utime + used.ru_stime) + limits.cpu_s * (entries + 1)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (allowed if hard == resource.RLIM_INFINITY else min(allowed, hard), hard))
    cap_files(limits.file_bytes)


def cap_files(size_bytes: int) -> None:
    """Lowers (or raises again, up to what `confine` left) the size of files that may be written."""
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(
        resource.RLIMIT_FSIZE, (size_bytes if hard == resource.RLIM_INFINITY else min(size_bytes, hard), hard)
    )


def may_heal(exc: BaseException) -> bool:
    """Whether this is about what the verifier can reach or hold just now, not about what the client published."""
    if isinstance(exc, StoreError):
        return not isinstance(exc, ContentTooLarge)
    if isinstance(exc, InexactMachine):
        return True
    # Bad input too, but the disk's or the memory's fault: a cache that cannot be written, features that do not fit.
    return isinstance(exc, MemoryError) or isinstance(exc.__cause__, OSError | MemoryError)


def why_not(exc: BaseException, test: VerdictKind) -> Finding:
    """Why nothing can be judged; `test`: what to vote on the test part if it is for want of the client's files."""
    reason = f"{type(exc).__name__}: {exc}"
    if isinstance(exc, ContentNotFound | ContentMismatch):
        return Finding(kind=FindingKind.NO_DATA, train=VerdictKind.WITHHELD, test=test, reason=reason)
    return Finding(kind=FindingKind.RETRY if may_heal(exc) else FindingKind.HOPELESS, reason=reason)
