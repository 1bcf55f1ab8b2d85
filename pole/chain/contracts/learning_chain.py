"""LearningChain: rounds from their opening to the block. Source: PoLe, section 3"""

from pole.chain.abi import from_abi
from pole.chain.client import Event, Receipt
from pole.chain.contracts.base import BaseContract
from pole.chain.structs import ChainParameters, IdleTask, Round, Submission
from pole.storage.cid import Cid


class LearningChain(BaseContract):
    name = "LearningChain"

    # --- reading -----------------------------------------------------------------------------------------------------

    def round_count(self) -> int:
        """Number of rounds so far, which is the newest round's id."""
        return int(self._read("roundCount"))

    def round(self, round_id: int) -> Round:
        found: Round = from_abi(Round, self._read("round", round_id), round_id=round_id)
        return found

    def latest_round(self) -> Round | None:
        """The newest round, over or not; None before the first."""
        count = self.round_count()
        return self.round(count) if count else None

    def current_round(self) -> Round | None:
        """The round in progress; None if there is none."""
        latest = self.latest_round()
        return None if latest is None or latest.phase.is_over else latest

    def is_due(self, round_id: int) -> bool:
        """Whether `advance` would move the round on."""
        return bool(self._read("isDue", round_id))

    def submissions(self, round_id: int) -> list[Submission]:
        """In commit order; a submission's place in the list is its index."""
        return [from_abi(Submission, part) for part in self._read("submissions", round_id)]

    def place_of(self, round_id: int, miner: str) -> int:
        """Index of a miner's submission plus one; 0 without one."""
        return int(self._read("placeOf", round_id, miner))

    def commits(self, round_id: int) -> list[Event]:
        """All commits of a round, replaced ones included."""
        return self._client.logs(self.label, "SolutionCommitted", roundId=round_id)

    def entries(self, round_id: int) -> list[Submission]:
        """What a ballot votes on, in its order: the revealed submissions in commit order."""
        return [submission for submission in self.submissions(round_id) if submission.is_revealed]

    def judging_fee_wei(self, round_id: int) -> int:
        """What a submission to a round costs besides its bond."""
        return int(self._read("judgingFeeOf", round_id))

    def rounds_of(self, task_id: int) -> list[int]:
        """Ids of the rounds that a task has had on this lane."""
        opened = self._client.logs(self.label, "RoundOpened", taskId=task_id)
        return [int(event.arguments["roundId"]) for event in opened]

    def changes(self, **filters: int) -> list[Event]:
        """All events of a round entering a phase."""
        return self._client.logs(self.label, "PhaseChanged", **filters)

    def last_change(self, round_id: int) -> Event:
        """When the round entered its phase."""
        return self.changes(roundId=round_id)[-1]

    def parameters(self) -> ChainParameters:
        parameters: ChainParameters = self._read_once(ChainParameters)
        return parameters

    def idle_task(self) -> IdleTask:
        idle: IdleTask = self._read_once(IdleTask, "idleTask")
        return idle

    # --- writing -----------------------------------------------------------------------------------------------------

    def open_round(self, *, key: str) -> Receipt:
        """Open a round for the most valuable task."""
        return self._write(key, "openRound")

    def open_idle_round(self, *, key: str) -> Receipt:
        """Open a round for the idle task, while the list is empty."""
        return self._write(key, "openIdleRound")

    def publish_keys(self, round_id: int, previous_hash: bytes, keys: Cid, *, key: str | None = None) -> Receipt:
        """Reverts if PHS is not `previous_hash`."""
        return self._write(key or f"keys/{round_id}", "publishKeys", round_id, previous_hash, keys)

    def commit(
        self,
        round_id: int,
        previous_hash: bytes,
        commitment: bytes,
        claimed_train_ppm: int,
        *,
        value_wei: int,
        place: int = 0,
        key: str | None = None,
    ) -> Receipt:
        """`commitment`: 32 bytes, see `pole.chain.commitments.solution_commitment`; reverts on another PHS.

        `value_wei`: bond and judging fee; for a commit in place of one's own, what is added to the bond.
        `place`: 0 for a new one, or `place_of` the commit to replace.
        """
        key = key or f"commit/{round_id}"
        return self._write(
            key, "commit", round_id, previous_hash, commitment, claimed_train_ppm, place, value_wei=value_wei
        )

    def release_test_set(self, round_id: int, test_set: Cid, salt: bytes, *, key: str | None = None) -> Receipt:
        return self._write(key or f"release/{round_id}", "releaseTestSet", round_id, test_set, salt)

    def reveal(self, round_id: int, place: int, model: Cid, salt: bytes, *, key: str | None = None) -> Receipt:
        """`place`: see `place_of`."""
        return self._write(key or f"reveal/{round_id}", "reveal", round_id, place, model, salt)

    def advance(self, round_id: int, *, key: str) -> Receipt:
        """Move a round on that is due."""
        return self._write(key, "advance", round_id)
