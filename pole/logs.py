"""Structured logs on stderr, for people or as JSON lines; secrets never reach them."""

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

from pole.errors import BadInput

_SECRET_PARTS = ("secret", "password", "private", "salt", "mnemonic", "master")
LEVELS = ("debug", "info", "warning", "error")


def configure(is_json: bool = False, level: str = "info") -> None:
    """Send all logs of this process to stderr; `level` is one of LEVELS."""
    if level not in LEVELS:
        raise BadInput(f"log level {level!r} is unknown; use one of {', '.join(LEVELS)}")
    renderer: Any = (
        structlog.processors.JSONRenderer() if is_json else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso" if is_json else "%H:%M:%S", utc=is_json),
            redact,
            structlog.processors.format_exc_info if is_json else _without_status,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )


def redact(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Blank every value whose name says that it is secret (structlog processor)."""
    for name in event:
        if any(part in name.lower() for part in _SECRET_PARTS):
            event[name] = "<redacted>"
    return event


def _without_status(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """People have just read it as a sentence."""
    event.pop("status", None)
    return event
