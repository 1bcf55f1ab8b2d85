"""The chain as a role reads it: calls of views, events, block time. What sends is in `pole.chain.sender`.

"Now" is always the latest block's timestamp; contracts know no other clock. A development chain that mines on demand
only therefore stands still between transactions: give it a block time.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from eth_typing import ChecksumAddress
from requests.exceptions import ConnectionError as HttpConnectionError
from requests.exceptions import HTTPError
from urllib3.exceptions import LocationValueError
from web3 import HTTPProvider, Web3
from web3._utils.events import get_event_data
from web3.contract import Contract
from web3.exceptions import ABIEventNotFound, ABIFunctionNotFound, MismatchedABI
from web3.providers.rpc.utils import ExceptionRetryConfiguration
from web3.types import BlockIdentifier, LogReceipt

from pole import __version__, metrics
from pole.chain.abi import to_abi
from pole.chain.artifacts import is_code_of
from pole.chain.deployment import ContractName, Deployment, contract_names
from pole.chain.node_errors import RevertDecoder, node_errors
from pole.errors import BadInput, ChainError, TransientChainError, WrongChain
from pole.urls import UNREADABLE, keep_secret, shown

_MAX_BLOCKS_PER_QUERY = 10_000
# A pass of a role takes a dozen requests: with one connection in ten dropped, few would come to their end. All methods
# may be repeated, the broadcast of a signed transaction too. Not after a time-out, which has cost enough already.
_RETRIES = ExceptionRetryConfiguration(errors=(HttpConnectionError, HTTPError), retries=3, backoff_factor=0.1)


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
        poll_s: float = 0.5,
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
        self.newest_block = 0
        """As of the last look."""

    @classmethod
    def connect(
        cls,
        rpc_url: str,
        deployment: Deployment | None = None,
        poll_s: float = 0.5,
        timeout_s: float = 20,
    ) -> "ChainClient":
        """Open a node and check that it is the deployment's chain; without `deployment` it is looked up by chain id.

        Raises WrongChain, TransientChainError (nobody answers) or BadInput.
        """
        address = shown(rpc_url)
        if address == UNREADABLE or not address.startswith(("http://", "https://")):
            raise BadInput(f"node address {address} is not HTTP; give --rpc http://HOST:PORT")
        keep_secret(rpc_url)
        provider = HTTPProvider(rpc_url, request_kwargs={"timeout": timeout_s}, exception_retry_configuration=_RETRIES)
        web3 = Web3(provider)
        try:
            with node_errors(RevertDecoder([]), f"connecting to {address}"):
                chain_id = web3.eth.chain_id
        except LocationValueError:
            raise BadInput(f"node address {address} has no valid host; give --rpc http://HOST:PORT") from None
        except (TypeError, ValueError):  # its answer is JSON-RPC by form only
            raise TransientChainError(
                f"connecting to {address}: what answers is no Ethereum node; start one there, or give another --rpc"
            ) from None
        client = cls(web3, deployment or Deployment.find(chain_id), poll_s)
        client.check_chain()
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

    # --- reading -----------------------------------------------------------------------------------------------------

    def call(self, contract: ContractName, function: str, *args: Any, block: int | None = None) -> Any:
        """Result of a view at the latest block (or at `block`); records, CIDs and enums are accepted as arguments."""
        prepared = self._function(contract, function, args)
        where: BlockIdentifier = "latest" if block is None else cast(BlockIdentifier, block)
        with node_errors(self.decoder, f"{contract}.{function}"):
            return prepared.call(block_identifier=where)

    def block_time(self) -> int:
        """Timestamp of the latest block, in seconds: the only clock that deadlines know."""
        with node_errors(self.decoder, "reading the latest block"):
            block = self.web3.eth.get_block("latest")
        self._follow(int(block["number"]))
        metrics.BLOCK_TIME.set(int(block["timestamp"]))
        return int(block["timestamp"])

    def time_of(self, block_number: int) -> int:
        """Timestamp of a block, in seconds."""
        with node_errors(self.decoder, f"reading block {block_number}"):
            return int(self.web3.eth.get_block(block_number)["timestamp"])

    def block_number(self) -> int:
        with node_errors(self.decoder, "reading the latest block"):
            number = int(self.web3.eth.block_number)
        self._follow(number)
        return number

    def _follow(self, number: int) -> None:
        """A chain that got shorter may be another one that started anew behind the same address."""
        metrics.BLOCK.set(number)
        is_shorter, self.newest_block = number < self.newest_block, number
        if is_shorter:
            self.check_genesis()

    def balance_wei(self, address: str) -> int:
        """Ether of an address itself; credits are `RewardReservoir.credit_wei`."""
        with node_errors(self.decoder, "reading a balance"):
            return int(self.web3.eth.get_balance(cast(ChecksumAddress, address)))

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
        last = self.block_number() if to_block is None else to_block
        found: list[Event] = []
        try:
            abi_event = self._contracts[contract].events[event]()
        except ABIEventNotFound as exc:
            raise ChainError(f"{contract} has no event {event}; the deployment file is of another version") from exc
        for start in range(first, last + 1, _MAX_BLOCKS_PER_QUERY):
            stop = min(last, start + _MAX_BLOCKS_PER_QUERY - 1)
            with node_errors(self.decoder, f"reading {contract}.{event}"):
                entries = abi_event.get_logs(from_block=start, to_block=stop, argument_filters=filters)
            found += [_event(contract, entry) for entry in entries]
        return found

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
    return Event(
        contract,
        str(entry["event"]),
        dict(entry["args"]),
        int(entry["blockNumber"]),
        int(entry["logIndex"]),
        entry["transactionHash"].to_0x_hex(),
    )
