"""What a miner must not lose in a crash: its best model of a round, and the salt and CID it committed to.

Files are written before the journal names them, so a named file is complete. Models stay in the miner's own folder
until it reveals; in the shared store anybody could take them and commit to them.
"""

import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path

from miner.training.api import Candidate
from pole.atomicfile import write_atomically
from pole.chain.commitments import SALT_BYTES
from pole.chain.deployment import in_lane
from pole.chain.structs import Round
from pole.errors import JournalError, refused_write
from pole.journal.journal import Journal
from pole.storage.cid import Cid, cid_of


@dataclass(frozen=True)
class Solution:
    """What a commitment binds. The salt is secret until the reveal."""

    model: Cid
    salt: bytes
    train_ppm: int

    def __repr__(self) -> str:
        return f"Solution({self.model}, train_ppm={self.train_ppm})"


class Solutions:
    """The miner's work on one lane, by round and previous hash: if a reorganisation changes that, a model trained under
    the old one is worth nothing under the new one, and is there again if the old one comes back.
    """

    def __init__(self, journal: Journal, home: Path, lane: int = 0) -> None:
        self._journal, self._folder, self._lane = journal, home / "rounds" / journal.path.stem, lane

    def checkpoint_path(self, current: Round) -> Path:
        """A file for the trainer's own use."""
        return self._round_folder(current.round_id) / f"checkpoint-{current.previous_hash.hex()}.safetensors"

    def keep(self, current: Round, candidate: Candidate) -> None:
        """Remembers the round's best model so far."""
        round_id, cid = current.round_id, cid_of(candidate.content)
        try:
            write_atomically(self._model_path(round_id, cid), candidate.content)
        except OSError as exc:
            raise refused_write(exc, f"cannot keep model {cid} of round {round_id} in {self._folder}") from exc
        fact = {"model": str(cid), "train_ppm": candidate.train_ppm, "merit": candidate.merit}
        self._journal.remember(self._key("candidate", current), fact)

    def candidate(self, current: Round) -> Candidate | None:
        """The round's best model so far; None if there is none yet."""
        fact = self._journal.recall(self._key("candidate", current))
        if fact is None:
            return None
        content = self._read(current.round_id, Cid.parse(fact["model"]))
        return Candidate(content, fact["train_ppm"], fact.get("merit"))  # journals of 0.2 have no merit

    def seal(self, current: Round, candidate: Candidate) -> Solution:
        """Decides on the model to commit to, once and for all, and draws its salt."""
        self.keep(current, candidate)
        self._journal.remember_once(
            self._key("solution", current),
            lambda: {
                "model": str(cid_of(candidate.content)),
                "salt": secrets.token_bytes(SALT_BYTES).hex(),
                "train_ppm": candidate.train_ppm,
            },
        )
        solution = self.solution(current)
        assert solution is not None
        return solution

    def solution(self, current: Round) -> Solution | None:
        """What was sealed for this round under its previous hash; None before."""
        fact = self._journal.recall(self._key("solution", current))
        if fact is None:
            return None
        return Solution(Cid.parse(fact["model"]), bytes.fromhex(fact["salt"]), fact["train_ppm"])

    def content(self, round_id: int, solution: Solution) -> bytes:
        """The sealed model's file."""
        return self._read(round_id, solution.model)

    def was_reported(self, round_id: int) -> bool:
        return self._journal.recall(self._round_key("reported", round_id)) is not None

    def close(self, round_id: int, outcome: str) -> None:
        """Remembers how the round ended and drops its working files but for the model."""
        self._journal.remember(self._round_key("reported", round_id), {"outcome": outcome})
        shutil.rmtree(self._round_folder(round_id), ignore_errors=True)

    def open_rounds(self) -> list[int]:
        """Rounds with a sealed solution whose end was not reported yet."""
        named = {key.split("/")[1] for key in self._journal.facts("solution/")}
        numbers = [(name, name.partition("@")[0]) for name in named]
        rounds = [int(number) for name, number in numbers if in_lane(number, self._lane) == name]
        return sorted(each for each in rounds if not self.was_reported(each))

    def _key(self, what: str, current: Round) -> str:
        return f"{self._round_key(what, current.round_id)}/{current.previous_hash.hex()}"

    def _round_key(self, what: str, round_id: int) -> str:
        return in_lane(f"{what}/{round_id}", self._lane)

    def _read(self, round_id: int, cid: Cid) -> bytes:
        path = self._model_path(round_id, cid)
        try:
            content = path.read_bytes()
        except OSError as exc:
            raise JournalError(
                f"the journal names model {path}, which cannot be read ({exc.strerror}); bring the file back, or this "
                "round's bond is lost"
            ) from exc
        if cid_of(content) != cid:
            raise JournalError(f"model {path} is damaged: it hashes to {cid_of(content)}; bring back a copy")
        return content

    def _model_path(self, round_id: int, cid: Cid) -> Path:
        return self._round_folder(round_id) / f"{cid}.safetensors"

    def _round_folder(self, round_id: int) -> Path:
        folder = self._folder / in_lane(round_id, self._lane)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return folder
