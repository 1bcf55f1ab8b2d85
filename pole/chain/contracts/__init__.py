"""One class per contract: typed reads and typed writes. `Contracts` is all of one deployment, as seen from a lane."""

from dataclasses import dataclass, field, replace

from pole.chain.client import ChainClient
from pole.chain.contracts.block_ledger import BlockLedger
from pole.chain.contracts.gradient_chain import GradientChain
from pole.chain.contracts.learning_chain import LearningChain
from pole.chain.contracts.lens import Lens
from pole.chain.contracts.reward_reservoir import RewardReservoir
from pole.chain.contracts.reward_token import RewardToken
from pole.chain.contracts.task_market import TaskMarket
from pole.chain.contracts.verifier_committee import VerifierCommittee
from pole.chain.sender import Sender
from pole.chain.structs import Round
from pole.storage.cid import Cid

__all__ = [
    "BlockLedger",
    "Contracts",
    "GradientChain",
    "LearningChain",
    "Lens",
    "RewardReservoir",
    "RewardToken",
    "TaskMarket",
    "VerifierCommittee",
]


@dataclass(frozen=True)
class Contracts:
    """The contracts of one deployment; the learning chain and its ledger are those of one lane."""

    task_market: TaskMarket
    verifier_committee: VerifierCommittee
    learning_chain: LearningChain
    gradient_chain: GradientChain
    reward_reservoir: RewardReservoir
    reward_token: RewardToken
    block_ledger: BlockLedger
    lens: Lens
    lane: int = 0
    _all: "list[Contracts]" = field(default_factory=list, repr=False, compare=False)

    @classmethod
    def of(cls, client: ChainClient, sender: Sender | None = None, lane: int = 0) -> "Contracts":
        """Without `sender`, for reading only."""
        first = cls(
            TaskMarket(client, sender),
            VerifierCommittee(client, sender),
            LearningChain(client, sender),
            GradientChain(client, sender),
            RewardReservoir(client, sender),
            RewardToken(client, sender),
            BlockLedger(client, sender),
            Lens(client, sender),
        )
        first._all.append(first)
        for other in range(1, client.deployment.lanes):
            chain, ledger = LearningChain(client, sender, other), BlockLedger(client, sender, other)
            first._all.append(replace(first, learning_chain=chain, block_ledger=ledger, lane=other))
        return first._all[lane]

    @property
    def lanes(self) -> "tuple[Contracts, ...]":
        """The same deployment as seen from each lane, in the order of the market's indexes."""
        return tuple(self._all) or (self,)

    def of_task(self, task_id: int) -> "Contracts":
        """As seen from the lane that took a task; from the first one, if none has yet."""
        return self.lanes[self.task_market.task(task_id).lane]

    def expect_round(self, current: Round, account: str) -> None:
        """Have all that a role may want to know of a round in progress read at once."""
        chain, round_id, ballot_id = self.learning_chain.label, current.round_id, current.ballot_id
        client = self.learning_chain._client
        client.expect(
            (chain, "isDue", (round_id,)),
            (chain, "placeOf", (round_id, account)),
            (chain, "submissions", (round_id,)),
            (chain, "judgingFeeOf", (round_id,)),
            ("VerifierCommittee", "seated", ()),
        )
        if current.task_id:
            client.expect(("TaskMarket", "task", (current.task_id,)))
        if ballot_id:
            client.expect(
                *(("VerifierCommittee", view, (ballot_id,)) for view in ("ballot", "isDue", "members")),
                ("VerifierCommittee", "memberOf", (ballot_id, account)),
            )

    def round_name(self, round_id: int) -> str:
        """For people: of the second lane, "round 7 of lane 2"."""
        return f"round {round_id}" + (f" of lane {self.lane + 1}" if len(self.lanes) > 1 else "")

    def manifest_of(self, the_round: Round) -> Cid:
        """CID of the manifest that a round trains on, of its task or the idle one."""
        if the_round.is_idle:
            return self.learning_chain.idle_task().manifest
        return self.task_market.task(the_round.task_id).terms.manifest
