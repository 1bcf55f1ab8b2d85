"""One class per contract: typed reads and typed writes. `Contracts` is all of one deployment."""

from dataclasses import dataclass

from pole.chain.client import ChainClient
from pole.chain.contracts.block_ledger import BlockLedger
from pole.chain.contracts.gradient_chain import GradientChain
from pole.chain.contracts.learning_chain import LearningChain
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
    "RewardReservoir",
    "RewardToken",
    "TaskMarket",
    "VerifierCommittee",
]


@dataclass(frozen=True)
class Contracts:
    """The contracts of one deployment."""

    task_market: TaskMarket
    verifier_committee: VerifierCommittee
    learning_chain: LearningChain
    gradient_chain: GradientChain
    reward_reservoir: RewardReservoir
    reward_token: RewardToken
    block_ledger: BlockLedger

    @classmethod
    def of(cls, client: ChainClient, sender: Sender | None = None) -> "Contracts":
        """Without `sender`, for reading only."""
        return cls(
            TaskMarket(client, sender),
            VerifierCommittee(client, sender),
            LearningChain(client, sender),
            GradientChain(client, sender),
            RewardReservoir(client, sender),
            RewardToken(client, sender),
            BlockLedger(client, sender),
        )

    def manifest_of(self, the_round: Round) -> Cid:
        """CID of the manifest that a round trains on, of its task or the idle one."""
        if the_round.is_idle:
            return self.learning_chain.idle_task().manifest
        return self.task_market.task(the_round.task_id).terms.manifest
