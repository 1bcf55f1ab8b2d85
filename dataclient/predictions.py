"""Writes predictions, piece by piece: CSV, Parquet, or standard output. A file is there whole or not at all."""

import csv
import os
import secrets
import sys
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from dataclient.answers import answer_columns, probability_columns
from dataclient.bundle import Bundle
from dataclient.predict import Predictions, far_outside
from pole.errors import BadInput
from pole.task.scores import Target

STANDARD_OUTPUT = Path("-")


def check_out(out: Path, rows: Path, *, is_overwriting: bool) -> None:
    """Refuses what would destroy a file, before anything is computed. Raises BadInput."""
    if out == STANDARD_OUTPUT:
        return
    if out.exists() and rows.exists() and out.samefile(rows):
        raise BadInput(f"--out {out} is the file with the rows; choose another")
    if out.exists() and (not is_overwriting or out.is_dir()):
        raise BadInput(f"{out} exists already; choose another --out, or say --force to replace it")
    if not out.absolute().parent.is_dir():
        raise BadInput(f"cannot write {out}: there is no folder {out.absolute().parent}; choose another --out")


def write_predictions(out: Path, bundle: Bundle, pieces: Iterable[Predictions], *, is_overwriting: bool) -> None:
    """Row number, id, answer, what is far outside, and the probability of every class or label. Raises BadInput.

    The answer is a class with its confidence, the labels, or the quantities in their units.
    """
    if out == STANDARD_OUTPUT:
        _write_csv(sys.stdout, bundle, pieces)
        return
    with _whole_file(out, is_overwriting) as temporary:
        if out.suffix.lower() == ".parquet":
            _write_parquet(temporary, bundle, pieces)
        else:
            with temporary.open("w", newline="", encoding="utf-8") as file:
                _write_csv(file, bundle, pieces)


def _columns(bundle: Bundle, piece: Predictions, first_row: int) -> dict[str, Any]:
    data = bundle.description.manifest.data
    given = [] if piece.rows.ids is None else [(piece.rows.id_name, piece.rows.ids)]
    made = [
        ("row", np.arange(first_row, first_row + len(piece.predicted))),
        *answer_columns(piece.predicted, piece.values, data),
        ("far_outside", far_outside(piece, bundle)),
        *probability_columns(piece.values, data),
    ]
    columns: dict[str, Any] = {}
    for name, values in (*made, *given):
        columns[_free(name, columns)] = values
    if given:  # behind the row's number
        names = list(columns)
        columns = {name: columns[name] for name in (names[0], names[-1], *names[1:-1])}
    return columns


def _free(name: str, taken: Collection[str]) -> str:
    """The client's names of columns and quantities may be any; none of them replaces another."""
    free, number = name, 2
    while free in taken:
        free, number = f"{name} ({number})", number + 1
    return free


def _write_csv(file: TextIO, bundle: Bundle, pieces: Iterable[Predictions]) -> None:
    writer, done = csv.writer(file, lineterminator="\n"), 0
    is_quantity = bundle.description.manifest.data.target is Target.QUANTITY
    form = ".9g" if is_quantity else ".4f"
    for piece in pieces:
        columns = _columns(bundle, piece, done + 1)
        if not done:
            writer.writerow(columns)
        writer.writerows(zip(*(_texts(values, form) for values in columns.values()), strict=True))
        done += len(piece.predicted)


def _texts(values: Any, form: str) -> Any:
    return [format(value, form) for value in values] if getattr(values, "dtype", None) == np.float64 else values


def _write_parquet(path: Path, bundle: Bundle, pieces: Iterable[Predictions]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    writer, done = None, 0
    try:
        for piece in pieces:
            table = pa.table(_columns(bundle, piece, done + 1))
            writer = writer or pq.ParquetWriter(path, table.schema)
            writer.write_table(table)
            done += len(piece.predicted)
    finally:
        if writer is not None:
            writer.close()


@contextmanager
def _whole_file(out: Path, is_overwriting: bool) -> Iterator[Path]:
    """A file beside `out` that takes its place in the end."""
    temporary = out.with_name(f".{out.name}.{secrets.token_hex(8)}.tmp")
    try:
        yield temporary
        if is_overwriting:
            temporary.replace(out)
        else:
            os.link(temporary, out)  # unlike rename, fails if the name is taken
    except FileExistsError as exc:
        raise BadInput(f"{out} exists already; choose another --out, or say --force to replace it") from exc
    except OSError as exc:
        raise BadInput(f"cannot write {out}: {exc.strerror or exc}; choose another --out") from exc
    finally:
        temporary.unlink(missing_ok=True)
