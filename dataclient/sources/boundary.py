"""The one boundary for what libraries raise while they read a file: any of it becomes one clear error."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from pole.errors import BadInput, PoleError

MAX_REASON = 200


@contextmanager
def reading(subject: object, what: str, remedy: str) -> Iterator[None]:
    """Libraries may raise anything on a damaged file, SyntaxError and zlib.error included. Raises BadInput.

    Only calls of libraries belong inside: what is raised there is laid to the file.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what they warn of is either harmless or raised later
            yield
    except (PoleError, ModuleNotFoundError):
        raise
    except MemoryError as exc:
        raise BadInput(f"{subject} does not fit in this machine's memory; use fewer rows or smaller images") from exc
    except Exception as exc:
        raise BadInput(f"cannot read {subject} as {what}: {_reason(exc)}; {remedy}") from exc


def _reason(exc: Exception) -> str:
    return printable(str(getattr(exc, "strerror", None) or exc))[:MAX_REASON] or type(exc).__name__


def printable(text: str) -> str:
    """One line that a terminal can show: names of files, columns and classes may hold anything."""
    return "".join(c if c.isprintable() else "?" for c in " ".join(text.split()))


@contextmanager
def one_line() -> Iterator[None]:
    """Errors about a source quote its names; what cannot be shown in one line becomes question marks."""
    try:
        yield
    except BadInput as exc:
        if str(exc).isprintable():
            raise
        raise BadInput(printable(str(exc))) from exc
