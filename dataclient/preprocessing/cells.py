"""Cells of a table: what is missing, what is a number, a truth value or a date. Columns come as text or typed."""

import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from dataclient.preprocessing.document import Number
from dataclient.sources.plain import label_text

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

_EXPONENT = r"(?:[eE][+-]?[0-9]+)?"
_PLAIN = {
    ".": re.compile(rf"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+){_EXPONENT}"),
    ",": re.compile(rf"[+-]?(?:[0-9]+,?[0-9]*|,[0-9]+){_EXPONENT}"),
}
_GROUPED = {
    ".": re.compile(r"[+-]?[0-9]{1,3}(?:[,' \u00a0\u202f][0-9]{3})+(?:\.[0-9]+)?"),
    ",": re.compile(r"[+-]?[0-9]{1,3}(?:[.' \u00a0\u202f][0-9]{3})+(?:,[0-9]+)?"),
}
_GROUPERS = {".": "[,' \u00a0\u202f]", ",": "[.' \u00a0\u202f]"}
_WHOLE = re.compile(r"[+-]?[0-9]+")
INFINITE = ("inf", "+inf", "-inf", "infinity", "+infinity", "-infinity")


def texts(column: "pd.Series[object]") -> "pd.Series[str]":
    """Every cell as trimmed text, None where there is none: whole floats as whole numbers, bytes decoded."""
    if pd.api.types.is_datetime64_any_dtype(column.dtype):
        column = column.astype("string").astype(object)
    values = column.astype(object)
    return values.where(values.notna(), None).map(label_text, na_action="ignore")


def is_missing(column: "pd.Series[object]", tokens: Sequence[str]) -> Mask:
    """Cells without a value, and texts that stand for that."""
    missing = column.isna().to_numpy()
    if _is_text(column):
        missing |= column.astype(str).str.strip().str.lower().isin(list(tokens)).to_numpy()
    return np.asarray(missing, dtype=np.bool_)


def _is_text(column: "pd.Series[object]") -> bool:
    return not (pd.api.types.is_numeric_dtype(column.dtype) or pd.api.types.is_datetime64_any_dtype(column.dtype))


def looks_like(column: "pd.Series[object]", decimal: str, *, groups: bool) -> Mask:
    """Which cells read as a number written like this."""
    if pd.api.types.is_numeric_dtype(column.dtype):
        return np.ones(len(column), dtype=np.bool_)
    stripped = column.astype(str).str.strip()
    found = stripped.str.fullmatch(_PLAIN[decimal]) | stripped.str.lower().isin(INFINITE)
    if groups:
        found |= stripped.str.fullmatch(_GROUPED[decimal])
    return np.asarray(found.to_numpy(), dtype=np.bool_)


def numbers(column: "pd.Series[object]", reading: Number, missing: Mask) -> tuple[Floats, Mask]:
    """float64 [n], NaN where missing or no number; and which present cells are no number."""
    if pd.api.types.is_numeric_dtype(column.dtype):
        whole = reading.offset and pd.api.types.is_integer_dtype(column.dtype)
        values = (
            column.astype(object).map(lambda v: float(int(v) - reading.offset), na_action="ignore") if whole else column
        )
        return values.astype("float64").to_numpy(copy=True), np.zeros(len(column), dtype=np.bool_)
    out = np.full(len(column), np.nan)
    good = looks_like(column, reading.decimal, groups=reading.groups) & ~missing
    stripped = column[good].astype(str).str.strip()
    if reading.groups:
        stripped = stripped.str.replace(_GROUPERS[reading.decimal], "", regex=True)
    if reading.decimal == ",":
        stripped = stripped.str.replace(",", ".", regex=False)
    out[good] = [_number(text, reading.offset) for text in stripped]
    return out, ~good & ~missing


def _number(text: str, offset: int) -> float:
    return float(int(text) - offset) if offset and _WHOLE.fullmatch(text) else float(text) - offset


def dates(column: "pd.Series[object]", form: str, missing: Mask) -> tuple["pd.Series[pd.Timestamp]", Mask]:
    """Times without zone, NaT where missing or no date; and which present cells are no date."""
    if pd.api.types.is_datetime64_any_dtype(column.dtype):
        parsed = pd.to_datetime(column, utc=True, errors="coerce").dt.tz_localize(None)
    else:
        stripped = column.astype(str).str.strip().where(~missing, None)
        parsed = pd.to_datetime(stripped, format=form, errors="coerce", utc=True).dt.tz_localize(None)
    return parsed, parsed.isna().to_numpy() & ~missing
