"""Where a task's secrets and progress are on the client's disk: folders 0700, files 0600, each written atomically."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dataclient.preprocessing.document import AnyPreprocessing
from dataclient.task_file import TaskSource
from pole.atomicfile import write_atomically
from pole.errors import BadInput, JournalError, refused_write
from pole.paths import make_private
from pole.storage.cid import Cid
from pole.timing import Timing

PRIVATE_FILE = 0o600
MAX_AGAIN = 1000


class Record(BaseModel):
    """Base of the JSON records in a task's folder."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)

    @classmethod
    def read(cls, path: Path) -> Self | None:
        """The record, or None if it was not written yet. Raises JournalError for a damaged one."""
        try:
            return cls.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            return None
        except (ValidationError, OSError) as exc:
            raise JournalError(f"{path} is damaged; restore it from a backup: {type(exc).__name__}") from exc

    def write(self, path: Path) -> None:
        write_private(path, self.model_dump_json(indent=1).encode())


class PlainParts(Record):
    """What the source said, besides the rows themselves. Written after both row files, so it vouches for them."""

    shape: list[int]
    class_names: list[str] = []
    label_names: list[str] = []
    quantity_names: list[str] = []
    feature_names: list[str] | None
    training_rows: int
    test_rows: int
    preprocessing: AnyPreprocessing | None = None


class StoredPart(Record):
    cid: str
    rows: int
    size_bytes: int


class StoredParts(Record):
    """Training files stored so far, in order; an interrupted encryption goes on after them."""

    parts: list[StoredPart] = []


class Prepared(Record):
    """All that a submission needs; written last, so that nothing is spent on a half-prepared task."""

    manifest: str
    test_set: str
    salt: str = Field(repr=False)

    @property
    def manifest_cid(self) -> Cid:
        return Cid.parse(self.manifest)

    @property
    def test_set_cid(self) -> Cid:
        return Cid.parse(self.test_set)

    @property
    def salt_bytes(self) -> bytes:
        return bytes.fromhex(self.salt)


class Encrypted(Record):
    """What encrypting cost the run that finished it, as in `pole.timing`."""

    rows: int
    wall_s: float
    cpu_s: float


class Submitted(Record):
    """Where a task lives on chain. `deployment`: `Deployment.identity`, which tells restarted test chains apart."""

    task_id: int
    deployment: str
    client: str


class Issued(Record):
    """Hex of every previous hash that keys were issued for, written before the keys leave: what has leaked."""

    previous_hashes: list[str] = []


@dataclass(frozen=True)
class TaskHome:
    """The private folder of one commissioned task."""

    folder: Path

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def task_file(self) -> Path:
        return self.folder / "task.toml"

    @property
    def master_key(self) -> Path:
        return self.folder / "master.key"

    @property
    def training_rows(self) -> Path:
        return self.folder / "training.rows"

    @property
    def test_rows(self) -> Path:
        return self.folder / "test.rows"

    @property
    def test_set(self) -> Path:
        """The file that is released after the commits: encrypted rows, or a copy of `test_rows`."""
        return self.folder / "test-set"

    def plain(self) -> PlainParts | None:
        return PlainParts.read(self.folder / "plain.json")

    def keep_plain(self, plain: PlainParts) -> None:
        plain.write(self.folder / "plain.json")

    def progress(self) -> StoredParts:
        return StoredParts.read(self.folder / "progress.json") or StoredParts()

    def keep_progress(self, progress: StoredParts) -> None:
        progress.write(self.folder / "progress.json")

    def encrypted(self) -> Timing | None:
        kept = Encrypted.read(self.folder / "encrypted.json")
        return None if kept is None else Timing(kept.rows, kept.wall_s, kept.cpu_s)

    def keep_encrypted(self, timing: Timing) -> None:
        Encrypted(rows=timing.rows, wall_s=timing.wall_s, cpu_s=timing.cpu_s).write(self.folder / "encrypted.json")

    def prepared(self) -> Prepared | None:
        return Prepared.read(self.folder / "prepared.json")

    def keep_prepared(self, prepared: Prepared) -> None:
        prepared.write(self.folder / "prepared.json")

    def submitted(self) -> Submitted | None:
        return Submitted.read(self.folder / "submitted.json")

    def keep_submitted(self, submitted: Submitted) -> None:
        submitted.write(self.folder / "submitted.json")

    def issued(self) -> Issued:
        return Issued.read(self.folder / "issued.json") or Issued()

    def keep_issued(self, issued: Issued) -> None:
        issued.write(self.folder / "issued.json")


def write_private(path: Path, content: bytes) -> None:
    """Atomic, synced, mode 0600. Raises JournalError."""
    try:
        write_atomically(path, content, PRIVATE_FILE)
    except OSError as exc:
        raise refused_write(exc, f"cannot write {path}") from exc


def tasks_folder(home: Path) -> Path:
    return home / "tasks"


def open_task_home(home: Path, source: TaskSource, *, is_new: bool) -> TaskHome:
    """The folder of this task file's task, created if there is none; `is_new` commissions the same file once more.

    Raises BadInput if the name is taken by a task from a file with other content.
    """
    name = _free_name(home, source.task.name) if is_new else _newest_name(home, source.task.name)
    task_home = TaskHome(tasks_folder(home) / name)
    try:
        make_private(task_home.folder)
    except OSError as exc:
        raise JournalError(f"cannot create {task_home.folder}: {exc.strerror}; choose another --home") from exc
    if not task_home.task_file.exists():
        write_private(task_home.task_file, source.content)
    elif task_home.task_file.read_bytes() != source.content:
        raise BadInput(
            f"{source.path} differs from the file that task {name!r} was made from ({task_home.task_file}); "
            "give it another name, or say --again to commission it as a new task"
        )
    return task_home


def _newest_name(home: Path, name: str) -> str:
    """`name`, or the last of `name~2`, `name~3`... that exists."""
    newest = name
    for number in range(2, MAX_AGAIN):
        if not (tasks_folder(home) / f"{name}~{number}").is_dir():
            break
        newest = f"{name}~{number}"
    return newest


def _free_name(home: Path, name: str) -> str:
    if not (tasks_folder(home) / name).is_dir():
        return name
    for number in range(2, MAX_AGAIN):
        if not (tasks_folder(home) / f"{name}~{number}").is_dir():
            return f"{name}~{number}"
    raise BadInput(f"{name!r} was commissioned {MAX_AGAIN} times; choose another name")


def all_task_homes(home: Path) -> list[TaskHome]:
    """Every task of this client, by name."""
    folder = tasks_folder(home)
    if not folder.is_dir():
        return []
    return [TaskHome(path) for path in sorted(folder.iterdir()) if (path / "task.toml").is_file()]


def find_task_home(home: Path, task: str) -> TaskHome:
    """A task by its name or its number on chain. Raises BadInput listing the known ones."""
    homes = all_task_homes(home)
    for candidate in homes:
        submitted = candidate.submitted()
        if candidate.name == task or (submitted is not None and str(submitted.task_id) == task):
            return candidate
    known = ", ".join(candidate.name for candidate in homes) or "none"
    raise BadInput(f"no task {task!r} in {tasks_folder(home)}; known are: {known}")


def check_private(home: Path) -> None:
    """Refuses a tasks folder that other users can read. Raises BadInput."""
    folder = tasks_folder(home)
    make_private(folder)
    mode = os.stat(folder).st_mode & 0o777  # noqa: PTH116
    if mode & 0o077:
        raise BadInput(f"{folder} is open to other users (mode {mode:o}) and holds secret keys; run chmod 700 on it")
