"""What all contract classes share: reading a view, sending a transaction, parameters that are read once."""

from typing import Any, ClassVar

from pole.chain.abi import from_abi
from pole.chain.client import ChainClient, Event, Receipt
from pole.chain.deployment import ContractName, in_lane, of_lane
from pole.chain.sender import Sender
from pole.errors import BadInput, TransientChainError


class BaseContract:
    """One deployed contract. Reads are of the latest block; writes need a `sender`, and happen once per key.

    A write's `key` says what it is for, in the journal of the sender: called again with the same key, also after a
    crash, it gives the receipt of the first time. Where one round or task needs a write only once, its key follows
    from the arguments. `lane`: whose contract it is, where each lane has one of its own; keys are told apart by it.
    """

    name: ClassVar[ContractName]

    def __init__(self, client: ChainClient, sender: Sender | None = None, lane: int = 0) -> None:
        self._client = client
        self._sender = sender
        self._lane = lane
        self.label = of_lane(self.name, lane)
        self._constant: dict[str, Any] = {}

    @property
    def address(self) -> str:
        return self._client.deployment.address(self.label)

    def events_of(self, receipt: Receipt, event: str) -> list[Event]:
        """Events of one kind that a transaction made this contract emit."""
        return self._client.events_of(receipt, self.label, event)

    def _read(self, function: str, *args: Any) -> Any:
        return self._client.call(self.label, function, *args)

    def _read_task(self, task_id: int) -> Any:
        """A task's struct, in which the client stands second in both markets; see `TaskMarket.task`."""
        values = self._read("task", task_id)
        if int(values[1], 16) == 0:
            raise TransientChainError(f"task {task_id} is not on this chain, or not any more; look again later")
        return values

    def _read_once(self, record: type[Any], function: str = "parameters") -> Any:
        """What never changes after the deployment, such as constructor parameters."""
        if function not in self._constant:
            self._constant[function] = from_abi(record, self._read(function))
        return self._constant[function]

    def _write(self, key: str, function: str, *args: Any, value_wei: int = 0) -> Receipt:
        """See `Sender.transact`."""
        if self._sender is None:
            raise BadInput("this command needs an account; give --account ALIAS or --account KEYFILE")
        return self._sender.transact(in_lane(key, self._lane), self.label, function, *args, value_wei=value_wei)
