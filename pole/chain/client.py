"""The chain as a role reads it: calls of views, events, block time. What sends is in `pole.chain.sender`.

"Now" is always the latest block's timestamp; contracts know no other clock. A development chain that mines on demand
only therefore stands still between transactions: give it a block time.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, cast

from eth_abi.exceptions import DecodingError
from eth_typing import ChecksumAddress
from eth_utils.abi import collapse_if_tuple
from web3 import Web3
from web3._utils.abi import map_abi_data
from web3._utils.events import get_event_data
from web3._utils.normalizers import BASE_RETURN_NORMALIZERS
from web3.contract import Contract
from web3.exceptions import ABIEventNotFound, ABIFunctionNotFound, BlockNotFound, MismatchedABI, Web3RPCError
from web3.types import BlockIdentifier, LogReceipt

from pole import __version__, metrics
from pole.chain.abi import to_abi
from pole.chain.artifacts import is_code_of
from pole.chain.deployment import ContractName, Deployment, contract_names, kind_of
from pole.chain.heads import USUAL_INTERVAL_S, Heads
from pole.chain.node_errors import RevertDecoder, no_contract, node_errors
from pole.chain.node_faults import TooLarge
from pole.chain.order import Turns
from pole.chain.provider import NodeProvider
from pole.chain.spending import Spending
from pole.chain.view import Call, Look, View, encoded
from pole.chain.wakeup import Wakeup
from pole.errors import BadInput, ChainError, NodeUnusable, TransientChainError, WrongChain

_MAX_BLOCKS_PER_QUERY = 10_000
_LEAST_VIEW_S = 0.5
_FIRST_PAUSE_S = 2.0
_MEASURED_BLOCKS = 32
_SILENT = ("RewardReservoir", "RewardToken", "Lens")


@dataclass(frozen=True)
class Event:
    """One event; `arguments` are named as in the ABI (camelCase), structs as tuples."""

    contract: str
    name: str
    arguments: dict[str, Any]
    block_number: int
    log_index: int
    transaction_hash: str


@dataclass(frozen=True)
class Receipt:
    """A mined, successful transaction; `logs` as web3 gives them (see `ChainClient.events_of`)."""

    transaction_hash: str
    block_number: int
    gas_used: int
    gas_price_wei: int
    logs: Sequence[Any]

    @property
    def fee_wei(self) -> int:
        """What the gas cost."""
        return self.gas_used * self.gas_price_wei


class ChainClient:
    """One node and one deployment on it."""

    def __init__(
        self,
        web3: Web3,
        deployment: Deployment,
        poll_s: float | None = 0.5,
    ) -> None:
        self.web3 = web3
        # It would ask for the chain's id twice with every call, which made half of all requests; see `check_genesis`.
        web3.middleware_onion.remove("validation")
        web3.middleware_onion.inject(metrics.CountRequests, layer=0)
        self.deployment = deployment
        self.poll_s = poll_s
        self.decoder = RevertDecoder(deployed.abi for deployed in deployment.contracts.values())
        self._contracts: dict[str, Contract] = {
            name: web3.eth.contract(address=cast(ChecksumAddress, deployed.address), abi=cast(Any, deployed.abi))
            for name, deployed in deployment.contracts.items()
        }
        self._blocks_per_query = _MAX_BLOCKS_PER_QUERY
        self.heads = Heads()
        # Contracts may count blocks otherwise than the node does, as on Arbitrum: the view's heads are its own.
        self._view_heads = Heads()
        self._view = View(self._look, lambda: max(_LEAST_VIEW_S, self.pause_s()))
        self._is_viewing = False
        self.turns = Turns()
        self.spending = Spending()

    @classmethod
    def connect(
        cls,
        rpc_urls: str | Sequence[str],
        deployment: Deployment | None = None,
        poll_s: float | None = 0.5,
        timeout_s: float = 20,
    ) -> "ChainClient":
        """Open a node and check that it is the deployment's chain; without `deployment` it is looked up by chain id.

        Of several addresses, the first that answers is asked, and the others when it does not. Raises WrongChain,
        TransientChainError (nobody answers) or BadInput.
        """
        urls = [rpc_urls] if isinstance(rpc_urls, str) else rpc_urls
        if not urls:
            raise BadInput("there is no node to ask; give --rpc http://HOST:PORT")
        provider = NodeProvider(urls, timeout_s)
        web3 = Web3(provider)
        try:
            with node_errors(RevertDecoder([]), f"connecting to {provider.address}"):
                chain_id = web3.eth.chain_id
            client = cls(web3, deployment or Deployment.find(chain_id), poll_s)
            client.check_chain()
        except NodeUnusable as exc:  # before the loop has begun, a person is there to mend it
            raise BadInput(str(exc)) from None
        except (TypeError, ValueError):  # its answer is JSON-RPC by form only
            raise TransientChainError(
                f"connecting to {provider.address}: what answers is no Ethereum node; start one there, or give "
                "another --rpc"
            ) from None
        return client

    def check_chain(self) -> None:
        """Raise WrongChain unless chain id, genesis and every contract's code are there."""
        self.check_genesis()
        with node_errors(self.decoder, "checking the chain"):
            for name in contract_names(self.deployment.lanes):
                self._code(name)

    def check_code(self) -> None:
        """Raise WrongChain unless the contracts are those that this version of the package was made for."""
        with node_errors(self.decoder, "checking the contracts"):
            codes = {name: self._code(name) for name in contract_names(self.deployment.lanes)}
        others = [name for name, code in codes.items() if not is_code_of(name, code)]
        if others:
            raise WrongChain(
                f"the code of {', '.join(others)} is not that of version {__version__}, which runs here; "
                f"{self.deployment.deployed_by}: install that version, or give --deployment PATH of another deployment"
            )

    def _code(self, name: ContractName) -> bytes:
        address = self.deployment.address(name)
        code = bytes(self.web3.eth.get_code(cast(ChecksumAddress, address)))
        if not code:
            raise WrongChain(f"there is no code at {address} ({name}); deploy again")
        return code

    def check_genesis(self) -> None:
        """Raise WrongChain unless it is the deployment's chain: what a node was asked before says nothing of now."""
        with node_errors(self.decoder, "checking the chain"):
            chain_id, genesis = self.web3.eth.chain_id, self.web3.eth.get_block(0)["hash"].to_0x_hex()
            if (chain_id, genesis) != (self.deployment.chain_id, self.deployment.genesis_hash):
                raise WrongChain(
                    f"the node is chain {chain_id} with genesis {genesis}, the deployment file describes chain "
                    f"{self.deployment.chain_id} with genesis {self.deployment.genesis_hash}; "
                    "deploy again (a development chain that restarts is a new chain), or give another --rpc"
                )
        if isinstance(self.web3.provider, NodeProvider):
            self.web3.provider.expect(chain_id, genesis)

    # --- reading -----------------------------------------------------------------------------------------------------

    def call(self, contract: ContractName, function: str, *args: Any, block: int | None = None) -> Any:
        """Result of a view at the latest block (or at `block`); records, CIDs and enums are accepted as arguments."""
        prepared = self._function(contract, function, args)
        if self._is_viewing and block is None:
            return self._viewed(contract, prepared, f"{contract}.{function}")
        where: BlockIdentifier = "latest" if block is None else cast(BlockIdentifier, block)
        with node_errors(self.decoder, f"{contract}.{function}"):
            return prepared.call(block_identifier=where)

    def block_time(self) -> int:
        """Timestamp of the latest block, in seconds: the only clock that deadlines know."""
        return self._view.head()[1] if self._is_viewing else self._newest()[1]

    def time_of(self, block_number: int) -> int:
        """Timestamp of a block, in seconds."""
        with node_errors(self.decoder, f"reading block {block_number}"):
            return int(self.web3.eth.get_block(block_number)["timestamp"])

    def block_number(self) -> int:
        """Number of the latest block; within a view, as contracts know it."""
        return self._view.head()[0] if self._is_viewing else self._newest()[0]

    def node_block(self) -> int:
        """Number of the latest block as the node counts, by which logs are asked for; always one request."""
        return self._newest()[0]

    def block_hash(self, number: int) -> bytes | None:
        """None while there is no such block."""
        with node_errors(self.decoder, f"reading block {number}"), suppress(BlockNotFound):
            return bytes(self.web3.eth.get_block(number)["hash"])
        return None

    def _newest(self) -> tuple[int, int]:
        """Number and timestamp of the node's latest block."""
        with node_errors(self.decoder, "reading the latest block"):
            block = self.web3.eth.get_block("latest")
        self._follow(self.heads, int(block["number"]), int(block["timestamp"]))
        return int(block["number"]), int(block["timestamp"])

    @property
    def newest_block(self) -> int:
        """As of the last look."""
        return (self._view_heads if self._is_viewing else self.heads).newest

    def _follow(self, heads: Heads, number: int, timestamp: int) -> None:
        """A chain that got shorter may be another one that started anew behind the same address."""
        heads.follow(number, timestamp, self.check_genesis)
        metrics.BLOCK.set(number)
        metrics.BLOCK_TIME.set(timestamp)

    @property
    def last_time(self) -> int:
        """Timestamp of the newest block seen so far, without a request; 0 before the first."""
        return max(self.heads.timestamp, self._view_heads.timestamp)

    def still_s(self) -> int:
        """Seconds since a new block was seen."""
        return min(self.heads.still_s(), self._view_heads.still_s())

    # --- a view of one block -----------------------------------------------------------------------------------------

    @contextmanager
    def viewing(self) -> Iterator[None]:
        """Meanwhile, views and the time are of one block as far as they can be, read in as few requests as possible.

        A look is believed for the time of `pause_s`, and half a second; `changed` ends it, as after a transaction.
        """
        if "Lens" not in self._contracts:
            yield
            return
        self._is_viewing = True
        self._view.begin()
        try:
            yield
        finally:
            self._is_viewing = False

    def changed(self) -> None:
        """Something was mined: what was read before is of the past."""
        self._view.forget()

    def expect(self, *calls: tuple[ContractName, str, tuple[Any, ...]]) -> None:
        """Have these views read with the next ones; contract, function and arguments of each."""
        if self._is_viewing:
            self._view.expect(self._encoded(*call) for call in calls)

    def pause_s(self) -> float:
        """How long to wait for something that a block may bring."""
        if self.poll_s is not None:
            return self.poll_s
        return self._view_heads.interval_s or self.heads.interval_s or _FIRST_PAUSE_S

    @property
    def interval_s(self) -> float:
        """Seconds between two blocks, as seen so far."""
        return self._view_heads.interval_s or self.heads.interval_s or USUAL_INTERVAL_S

    def wakeup(self) -> Wakeup | None:
        """Of this deployment's contracts but those that only keep money; None without a node that pushes."""
        provider = self.web3.provider
        url = provider.socket_url if isinstance(provider, NodeProvider) else None
        if url is None:
            return None
        names = [name for name in contract_names(self.deployment.lanes) if kind_of(name) not in _SILENT]
        return Wakeup(url, [self.deployment.address(name) for name in names])

    def measure_interval(self) -> None:
        """Look at the time between two blocks, once, for whoever sleeps by it."""
        number, _ = self._newest()
        earlier = max(1, number - _MEASURED_BLOCKS)  # a genesis may have any time
        if earlier < number:
            with node_errors(self.decoder, "reading an earlier block"):
                block = self.web3.eth.get_block(earlier)
            self.heads.begin_at(earlier, int(block["timestamp"]))
            self._newest()

    def _encoded(self, contract: ContractName, function: str, args: tuple[Any, ...]) -> Call:
        return encoded(self._function(contract, function, args), self.deployment.address(contract))

    def _look(self, calls: list[Call]) -> Look:
        lens = self._contracts["Lens"].functions.read([(call.target, call.data) for call in calls])
        with node_errors(self.decoder, "reading the contracts"):
            number, timestamp, results = lens.call()
        self._follow(self._view_heads, int(number), int(timestamp))
        return Look(int(number), int(timestamp), [(bool(ok), bytes(data)) for ok, data in results])

    def _viewed(self, contract: ContractName, prepared: Any, what: str) -> Any:
        is_success, data = self._view.read(encoded(prepared, self.deployment.address(contract)))
        if not is_success:
            raise self.decoder.decode(data, what)
        types = [collapse_if_tuple(output) for output in prepared.abi["outputs"]]
        try:
            values = self.web3.codec.decode(types, data)
        except DecodingError:
            raise no_contract(what) from None
        values = map_abi_data(BASE_RETURN_NORMALIZERS, types, values)
        return values[0] if len(values) == 1 else values

    def balance_wei(self, address: str) -> int:
        """Ether of an address itself; credits are `RewardReservoir.credit_wei`."""
        with node_errors(self.decoder, "reading a balance"):
            return int(self.web3.eth.get_balance(cast(ChecksumAddress, address)))

    def nonce(self, address: str) -> int:
        """How many transactions of an account were mined."""
        with node_errors(self.decoder, "reading the nonce"):
            return int(self.web3.eth.get_transaction_count(cast(ChecksumAddress, address), "latest"))

    def logs(
        self,
        contract: ContractName,
        event: str,
        from_block: int | None = None,
        to_block: int | None = None,
        **filters: Any,
    ) -> list[Event]:
        """Events in chain order, by default since the deployment; `filters` match indexed arguments by ABI name."""
        first = self.deployment.block_number if from_block is None else from_block
        last = self._newest()[0] if to_block is None else to_block
        found: list[Event] = []
        try:
            abi_event = self._contracts[contract].events[event]()
        except ABIEventNotFound as exc:
            raise ChainError(f"{contract} has no event {event}; the deployment file is of another version") from exc
        while first <= last:
            stop = min(last, first + self._blocks_per_query - 1)
            entries = self._entries(abi_event, first, stop, filters, f"reading {contract}.{event}")
            if entries is not None:
                found += [_event(contract, entry) for entry in entries]
                first = stop + 1
        return found

    def _entries(
        self, abi_event: Any, first: int, last: int, filters: dict[str, Any], what: str
    ) -> Sequence[Any] | None:
        """The logs of these blocks; None if the node wants to be asked for fewer, as it is from then on."""
        with node_errors(self.decoder, what):
            try:
                entries: Sequence[Any] = abi_event.get_logs(from_block=first, to_block=last, argument_filters=filters)
            except (Web3RPCError, TooLarge):
                # Nodes say in many ways that a range is too long, and in the same words what has nothing to do with it.
                self._blocks_per_query = (last - first + 1) // 2 or _MAX_BLOCKS_PER_QUERY
                if first == last:
                    raise
                return None
        return entries

    def events_of(self, receipt: Receipt, contract: ContractName, event: str) -> list[Event]:
        """Events of one kind that a transaction emitted."""
        abi = self._contracts[contract].events[event]().abi
        address, found = self.deployment.address(contract), []
        for log in cast(Sequence[LogReceipt], receipt.logs):
            if log["address"] != address:
                continue
            try:
                found.append(_event(contract, get_event_data(self.web3.codec, abi, log)))
            except MismatchedABI:  # another event of the same contract
                continue
        return found

    def encode(self, contract: ContractName, function: str, args: Sequence[Any]) -> tuple[str, str]:
        """Address and call data of a transaction; records, CIDs and enums are accepted as arguments."""
        prepared = self._function(contract, function, args)
        return self.deployment.address(contract), str(prepared._encode_transaction_data())

    def _function(self, contract: ContractName, function: str, args: Sequence[Any]) -> Any:
        try:
            return self._contracts[contract].functions[function](*(to_abi(argument) for argument in args))
        except (ABIFunctionNotFound, KeyError) as exc:
            raise ChainError(
                f"{contract} has no function {function}; the deployment file is of another version"
            ) from exc


def _event(contract: str, entry: Any) -> Event:
    arguments = entry["args"]  # by item: one that is named `keys`, say, hides the method
    return Event(
        contract,
        str(entry["event"]),
        {name: arguments[name] for name in arguments},
        int(entry["blockNumber"]),
        int(entry["logIndex"]),
        entry["transactionHash"].to_0x_hex(),
    )
