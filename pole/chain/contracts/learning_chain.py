"""What the contracts hold, as typed records; every method is one or few calls at the latest block."""

from typing import Any

from pole.chain.abi import from_abi
from pole.chain.client import Gateway
from pole.chain.structs import (
    Ballot,
    ChainParameters,
    CommitteeParameters,
    Header,
    IdleTask,
    MarketParameters,
    Ommer,
    Pot,
    Round,
    Submission,
    Task,
    Verdict,
    Verifier,
)
from pole.storage.cid import Cid


class Ledger:
    """Read model over a gateway."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._constant: dict[str, Any] = {}

    # --- TaskMarket --------------------------------------------------------------------------------------------------

    def task(self, task_id: int) -> Task:
        """Task ids start at 1; an unknown one has state NONE or reverts."""
        task: Task = from_abi(Task, self._gateway.call("TaskMarket", "task", task_id), task_id=task_id)
        return task

    def task_count(self) -> int:
        return int(self._gateway.call("TaskMarket", "taskCount"))

    def pending_count(self) -> int:
        return int(self._gateway.call("TaskMarket", "pendingCount"))

    def most_valuable(self) -> int | None:
        """Id of the task that the next round would take; None with an empty list."""
        return int(self._gateway.call("TaskMarket", "mostValuable")) or None

    def market_parameters(self) -> MarketParameters:
        parameters: MarketParameters = self._once(MarketParameters, "TaskMarket")
        return parameters

    # --- LearningChain -----------------------------------------------------------------------------------------------

    def round_count(self) -> int:
        """Number of rounds so far, which is the newest round's id."""
        return int(self._gateway.call("LearningChain", "roundCount"))

    def round(self, round_id: int) -> Round:
        found: Round = from_abi(Round, self._gateway.call("LearningChain", "round", round_id), round_id=round_id)
        return found

    def latest_round(self) -> Round | None:
        """The newest round, over or not; None before the first."""
        count = self.round_count()
        return self.round(count) if count else None

    def current_round(self) -> Round | None:
        """The round in progress; None if there is none."""
        latest = self.latest_round()
        return None if latest is None or latest.phase.is_over else latest

    def is_round_due(self, round_id: int) -> bool:
        return bool(self._gateway.call("LearningChain", "isDue", round_id))

    def submissions(self, round_id: int) -> list[Submission]:
        """In commit order; a submission's place in the list is its index."""
        return [from_abi(Submission, part) for part in self._gateway.call("LearningChain", "submissions", round_id)]

    def submission_index(self, round_id: int, miner: str) -> int | None:
        """Index of a miner's submission, None without one."""
        index_plus_one = int(self._gateway.call("LearningChain", "submissionIndexOf", round_id, miner))
        return index_plus_one - 1 if index_plus_one else None

    def entries(self, round_id: int) -> list[Submission]:
        """What a ballot votes on, in its order: the revealed submissions in commit order."""
        return [submission for submission in self.submissions(round_id) if submission.is_revealed]

    def height(self) -> int:
        """Height of the newest block; 0 is the genesis."""
        return int(self._gateway.call("LearningChain", "height"))

    def header(self, height: int) -> Header:
        header: Header = from_abi(Header, self._gateway.call("LearningChain", "header", height))
        return header

    def header_hash(self, height: int) -> bytes:
        return bytes(self._gateway.call("LearningChain", "headerHash", height))

    def ommers(self, height: int) -> list[Ommer]:
        return [from_abi(Ommer, part) for part in self._gateway.call("LearningChain", "ommers", height)]

    def is_included(self, header: Header, index: int, value: bytes, proof: list[bytes]) -> bool:
        """Whether `value` is leaf `index` of the body under `header`, judged by the contract."""
        return bool(self._gateway.call("LearningChain", "isIncluded", header, index, value, proof))

    def chain_parameters(self) -> ChainParameters:
        parameters: ChainParameters = self._once(ChainParameters, "LearningChain")
        return parameters

    def idle_task(self) -> IdleTask:
        if "idleTask" not in self._constant:
            self._constant["idleTask"] = from_abi(IdleTask, self._gateway.call("LearningChain", "idleTask"))
        idle: IdleTask = self._constant["idleTask"]
        return idle

    def manifest_of(self, the_round: Round) -> Cid:
        """CID of the manifest that a round trains on, of its task or the idle one."""
        return self.idle_task().manifest if the_round.is_idle else self.task(the_round.task_id).terms.manifest

    # --- VerifierCommittee -------------------------------------------------------------------------------------------

    def verifier(self, address: str) -> Verifier:
        found: Verifier = from_abi(Verifier, self._gateway.call("VerifierCommittee", "verifier", address))
        return found

    def seated(self) -> list[str]:
        return list(self._gateway.call("VerifierCommittee", "seated"))

    def ballot(self, ballot_id: int) -> Ballot:
        values = self._gateway.call("VerifierCommittee", "ballot", ballot_id)
        ballot: Ballot = from_abi(Ballot, values, ballot_id=ballot_id)
        return ballot

    def ballot_count(self) -> int:
        """Number of ballots so far, which is the newest ballot's id."""
        return int(self._gateway.call("VerifierCommittee", "nextBallotId")) - 1

    def is_ballot_due(self, ballot_id: int) -> bool:
        return bool(self._gateway.call("VerifierCommittee", "isDue", ballot_id))

    def members(self, ballot_id: int) -> list[str]:
        return list(self._gateway.call("VerifierCommittee", "members", ballot_id))

    def weight_wei(self, ballot_id: int, address: str) -> int:
        """Stake that a member's vote weighs; 0 for others."""
        return int(self._gateway.call("VerifierCommittee", "weightOf", ballot_id, address))

    def vote_commitment(self, ballot_id: int, address: str) -> bytes:
        """32 zero bytes until committed."""
        return bytes(self._gateway.call("VerifierCommittee", "commitmentOf", ballot_id, address))

    def votes(self, ballot_id: int, address: str) -> list[Verdict]:
        """A member's revealed verdicts; empty until revealed."""
        return [
            from_abi(Verdict, part) for part in self._gateway.call("VerifierCommittee", "votes", ballot_id, address)
        ]

    def outcome(self, ballot_id: int) -> list[Verdict]:
        """Median verdict of every entry; empty until the ballot is closed."""
        return [from_abi(Verdict, part) for part in self._gateway.call("VerifierCommittee", "outcome", ballot_id)]

    def committee_parameters(self) -> CommitteeParameters:
        parameters: CommitteeParameters = self._once(CommitteeParameters, "VerifierCommittee")
        return parameters

    # --- money -------------------------------------------------------------------------------------------------------

    def credit_wei(self, address: str) -> int:
        """What an address can withdraw from the reservoir."""
        return int(self._gateway.call("RewardReservoir", "creditOf", address))

    def total_wei(self, pot: Pot) -> int:
        return int(self._gateway.call("RewardReservoir", "total", pot))

    def token_balance(self, address: str) -> int:
        """Reward tokens of an address, in their smallest unit."""
        return int(self._gateway.call("RewardToken", "balanceOf", address))

    def _once(self, record: type[Any], contract: Any) -> Any:
        """Constructor parameters never change: read them once."""
        if contract not in self._constant:
            self._constant[contract] = from_abi(record, self._gateway.call(contract, "parameters"))
        return self._constant[contract]
