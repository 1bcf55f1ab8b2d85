"""The result of a check, and the wrapper that keeps a failing check from ending the others."""

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import ParamSpec

from pole.errors import PoleError
from pole.urls import scrub

P = ParamSpec("P")


class Verdict(StrEnum):
    """`warning`: works, or is not needed by all; `problem`: a role would stop or lose by it."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True)
class Check:
    """One thing that was looked at; `remedy` is a command where one helps, and empty where nothing is wrong."""

    name: str
    verdict: Verdict
    text: str
    remedy: str = ""


def ok(text: str) -> Check:
    return Check("", Verdict.OK, text)


def warning(text: str, remedy: str) -> Check:
    return Check("", Verdict.WARNING, text, remedy)


def problem(text: str, remedy: str) -> Check:
    return Check("", Verdict.PROBLEM, text, remedy)


def check(
    name: str, explain: Callable[[Exception], Check | None] = lambda _: None
) -> Callable[[Callable[P, Check]], Callable[P, Check]]:
    """Make a function a check of this name, which never raises and shows no secret of an address.

    `explain` may say what an error means; others become a problem with their text.
    """

    def decorate(look: Callable[P, Check]) -> Callable[P, Check]:
        @functools.wraps(look)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> Check:
            try:
                found = look(*args, **kwargs)
            except Exception as exc:
                found = explain(exc) or _explained(exc)
            return replace(found, name=name, text=_printable(found.text), remedy=_printable(found.remedy))

        return guarded

    return decorate


def _explained(exc: Exception) -> Check:
    if isinstance(exc, PoleError):  # its message ends in what to do
        text, _, remedy = str(exc).partition("; ")
        return problem(text, remedy)
    if isinstance(exc, OSError) and exc.strerror:
        where = f"{exc.filename}: " if exc.filename else ""
        return problem(f"{where}{exc.strerror}", "check the path and its permissions")
    return problem(f"{type(exc).__name__}: {exc}", "report this, with the command that you gave")


def _printable(text: str) -> str:
    """One line without secrets and control characters: paths and answers of a node may hold any."""
    return "".join(char if char.isprintable() else "?" for char in " ".join(scrub(text).split()))
