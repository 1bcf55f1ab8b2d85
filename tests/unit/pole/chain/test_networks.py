"""Sources of PHS: what can be foreseen on a network is refused by name, on networks nobody has listed too."""

from collections.abc import Callable
from typing import Any

import pytest
from hexbytes import HexBytes
from web3 import Web3
from web3.providers.base import BaseProvider

from pole.chain.networks import ARB_SYS, NAMES, NETWORKS, anchor_for
from pole.chain.structs import AnchorSource
from pole.errors import BadInput

NUMBER = 1_000
UNKNOWN = 999_999


def block_hash(number: int) -> bytes:
    return number.to_bytes(4, "big") * 8


class Network(BaseProvider):
    """A network that answers what `anchor_for` asks; `seen_hash`: what contracts see of a block."""

    def __init__(
        self,
        chain_id: int,
        *,
        has_arb_sys: bool = False,
        seen_hash: Callable[[int], bytes] = block_hash,
        randao: Callable[[int], bytes] = block_hash,
        runs_code: bool = True,
    ) -> None:
        super().__init__()
        self.chain_id, self.has_arb_sys, self.runs_code = chain_id, has_arb_sys, runs_code
        self.seen_hash, self.randao = seen_hash, randao

    def make_request(self, method: Any, params: Any) -> Any:
        answers: dict[str, Callable[[], Any]] = {
            "eth_chainId": lambda: hex(self.chain_id),
            "eth_blockNumber": lambda: hex(NUMBER),
            "eth_getBlockByNumber": lambda: self._block(int(params[0], 16)),
            "eth_call": lambda: self._call(params[0]),
        }
        result = answers[method]()
        if result is None:
            return {"jsonrpc": "2.0", "id": 1, "error": {"code": -32000, "message": "contract creation is refused"}}
        return {"jsonrpc": "2.0", "id": 1, "result": result}

    def _block(self, number: int) -> Any:
        return {
            "number": hex(number),
            "hash": HexBytes(block_hash(number)).to_0x_hex(),
            "mixHash": HexBytes(self.randao(number)).to_0x_hex(),
        }

    def _call(self, call: Any) -> str | None:
        if call.get("to") == ARB_SYS:
            return "0x" + (NUMBER.to_bytes(32, "big").hex() if self.has_arb_sys else "")
        if not self.runs_code:
            return None
        return "0x" + NUMBER.to_bytes(32, "big").hex() + self.seen_hash(NUMBER - 1).hex()


def chosen(network: Network, wanted: AnchorSource | None = None, *, is_development: bool = False) -> AnchorSource:
    return anchor_for(Web3(network), wanted, is_development=is_development)


# --- refused ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("chain_id", "wanted", "said"),
    [
        (42161, AnchorSource.BLOCK_HASH, r"blockhash is insecure on Arbitrum One \(chain 42161\).*use --anchor arbsys"),
        (
            421614,
            AnchorSource.PREV_RANDAO,
            r"prevrandao is insecure on Arbitrum Sepolia .*always 1; use --anchor arbsys",
        ),
        (11155420, AnchorSource.PREV_RANDAO, r"insecure on OP Sepolia .*older block.*use --anchor kept-blockhash"),
        (11155111, AnchorSource.ARB_SYS, r"arbsys is insecure on Sepolia .*no ArbSys; use --anchor blockhash"),
    ],
)
def test_anchor__insecure_on_a_known_network__refused_by_name(chain_id: int, wanted: AnchorSource, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        chosen(Network(chain_id, has_arb_sys=chain_id in (42161, 421614)), wanted)


def test_anchor__unknown_public_network__must_be_said() -> None:
    with pytest.raises(BadInput, match=f"chain {UNKNOWN} is not known here: say with --anchor"):
        chosen(Network(UNKNOWN))
    assert chosen(Network(UNKNOWN), AnchorSource.KEPT_BLOCK_HASH) is AnchorSource.KEPT_BLOCK_HASH


@pytest.mark.parametrize("source", [AnchorSource.BLOCK_HASH, AnchorSource.KEPT_BLOCK_HASH, AnchorSource.PREV_RANDAO])
@pytest.mark.parametrize("is_development", [True, False])
def test_anchor__unlisted_arbitrum_chain__names_arb_sys(source: AnchorSource, is_development: bool) -> None:
    with pytest.raises(BadInput, match="it is an Arbitrum chain; use --anchor arbsys"):
        chosen(Network(UNKNOWN, has_arb_sys=True), source, is_development=is_development)


def test_anchor__contracts_see_another_hash__refused() -> None:
    def foreseen(number: int) -> bytes:
        return Web3.keccak(number)

    for source in (AnchorSource.BLOCK_HASH, AnchorSource.KEPT_BLOCK_HASH):
        with pytest.raises(BadInput, match="what contracts see of block 999 is not its hash"):
            chosen(Network(UNKNOWN, seen_hash=foreseen), source)


@pytest.mark.parametrize("randao", [lambda number: bytes(32), lambda number: block_hash(number // 3)])
def test_anchor__prevrandao_stays_the_same__refused(randao: Callable[[int], bytes]) -> None:
    with pytest.raises(BadInput, match="it was the same in several of the last 4 blocks"):
        chosen(Network(1, randao=randao), AnchorSource.PREV_RANDAO)


def test_anchor__known_arbitrum_without_arb_sys__refused() -> None:
    with pytest.raises(BadInput, match=f"there is no ArbSys at {ARB_SYS}"):
        chosen(Network(42161))


# --- taken -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("chain_id", sorted(NETWORKS))
def test_anchor__known_network__has_a_default(chain_id: int) -> None:
    network = NETWORKS[chain_id]
    is_arbitrum = network.sources[0] is AnchorSource.ARB_SYS
    assert chosen(Network(chain_id, has_arb_sys=is_arbitrum)) is network.sources[0]


def test_anchor__development_node_that_runs_no_code__takes_the_block_hash() -> None:
    assert chosen(Network(1337, runs_code=False), is_development=True) is AnchorSource.BLOCK_HASH


def test_names__every_source__has_one_of_its_own() -> None:
    assert len(set(NAMES.values())) == len(NAMES) == len(AnchorSource)
