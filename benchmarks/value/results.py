"""What was measured so far, a line of JSON each, so that a run that was cut short goes on where it stopped."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

Scores = dict[str, float]


@dataclass(frozen=True)
class Key:
    """What was measured. `hash`: the number of the previous hash of a commissioned model; None: plain rows."""

    set: str
    split: int
    hash: int | None
    seconds: float
    protect: str
    recipe: int


class Results:
    """Scores by key; `path`: the file that keeps them, None: memory does."""

    def __init__(self, path: Path | None = None) -> None:
        self._path, self._known = path, dict[Key, Scores]()
        if path is None or not path.exists():
            return
        content = path.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        if whole != content:  # the last line was being written when the run was cut short
            path.write_bytes(whole)
        for line in whole.decode().splitlines():
            entry = json.loads(line)
            self._known[Key(**entry["key"])] = entry["scores"]

    def get(self, key: Key) -> Scores | None:
        return self._known.get(key)

    def put(self, key: Key, scores: Scores) -> Scores:
        """Kept before it is returned."""
        self._known[key] = scores
        if self._path is not None:
            with self._path.open("a") as file:
                file.write(json.dumps({"key": asdict(key), "scores": scores}) + "\n")
        return scores
