"""Text of a table: compression, encoding and delimiter are found out, and records come with their line numbers."""

import bz2
import codecs
import csv
import gzip
import io
import lzma
import re
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO

from dataclient.sources.boundary import reading
from pole.errors import BadInput

DELIMITERS = (",", ";", "\t", "|")
SAMPLE_BYTES = 1 << 18
SAMPLE_RECORDS = 200
MAX_FIELD = 1 << 20
BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_SAID = re.compile("\ufeff?sep=([,;\t|])\r?\n")
GZIP, BZIP2, XZ, ZIP, ZSTD = b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00", b"PK\x03\x04", b"\x28\xb5\x2f\xfd"


@dataclass(frozen=True)
class Dialect:
    """How a text file is read. `notes`: what was guessed and may be wrong."""

    encoding: str
    delimiter: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Record:
    """One line of a table, or several where a quoted field holds line breaks; `line`: where it begins, from 1."""

    line: int
    fields: list[str]


def open_bytes(path: Path) -> IO[bytes]:
    """The file's content, decompressed if it is compressed. Raises BadInput."""
    with reading(path, "a file", "check that it exists and may be read"), path.open("rb") as file:
        magic = file.read(6)
    with reading(path, "a compressed file", "fetch it again or unpack it"):
        if magic.startswith(GZIP):
            return io.BufferedReader(gzip.GzipFile(path, "rb"))
        if magic.startswith(BZIP2):
            return bz2.open(path, "rb")
        if magic.startswith(XZ):
            return lzma.open(path, "rb")
        if magic.startswith(ZSTD):
            import pyarrow as pa  # has a decompressor for it

            stream = pa.input_stream(str(path), compression="zstd")
            return io.BufferedReader(stream)
        if magic.startswith(ZIP):
            return _only_member(path)
        return path.open("rb")


def _only_member(path: Path) -> IO[bytes]:
    archive = zipfile.ZipFile(path)
    names = [info.filename for info in archive.infolist() if not info.is_dir() and "__MACOSX" not in info.filename]
    if len(names) != 1:
        archive.close()
        raise BadInput(f"{path} holds {len(names)} files; unpack it, and give the one with the rows")
    return archive.open(names[0])


def sniff(path: Path, encoding: str | None, delimiter: str | None) -> Dialect:
    """Encoding and delimiter, as told or from the beginning of the file. Raises BadInput."""
    with open_bytes(path) as file, reading(path, "CSV", "fetch it again or unpack it"):
        sample = file.read(SAMPLE_BYTES)
    if not sample.strip(b"\xef\xbb\xbf \r\n\t\x00"):
        raise BadInput(f"{path} is empty; give a CSV file whose first line names the columns")
    is_whole = len(sample) < SAMPLE_BYTES
    notes: tuple[str, ...] = ()
    if encoding is None:
        encoding, notes = _encoding(path, sample, is_whole)
    text = _decoded(path, sample, encoding, is_whole)
    said = _SAID.match(text)
    return Dialect(encoding, delimiter or (said[1] if said else _delimiter(text, is_whole)), notes)


def _decoded(path: Path, sample: bytes, encoding: str, is_whole: bool) -> str:
    with reading(path, f"CSV in {encoding}", "say what it is written in with --encoding"):
        return codecs.getincrementaldecoder(encoding)().decode(sample, is_whole)


def _encoding(path: Path, sample: bytes, is_whole: bool) -> tuple[str, tuple[str, ...]]:
    for mark, name in BOMS:
        if sample.startswith(mark):
            return name, ()
    zeros = sample[:4096].count(0)
    if zeros:
        pairs = len(sample[:4096]) // 2
        for name, offset in (("utf-16-le", 1), ("utf-16-be", 0)):
            if sample[offset:4096:2].count(0) > 0.7 * pairs and sample[1 - offset : 4096 : 2].count(0) == 0:
                return name, (f"{path.name} is read as {name.upper()}",)
        raise BadInput(
            f"cannot read {path} as CSV: it holds zero bytes, so it is no text; give a CSV, TSV, Parquet, Feather, "
            "Excel or .npz file"
        )
    try:
        codecs.getincrementaldecoder("utf-8")().decode(sample, is_whole)
    except UnicodeDecodeError:
        name = _legacy(sample)
        return name, (f"{path.name} is not UTF-8 and is read as {name}; if names look wrong, say --encoding",)
    return "utf-8", ()


def _legacy(sample: bytes) -> str:
    """Western unless much of it is outside of ASCII: then the likeliest by its letters."""
    letters = sum(byte > 127 for byte in sample)
    if letters > len(sample) / 5:
        from charset_normalizer import from_bytes

        best = from_bytes(sample).best()
        if best is not None:
            return str(best.encoding)
    try:
        sample.decode("cp1252")
    except UnicodeDecodeError:
        return "latin-1"
    return "cp1252"


def _delimiter(text: str, is_whole: bool) -> str:
    """The one that cuts the first records into the same number of fields, and into the most."""
    if not is_whole:
        text = text[: max(text.rfind("\n"), 0)] or text
    return max(DELIMITERS, key=lambda delimiter: _fit(text, delimiter))


def _fit(text: str, delimiter: str) -> tuple[float, int]:
    widths: list[int] = []
    with suppress(csv.Error):  # up to a quote that is wrong
        for record in islice(_records(io.StringIO(text, newline=""), delimiter), SAMPLE_RECORDS):
            widths.append(len(record.fields))
    if not widths or widths[0] < 2:
        return (0.0, 0)
    return (sum(width == widths[0] for width in widths) / len(widths), widths[0])


def records(path: Path, dialect: Dialect) -> Iterator[Record]:
    """All records but blank lines. Raises BadInput naming the line that cannot be read."""
    line = 0
    with open_bytes(path) as file:
        try:
            with io.TextIOWrapper(file, encoding=dialect.encoding, newline="") as text:
                for record in _records(text, dialect.delimiter):
                    line = record.line
                    yield record
        except csv.Error as exc:
            raise BadInput(
                f"cannot read {path} as CSV: {exc} in or after the record of line {line + 1}; check its quotes"
            ) from exc
        except (OSError, EOFError, ValueError, lzma.LZMAError, zipfile.BadZipFile, zlib.error) as exc:
            raise BadInput(
                f"cannot read {path} as CSV in {dialect.encoding}: {exc} after line {line}; mend the file, or say what "
                "it is written in with --encoding"
            ) from exc


def _records(text: IO[str], delimiter: str) -> Iterator[Record]:
    """`sep=;` in the first line is a hint of Excel's, and no record."""
    csv.field_size_limit(MAX_FIELD)
    reader = csv.reader(text, delimiter=delimiter, strict=True, skipinitialspace=delimiter != "\t")
    before = 0
    for fields in reader:
        is_hint = before == 0 and _SAID.match(delimiter.join(fields) + "\n") is not None
        if not is_hint and (any(field.strip() for field in fields) or len(fields) > 1):
            yield Record(before + 1, fields)
        before = reader.line_num
