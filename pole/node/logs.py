"""Structured logs on stderr, for people or as JSON lines; secrets never reach them."""

import logging
import os
import sys
import traceback
from collections.abc import MutableMapping
from typing import Any

import structlog

from pole.errors import BadInput, PoleError
from pole.urls import scrub

_SECRET_PARTS = ("secret", "password", "private", "salt", "mnemonic", "master")
LEVELS = ("debug", "info", "warning", "error")


def configure(is_json: bool = False, level: str = "info") -> None:
    """Send all logs of this process to stderr; `level` is one of LEVELS."""
    if level not in LEVELS:
        raise BadInput(f"log level {level!r} is unknown; use one of {', '.join(LEVELS)}")
    renderer: Any = (
        structlog.processors.JSONRenderer() if is_json else structlog.dev.ConsoleRenderer(colors=_has_colours())
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso" if is_json else "%H:%M:%S", utc=is_json),
            redact,
            structlog.processors.format_exc_info if is_json else _without_status,
            renderer,
            _scrubbed,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    logging.getLogger().addHandler(_LIBRARIES)


def _has_colours() -> bool:
    """See no-color.org."""
    return sys.stderr.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def report(exc: Exception) -> None:
    """The last words of a command that failed: a line, with the traceback if nobody raised it on purpose."""
    is_expected = isinstance(exc, PoleError)
    if any(isinstance(each, structlog.processors.JSONRenderer) for each in structlog.get_config()["processors"]):
        kind = type(exc).__name__
        structlog.get_logger().error(str(exc), kind=kind, exc_info=None if is_expected else exc)
    elif is_expected:
        print(f"error: {scrub(str(exc))}", file=sys.stderr)
    else:
        print(lines_of(exc), end="", file=sys.stderr)


def lines_of(exc: BaseException) -> str:
    """The traceback, without keys of addresses."""
    return scrub("".join(traceback.format_exception(exc)))


def redact(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Blank every value whose name says that it is secret (structlog processor)."""
    for name in event:
        if any(part in name.lower() for part in _SECRET_PARTS):
            event[name] = "<redacted>"
    return event


def _scrubbed(_logger: Any, _method: str, line: Any) -> str:
    """The finished line, with its traceback, without keys of addresses."""
    return scrub(str(line))


class _Libraries(logging.Handler):
    """What libraries warn of becomes a line as all others: urllib3 alone names whole URLs."""

    def emit(self, record: logging.LogRecord) -> None:
        log = structlog.get_logger()
        log.log(record.levelno, record.getMessage(), library=record.name, exc_info=record.exc_info or None)


_LIBRARIES = _Libraries(logging.WARNING)


def _without_status(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """People have just read it as a sentence."""
    event.pop("status", None)
    return event
