"""Documents in the content store: strict, canonical JSON, read from strangers."""

import json
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from pole.errors import PoleError

Kind = TypeVar("Kind", bound=BaseModel)


def canonical_json(document: BaseModel) -> bytes:
    """Sorted keys, no spaces, UTF-8, so that equal documents have equal CIDs."""
    return json.dumps(document.model_dump(mode="json"), sort_keys=True, separators=(",", ":")).encode()


def parse_document(
    kind: type[Kind], content: bytes, *, what: str, max_bytes: int, error: type[PoleError], see: str
) -> Kind:
    """Raises `error` with `what` as the subject, naming the first offending field, and `see` as where to read on."""
    if len(content) > max_bytes:
        raise error(f"{what} has {len(content)} bytes; at most {max_bytes} are allowed")
    try:
        return kind.model_validate_json(content)
    except ValidationError as exc:
        raise error(f"{what} is invalid: {first_problem(exc)}; see {see}") from exc


def first_problem(exc: ValidationError) -> str:
    """Where, what and how many more, kept short and printable, since a stranger chose the names of unknown fields."""
    first = exc.errors(include_url=False, include_input=False)[0]
    where = f"{'.'.join(str(part) for part in first['loc']):.200}: " if first["loc"] else ""
    more = f" ({exc.error_count()} problems in all)" if exc.error_count() > 1 else ""
    text = f"{where}{first['msg'].removeprefix('Value error, '):.500}{more}"
    return "".join(c if c.isprintable() else "?" for c in text)


class Document(BaseModel):
    """Base of all parts: unknown fields, wrong types, NaN and infinities are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)
