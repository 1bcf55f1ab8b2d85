"""The one boundary where errors of web3, of HTTP and of nodes become errors of this project."""

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NoReturn

from eth_abi.abi import decode
from eth_abi.exceptions import DecodingError
from eth_utils.abi import abi_to_signature, collapse_if_tuple, function_signature_to_4byte_selector
from requests.exceptions import HTTPError, RequestException
from web3.exceptions import (
    BadFunctionCallOutput,
    BadResponseFormat,
    BlockNotFound,
    ContractCustomError,
    ContractLogicError,
    ContractPanicError,
    RequestTimedOut,
    Web3RPCError,
)

from pole.chain.node_faults import NodeFault, fault_of, status_fault
from pole.errors import (
    ChainError,
    InsufficientFunds,
    NodeUnusable,
    TransactionReverted,
    TransientChainError,
    WrongChain,
)
from pole.urls import scrub

_PERMANENT_CODES = (-32600, -32601, -32602)  # JSON-RPC: invalid request, unknown method, invalid parameters


class RevertDecoder:
    """Turns the bytes of a revert into the custom error's name and arguments, from the ABIs of all contracts."""

    def __init__(self, abis: Iterable[list[dict[str, Any]]]) -> None:
        self._errors: dict[bytes, dict[str, Any]] = {}
        for entry in (entry for abi in abis for entry in abi if entry["type"] == "error"):
            self._errors[function_signature_to_4byte_selector(abi_to_signature(entry))] = entry  # type: ignore[arg-type]

    def decode(self, data: bytes, what: str) -> TransactionReverted:
        """The error to raise for revert `data` of the call described by `what`."""
        entry = self._errors.get(data[:4])
        if entry is None:
            return self._undeclared(data, what)
        types = [collapse_if_tuple(argument) for argument in entry["inputs"]]
        try:
            values = decode(types, data[4:])
        except DecodingError:
            return TransactionReverted(entry["name"], {}, f"{what} was refused: {entry['name']}")
        arguments = {argument["name"]: value for argument, value in zip(entry["inputs"], values, strict=True)}
        shown = ", ".join(f"{name}={_shown(value)}" for name, value in arguments.items())
        return TransactionReverted(entry["name"], arguments, f"{what} was refused: {entry['name']}({shown})")

    @staticmethod
    def _undeclared(data: bytes, what: str) -> TransactionReverted:
        if data[:4] == bytes.fromhex("08c379a0"):
            text = decode(["string"], data[4:])[0]
            return TransactionReverted("Error", {"message": text}, f"{what} was refused: {text}")
        shown = f"0x{data[:36].hex()}" if data else "no reason given (out of gas, or no contract function matched)"
        return TransactionReverted("Unknown", {"data": data}, f"{what} was refused: {shown}")


@contextmanager
def node_errors(decoder: RevertDecoder, what: str) -> Iterator[None]:
    """Map whatever a request to the node raises; `what` names the request in messages."""
    try:
        yield
    except ContractPanicError as exc:
        raise TransactionReverted("Panic", {"message": str(exc.message)}, f"{what} was refused: {exc.message}") from exc
    except (ContractCustomError, ContractLogicError) as exc:
        raise _refusal(exc, decoder, what) from exc
    except Web3RPCError as exc:
        raise_for_rpc_error(exc, what)
    except BadFunctionCallOutput as exc:
        raise no_contract(what) from exc
    except (
        NodeFault,
        RequestException,
        RequestTimedOut,
        BadResponseFormat,
        BlockNotFound,
        json.JSONDecodeError,
        OSError,
    ) as exc:
        # Not `from exc`: what these libraries say has the whole URL in it, and with it a provider's key.
        fault = node_fault(exc)
        kind = NodeUnusable if fault.is_lasting else TransientChainError
        raise kind(f"{what}: {fault}", fault.wait_s or 0.0) from None


def no_contract(what: str) -> WrongChain:
    """The error for an answer that no contract of ours gives."""
    return WrongChain(
        f"{what}: no such contract on this node; was the chain reset? deploy again, or give the right --deployment"
    )


def node_fault(exc: BaseException) -> NodeFault:
    """What an error of a request means, whichever library it comes from."""
    if isinstance(exc, NodeFault):
        return exc
    if isinstance(exc, HTTPError) and exc.response is not None:
        response = exc.response
        return status_fault(response.status_code, response.headers, response.content, response.url)
    return fault_of(exc)


def rpc_message(exc: Web3RPCError) -> str:
    """The node's own message, in lower case."""
    error = (exc.rpc_response or {}).get("error", {})
    message = error.get("message", "") if isinstance(error, Mapping) else str(error)
    return scrub(message or str(exc)).lower()


def raise_for_rpc_error(exc: Web3RPCError, what: str) -> NoReturn:
    """Raise InsufficientFunds, ChainError for what can never work, else TransientChainError."""
    message = rpc_message(exc)
    if "insufficient funds" in message or "insufficient balance" in message:
        raise InsufficientFunds(f"{what}: {message}; send ether to the account") from exc
    error = (exc.rpc_response or {}).get("error", {})
    if isinstance(error, Mapping) and error.get("code") in _PERMANENT_CODES:
        raise ChainError(f"{what}: the node refuses the request: {message}") from exc
    raise TransientChainError(f"{what}: the node answers {message!r}") from exc


def _refusal(exc: ContractCustomError | ContractLogicError, decoder: RevertDecoder, what: str) -> ChainError:
    data = _revert_data(exc.data)
    if data is not None:
        return decoder.decode(data, what)
    message = scrub(str(exc.message))
    if "insufficient" in message.lower():
        return InsufficientFunds(f"{what}: {message}; send ether to the account")
    return TransactionReverted("Unknown", {"message": message}, f"{what} was refused: {message}")


def _revert_data(data: object) -> bytes | None:
    """Revert bytes from what nodes send: a hex string, or (ganache) an object around one."""
    if isinstance(data, Mapping):
        return _revert_data(data.get("result", data.get("data")))
    if isinstance(data, str) and data.startswith("0x"):
        return bytes.fromhex(data[2:])
    return None


def _shown(value: object) -> str:
    return f"0x{value.hex()}" if isinstance(value, bytes) else str(value)
