"""Cells of a table: what is missing, what is a number, a truth value or a date. Columns come as text or typed."""

import re
from collections.abc import Callable, Sequence
from typing import Any

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
    found = _by_value(values.where(values.notna(), None), _texts, None)
    return pd.Series(found, index=column.index, dtype=object)


def _texts(values: "pd.Series[object]") -> npt.NDArray[np.object_]:
    return np.asarray(values.map(label_text, na_action="ignore"), dtype=object)


def _by_value(
    column: "pd.Series[object]", work: Callable[["pd.Series[object]"], npt.NDArray[Any]], absent: object
) -> npt.NDArray[Any]:
    """`work` on all cells; on texts that repeat, once for each text. `absent`: for cells without a value."""
    if column.dtype == object and pd.api.types.infer_dtype(column, skipna=True) == "string":
        codes, values = pd.factorize(column)
        if 2 * len(values) < len(column):
            found = work(pd.Series(values, dtype=object))
            last = np.asarray([absent], dtype=found.dtype)
            return np.asarray(np.concatenate([found, last])[codes])
    return work(column)


def is_missing(column: "pd.Series[object]", tokens: Sequence[str]) -> Mask:
    """Cells without a value, and texts that stand for that."""
    missing = column.isna().to_numpy()
    if _is_text(column):
        known = list(tokens)
        missing |= _by_value(column, lambda c: c.astype(str).str.strip().str.lower().isin(known).to_numpy(), True)
    return np.asarray(missing, dtype=np.bool_)


def _is_text(column: "pd.Series[object]") -> bool:
    return not (pd.api.types.is_numeric_dtype(column.dtype) or pd.api.types.is_datetime64_any_dtype(column.dtype))


def looks_like(column: "pd.Series[object]", decimal: str, *, groups: bool) -> Mask:
    """Which cells read as a number written like this."""
    if pd.api.types.is_numeric_dtype(column.dtype):
        return np.ones(len(column), dtype=np.bool_)
    found = _by_value(column, lambda c: _matches(c.astype(str).str.strip(), decimal, groups), False)
    return np.asarray(found, dtype=np.bool_)


def _matches(stripped: "pd.Series[str]", decimal: str, groups: bool) -> Mask:
    plain, grouped = _PLAIN[decimal].fullmatch, _GROUPED[decimal].fullmatch
    found = [
        plain(text) is not None or (groups and grouped(text) is not None) or text.lower() in INFINITE
        for text in stripped
    ]
    return np.asarray(found, dtype=np.bool_)


def numbers(column: "pd.Series[object]", reading: Number, missing: Mask) -> tuple[Floats, Mask]:
    """float64 [n], NaN where missing or no number; and which present cells are no number."""
    if pd.api.types.is_numeric_dtype(column.dtype):
        return _typed(column, reading.offset), np.zeros(len(column), dtype=np.bool_)
    out = np.asarray(_by_value(column, lambda c: _parsed(c, reading), np.nan), dtype=np.float64).copy()
    bad = np.isnan(out) & ~missing
    out[missing] = np.nan
    return out, bad


def _typed(column: "pd.Series[object]", offset: int) -> Floats:
    if offset and pd.api.types.is_integer_dtype(column.dtype):
        column = column.astype(object).map(lambda value: float(int(value) - offset), na_action="ignore")
        offset = 0
    values: Floats = column.astype("float64").to_numpy(copy=True)
    return values - offset if offset else values


def _parsed(column: "pd.Series[object]", reading: Number) -> Floats:
    """NaN for texts that are no number."""
    stripped = column.astype(str).str.strip()
    good = _matches(stripped, reading.decimal, reading.groups)
    chosen = stripped[good]
    if reading.groups:
        chosen = chosen.str.replace(_GROUPERS[reading.decimal], "", regex=True)
    if reading.decimal == ",":
        chosen = chosen.str.replace(",", ".", regex=False)
    out = np.full(len(column), np.nan)
    out[good] = [_number(text, reading.offset) for text in chosen]
    return out


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
