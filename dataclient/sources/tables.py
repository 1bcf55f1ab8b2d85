"""Tables: CSV and its kin, Parquet, Feather, Excel. Every reader yields columns, as text or typed, piece by piece."""

import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from dataclient.preprocessing.cells import looks_like
from dataclient.sources.boundary import reading
from dataclient.sources.plain import listed
from dataclient.sources.text import ZIP, Dialect, Record, records, sniff
from pole.errors import BadInput

Kind = Literal["text", "parquet", "feather", "excel", "npz"]

CELLS_AT_ONCE = 1 << 20
MAX_ROWS_AT_ONCE = 1 << 16
REMEDY = "write it anew, or give a CSV file"
REFUSED = {
    ".pkl": "pickles are never opened, since they can run any program",
    ".pickle": "pickles are never opened, since they can run any program",
    ".npy": "it holds one array; put features and labels into an .npz file as x and y",
    ".xls": "the old Excel format is not read; save it as .xlsx or CSV",
    ".json": "JSON is not read; write a CSV or Parquet file",
    ".jsonl": "JSON is not read; write a CSV or Parquet file",
    ".h5": "HDF5 is not read; write a Parquet or .npz file",
    ".mat": "MATLAB files are not read; write a CSV or .npz file",
    ".arff": "ARFF is not read; write a CSV file",
}


@dataclass(frozen=True)
class Table:
    """Rows with named columns. `lines`: where each row begins in a text file; `first_row`: what came before a piece."""

    path: object
    frame: pd.DataFrame
    lines: npt.NDArray[np.int64] | None = None
    first_row: int = 0
    dialect: Dialect | None = None
    notes: tuple[str, ...] = ()

    @property
    def header(self) -> list[str]:
        return list(self.frame.columns)

    def place(self, row: int) -> str:
        if self.lines is not None:
            return f"{self.path}, line {self.lines[row]}"
        return f"{self.path}, row {self.first_row + row + 1}"

    def require(self, name: str, purpose: str) -> str:
        if name not in self.frame.columns:
            raise BadInput(
                f"{self.path} has no {purpose} column {name!r}; its columns are {listed(self.header)}{self._hint()}"
            )
        return name

    def _hint(self) -> str:
        if self.dialect is not None and not is_header(self.header):
            return " (its first line looks like data: put a line that names the columns above it)"
        return ""


def is_header(names: Sequence[str]) -> bool:
    """Whether a first line names columns: one that is all numbers does not."""
    return not bool(looks_like(pd.Series(list(names), dtype=object), ".", groups=False).all())


def kind_of(path: Path) -> Kind:
    """By content first, then by suffix. Raises BadInput for formats that are not read."""
    with reading(path, "a file", "check that it may be read"), path.open("rb") as file:
        magic = file.read(8)
    if magic.startswith(b"PAR1"):
        return "parquet"
    if magic.startswith((b"ARROW1", b"FEA1")):
        return "feather"
    suffix = path.suffix.lower()
    if magic.startswith(ZIP):
        return _kind_of_archive(path)
    if magic.startswith((b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")):
        suffix = ".pkl"
    if magic.startswith(b"\x93NUMPY"):
        suffix = ".npy"
    if suffix in REFUSED:
        raise BadInput(f"cannot read {path}: {REFUSED[suffix]}")
    by_suffix: dict[str, Kind] = {".npz": "npz", ".parquet": "parquet", ".feather": "feather", ".xlsx": "excel"}
    return by_suffix.get(suffix, "text")


def _kind_of_archive(path: Path) -> Kind:
    what = "a zip archive (.npz, .xlsx or a zipped CSV)"
    with reading(path, what, "fetch it again"), zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    if "xl/workbook.xml" in names:
        return "excel"
    return "npz" if any(name.endswith(".npy") for name in names) or path.suffix.lower() == ".npz" else "text"


@dataclass(frozen=True)
class TextOptions:
    encoding: str | None = None
    delimiter: str | None = None


def read_table(path: Path, options: TextOptions | None = None) -> Table:
    """A whole table. Raises BadInput."""
    pieces = list(read_pieces(path, options or TextOptions()))
    first = pieces[0]
    if len(pieces) == 1:
        return first
    lines = None if first.lines is None else np.concatenate([p.lines for p in pieces if p.lines is not None])
    frame = pd.concat([piece.frame for piece in pieces], ignore_index=True)
    return Table(path, frame, lines, 0, first.dialect, first.notes)


def read_pieces(path: Path, options: TextOptions, *, positions: int | None = None) -> Iterator[Table]:
    """A table in pieces of bounded size, in order; at least one, which may be empty.

    `positions`: columns are numbered, not named, if the first line of a text file is of so many numbers.
    """
    kind = kind_of(path)
    if kind == "text":
        yield from _text_pieces(path, sniff(path, options.encoding, options.delimiter), positions)
        return
    if options.encoding or options.delimiter:
        raise BadInput(f"{path} is no text file: leave out --encoding and --delimiter")
    yield from _excel(path) if kind == "excel" else _arrow_pieces(path, kind)


# --- text ------------------------------------------------------------------------------------------------------------


def _text_pieces(path: Path, dialect: Dialect, positions: int | None) -> Iterator[Table]:
    source = records(path, dialect)
    first = next(source, None)
    if first is None:
        raise BadInput(f"{path} is empty; give a CSV file whose first line names the columns")
    is_unnamed = positions is not None and len(first.fields) == positions and not is_header(first.fields)
    header = [str(i + 1) for i in range(len(first.fields))] if is_unnamed else _header(first.fields, path)
    batch: list[Record] = [first] if is_unnamed else []
    size = max(1, min(MAX_ROWS_AT_ONCE, CELLS_AT_ONCE // len(header)))
    done, has_yielded = 0, False
    for record in source:
        if len(record.fields) != len(header):
            raise BadInput(
                f"{path}, line {record.line}: {len(record.fields)} fields, but the first line "
                f"{'has' if is_unnamed else 'names'} {len(header)} columns"
            )
        batch.append(record)
        if len(batch) == size:
            yield _piece(path, header, batch, done, dialect)
            done, batch, has_yielded = done + size, [], True
    if batch or not has_yielded:
        yield _piece(path, header, batch, done, dialect)


def _header(fields: Sequence[str], path: Path) -> list[str]:
    """Trimmed; an unnamed column is named as pandas does."""
    names = [name.strip() or f"Unnamed: {i}" for i, name in enumerate(fields)]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise BadInput(f"{path} has several columns named {listed(repeated)}; give each its own name")
    return names


def _piece(path: Path, header: list[str], batch: list[Record], done: int, dialect: Dialect) -> Table:
    columns = zip(*(record.fields for record in batch), strict=True) if batch else [()] * len(header)
    frame = pd.DataFrame(
        {name: np.array(cells, dtype=object) for name, cells in zip(header, columns, strict=True)}, columns=header
    )
    lines = np.array([record.line for record in batch], dtype=np.int64)
    return Table(path, frame, lines, done, dialect, dialect.notes)


# --- typed -----------------------------------------------------------------------------------------------------------


def _arrow_pieces(path: Path, kind: Kind) -> Iterator[Table]:
    done = 0
    batches = _parquet_batches(path) if kind == "parquet" else _feather_batches(path)
    while True:
        with reading(path, kind.capitalize(), REMEDY):
            batch = next(batches, None)
            frame = None if batch is None else batch.to_pandas(ignore_metadata=True)  # an index is a column
        if frame is None:
            return
        yield Table(path, _named(frame, path), None, done)
        done += len(frame)


def _parquet_batches(path: Path) -> Iterator[Any]:
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        size = max(1, min(MAX_ROWS_AT_ONCE, CELLS_AT_ONCE // max(1, len(file.schema_arrow.names))))
        count = 0
        for batch in file.iter_batches(batch_size=size):
            count += 1
            yield batch
        if not count:
            yield file.read()


def _feather_batches(path: Path) -> Iterator[Any]:
    import pyarrow.feather as feather

    table = feather.read_table(path, memory_map=False)
    size = max(1, min(MAX_ROWS_AT_ONCE, CELLS_AT_ONCE // max(1, table.num_columns)))
    yield from (table.slice(start, size) for start in range(0, max(1, table.num_rows), size))


def _excel(path: Path) -> Iterator[Table]:
    with reading(path, "Excel", REMEDY), pd.ExcelFile(path, engine="openpyxl") as book:
        sheets = [str(name) for name in book.sheet_names]
        frame = book.parse(sheets[0], keep_default_na=False, na_values=[""])
    notes = (f"{path.name} has sheets {listed(sheets)}; {sheets[0]!r} is read",) if len(sheets) > 1 else ()
    yield Table(path, _named(frame, path), notes=notes)


def _named(frame: pd.DataFrame, path: object) -> pd.DataFrame:
    """With text for names, and a numbering of its own where the file kept one."""
    frame = frame.copy(deep=False)
    frame.columns = pd.Index(_header([str(name) for name in frame.columns], Path(str(path))), dtype=object)
    return frame.reset_index(drop=True)


def from_frame(frame: pd.DataFrame, path: object) -> Table:
    """A table of a frame that came from elsewhere."""
    return Table(path, _named(frame, path))
