"""A chain client that knows an account, and sends for it over whichever journal a test gives it."""

from typing import Any, Self

from eth_account.signers.local import LocalAccount

from pole.chain.client import ChainClient, Receipt
from pole.chain.contracts import Contracts
from pole.chain.deployment import ContractName, Deployment
from pole.chain.fees import DEFAULT_MAX_FEE_GWEI
from pole.chain.sender import Sender
from pole.journal.journal import Journal


class AccountClient(ChainClient):
    """`patience_s` and `look_every_s`: of the senders that it makes, if a test is in a hurry."""

    account: LocalAccount
    max_fee_gwei = DEFAULT_MAX_FEE_GWEI
    patience_s = 120.0
    look_every_s = 5.0

    @classmethod
    def connect_as(
        cls, account: LocalAccount, rpc_url: str, deployment: Deployment, max_fee_gwei: float = DEFAULT_MAX_FEE_GWEI
    ) -> Self:
        made = cls.connect(rpc_url, deployment, poll_s=0.05)
        assert isinstance(made, cls)
        made.account, made.max_fee_gwei = account, max_fee_gwei
        return made

    @property
    def address(self) -> str:
        return str(self.account.address)

    def sender(self, journal: Journal) -> Sender:
        sender = Sender(self, self.account, journal.transactions, self.max_fee_gwei, self.patience_s)
        sender._look_every_s = self.look_every_s
        return sender

    def contracts(self, journal: Journal) -> Contracts:
        return Contracts.of(self, self.sender(journal))

    def transact(
        self, journal: Journal, key: str, contract: ContractName, function: str, *args: Any, value_wei: int = 0
    ) -> Receipt:
        return self.sender(journal).transact(key, contract, function, *args, value_wei=value_wei)
