"""What is paid for is what was looked at: the digest of a source, compared before anything is spent."""

import hashlib
from pathlib import Path

import numpy as np

from dataclient.sources.boundary import reading
from dataclient.sources.plain import PlainData, listed
from pole.errors import BadInput


def digest_of_path(path: Path) -> str:
    """sha256 of a file's bytes."""
    with reading(path, "a file", "check that it may be read"), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest_of_folder(root: Path) -> str:
    """sha256 over names and digests of all files below a folder, hidden ones left out."""
    whole = hashlib.sha256()
    for path in sorted(path for path in root.rglob("*") if path.is_file() and not path.name.startswith(".")):
        whole.update(f"{digest_of_path(path)} {path.relative_to(root)}\n".encode(errors="surrogateescape"))
    return whole.hexdigest()


def digest_of_rows(data: PlainData) -> str:
    """sha256 over features, labels and their names, for sets that are no file of the client's."""
    whole = hashlib.sha256(repr((data.x.dtype.str, data.x.shape, data.names)).encode())
    whole.update(np.ascontiguousarray(data.x).tobytes())
    whole.update(data.labels.tobytes())
    return whole.hexdigest()


def check_bound(source: str, digest: str | None, columns: list[str] | None, data: PlainData) -> None:
    """Refuses a source that is not the one `init` read. Raises BadInput."""
    if columns is not None and data.columns is not None and list(data.columns) != columns:
        raise BadInput(
            f"{source} has the columns {listed(data.columns)}, but had {listed(columns)} when the task file was made; "
            "put the file back as it was, or run `init` again"
        )
    if digest is not None and data.digest != digest:
        raise BadInput(
            f"{source} has changed since the task file was made (sha256 {str(data.digest)[:12]}..., then {digest[:12]}"
            "...); put it back as it was, or run `init` again"
        )
