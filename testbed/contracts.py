"""The contracts on a real EVM node, for attacks: every attempt is a mined transaction, refused ones included."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

from eth_account import Account
from eth_account.signers.local import LocalAccount
from web3 import Web3
from web3.types import RPCEndpoint

from pole.chain.abi import to_abi
from pole.chain.client import ChainClient
from pole.chain.contracts import Contracts
from pole.chain.deployment import LANE_NAMES, ContractName, Deployment, of_lane
from pole.chain.heads import Heads
from pole.chain.node_errors import RevertDecoder
from pole.chain.structs import Pot
from pole.errors import ChainError
from testbed.chain import MNEMONIC

ACCOUNTS = 40
MOST_GAS = 16_000_000  # under the cap of EIP-7825
_USUAL_GAS = 5_000_000  # several fit into a block
_PANIC = bytes.fromhex("4e487b71")
_GWEI = 10**9


@dataclass(frozen=True)
class Sent:
    """A mined transaction; `error` is the name of what it reverted with, empty if it did not."""

    error: str
    gas_used: int
    block_number: int
    index: int
    contract: str | None

    @property
    def said(self) -> str:
        """For people."""
        return self.error or "accepted"


def development_key(index: int) -> LocalAccount:
    """Account `index` of every development chain."""
    Account.enable_unaudited_hdwallet_features()
    account: LocalAccount = Account.from_mnemonic(MNEMONIC, account_path=f"m/44'/60'/0'/0/{index}")
    return account


class Chain:
    """A node that mines each transaction at once, a deployment, and the unlocked accounts of a development chain.

    `LearningChain` and `BlockLedger` are those of the lane.
    """

    def __init__(self, web3: Web3, deployment: Deployment, artifacts: Mapping[str, Any], lane: int = 0) -> None:
        self.web3, self.deployment, self._artifacts, self._lane = web3, deployment, artifacts, lane
        client = ChainClient(Web3(web3.provider), deployment)  # a client adds to its Web3
        client.heads = Heads(patience_s=0)  # what happened on the chain may be undone
        self.contracts = Contracts.of(client, lane=lane)
        self.chain_id = web3.eth.chain_id
        self._accounts = list(web3.eth.accounts)
        self._decoder = RevertDecoder(artifact["abi"] for artifact in artifacts.values())
        self._contracts: dict[str, Any] = {}

    # --- who ---------------------------------------------------------------------------------------------------------

    @property
    def anyone(self) -> str:
        return str(self._accounts[0])

    @property
    def client(self) -> str:
        return str(self._accounts[1])

    @property
    def attacker(self) -> str:
        return str(self._accounts[2])

    def miner(self, index: int) -> str:
        """0 to 9."""
        return str(self._accounts[3 + index])

    def verifier(self, index: int) -> str:
        """0 to 9."""
        return str(self._accounts[13 + index])

    def accomplice(self, index: int) -> str:
        """0 to 9."""
        return str(self._accounts[23 + index])

    # --- calls -------------------------------------------------------------------------------------------------------

    def address(self, contract: str) -> str:
        name = cast(ContractName, contract)
        return self.deployment.address(of_lane(name, self._lane) if name in LANE_NAMES else name)

    def call(self, contract: str, function: str, *arguments: Any) -> Any:
        return self._function(contract, function, arguments).call()

    def data(self, contract: str, function: str, *arguments: Any) -> str:
        """The calldata, 0x-prefixed."""
        return str(self._function(contract, function, arguments)._encode_transaction_data())

    def attempt(self, sender: str, contract: str, function: str, *arguments: Any, value_wei: int = 0) -> Sent:
        """Send and mine, whatever comes of it."""
        data = self.data(contract, function, *arguments)
        return self.sent(self.queue(sender, self.address(contract), data, value_wei=value_wei, gas=MOST_GAS))

    def call_at(self, address: str, name: str, function: str) -> Any:
        """A view without arguments of a contract that only attacks and tests use."""
        where: Any = address
        return self.web3.eth.contract(address=where, abi=self._artifacts[name]["abi"]).functions[function]().call()

    def attempt_at(
        self, address: str, name: str, function: str, *arguments: Any, value_wei: int = 0, gas: int = MOST_GAS
    ) -> Sent:
        """The attacker's call of such a contract, whatever comes of it."""
        data = self.web3.eth.contract(abi=self._artifacts[name]["abi"]).encode_abi(function, arguments)
        return self.sent(self.queue(self.attacker, address, data, value_wei=value_wei, gas=gas))

    def do(self, sender: str, contract: str, function: str, *arguments: Any, value_wei: int = 0) -> Sent:
        """A step that an attack needs and that must work; raises ChainError."""
        sent = self.attempt(sender, contract, function, *arguments, value_wei=value_wei)
        if sent.error:
            raise ChainError(f"{contract}.{function} was refused with {sent.error}; the attack cannot be prepared")
        return sent

    def queue(
        self,
        sender: str,
        to: str | None,
        data: str,
        *,
        value_wei: int = 0,
        tip_gwei: int = 1,
        gas: int = _USUAL_GAS,
    ) -> bytes:
        """Hand a transaction to the node and return its hash; miners take a higher tip first."""
        transaction: dict[str, Any] = {
            "from": sender,
            "data": data,
            "value": value_wei,
            "gas": gas,
            "maxPriorityFeePerGas": tip_gwei * _GWEI,
            "maxFeePerGas": (1_000 + tip_gwei) * _GWEI,  # which anvil orders by
        }
        if to is not None:
            transaction["to"] = to
        return bytes(self.web3.eth.send_transaction(cast(Any, transaction)))

    def sent(self, transaction_hash: bytes) -> Sent:
        """How a mined transaction ended; the error's name comes from the node's trace of that very execution."""
        receipt = self.web3.eth.wait_for_transaction_receipt(cast(Any, transaction_hash), 30, 0.01)
        error = "" if receipt["status"] == 1 else self._error_of(transaction_hash)
        created = receipt["contractAddress"]
        return Sent(error, receipt["gasUsed"], receipt["blockNumber"], receipt["transactionIndex"], created)

    def create(self, sender: str, name: str, *arguments: Any) -> str:
        """Create a contract that only attacks and tests use; its address."""
        artifact = self._artifacts[name]
        contract: Any = self.web3.eth.contract(abi=artifact["abi"], bytecode=artifact["bytecode"])
        data = contract.constructor(*arguments).data_in_transaction
        created = self.sent(self.queue(sender, None, data))
        if created.contract is None or created.error:
            raise ChainError(f"{name} was not created: {created.error}")
        return created.contract

    def _function(self, contract: str, function: str, arguments: tuple[Any, ...]) -> Any:
        return self._contract(contract).functions[function](*(to_abi(argument) for argument in arguments))

    def _contract(self, name: str) -> Any:
        if name not in self._contracts:
            address: Any = self.address(name)
            self._contracts[name] = self.web3.eth.contract(address=address, abi=self._artifacts[name]["abi"])
        return self._contracts[name]

    def _error_of(self, transaction_hash: bytes) -> str:
        trace = self.rpc("debug_traceTransaction", f"0x{transaction_hash.hex()}", {"tracer": "callTracer"})
        data = bytes.fromhex(trace.get("output", "0x")[2:])
        if data[:4] == _PANIC:
            return f"Panic({int.from_bytes(data[4:]):#x})"
        return self._decoder.decode(data, "the attack").name if data else str(trace.get("error", "no reason"))

    # --- the node ----------------------------------------------------------------------------------------------------

    def rpc(self, method: str, *parameters: Any) -> Any:
        reply = self.web3.provider.make_request(RPCEndpoint(method), list(parameters))
        if "error" in reply:
            raise ChainError(f"{method}: {reply['error']}")
        return reply["result"]

    @property
    def now_s(self) -> int:
        """Of the latest block."""
        return int(self.web3.eth.get_block("latest")["timestamp"])

    def pass_time(self, seconds: int) -> None:
        self.rpc("evm_increaseTime", seconds)
        self.rpc("evm_mine")

    @contextmanager
    def one_block(self) -> Iterator[None]:
        """What is queued meanwhile waits in the public pool and is then mined in one block, the highest tip first."""
        self.rpc("evm_setAutomine", False)
        try:
            yield
            self.rpc("evm_mine")
        finally:
            self.rpc("evm_setAutomine", True)

    def seen_in_pool(self, sender: str) -> str:
        """The calldata of an account's waiting transaction, as everybody can read it."""
        waiting = self.rpc("txpool_content")["pending"]
        [of_sender] = [entries for address, entries in waiting.items() if address.lower() == sender.lower()]
        [transaction] = of_sender.values()
        return str(transaction["input"])

    # --- money -------------------------------------------------------------------------------------------------------

    def balance_wei(self, address: str) -> int:
        return int(self.web3.eth.get_balance(cast(Any, address)))

    @property
    def reservoir_wei(self) -> int:
        """Ether that lies in the reservoir."""
        return self.balance_wei(self.address("RewardReservoir"))

    @property
    def accounted_wei(self) -> int:
        """Ether that the reservoir owes to somebody; equal to `reservoir_wei`, but for ether forced in."""
        credits: int = self.call("RewardReservoir", "totalCredits")
        return credits + sum(self.contracts.reward_reservoir.total_wei(pot) for pot in Pot)
