"""Models that nobody has must not cost the others their judgement: all are looked for at once."""

import threading
from pathlib import Path

from pole.storage.cid import Cid, cid_of
from pole.storage.folder import FolderStore
from verifier.learning.judge import bring

COUNT = 16


class Meeting(FolderStore):
    """Answers nobody before everybody has asked."""

    barrier = threading.Barrier(COUNT)

    def open_file(self, cid: Cid, max_bytes: int) -> Path:
        self.barrier.wait(300)
        return super().open_file(cid, max_bytes)


def test_bring__most_are_absent__all_looked_for_at_once_and_told(tmp_path: Path) -> None:
    store = Meeting(tmp_path)
    contents = [b"%d" % i for i in range(COUNT)]
    present, large = FolderStore(tmp_path).put(contents[0]), FolderStore(tmp_path).put(contents[-1])
    absent = bring(store, {cid_of(content) for content in contents}, max_bytes=1)
    assert set(absent) == {cid_of(content) for content in contents} - {present, large}
    assert all("wait for its owner" in reason for reason in absent.values())
