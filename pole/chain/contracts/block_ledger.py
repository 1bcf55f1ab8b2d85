"""BlockLedger: the blocks that rounds end in, and the ommers beside them. Source: PoLe, section 3.3"""

from pole.chain.abi import from_abi
from pole.chain.client import Event, Receipt
from pole.chain.contracts.base import BaseContract
from pole.chain.structs import Header, LedgerParameters, Ommer


class BlockLedger(BaseContract):
    name = "BlockLedger"

    def height(self) -> int:
        """Height of the newest block; 0 is the genesis."""
        return int(self._read("height"))

    def header(self, height: int) -> Header:
        header: Header = from_abi(Header, self._read("header", height))
        return header

    def header_hash(self, height: int) -> bytes:
        return bytes(self._read("headerHash", height))

    def ommers(self, height: int) -> list[Ommer]:
        return [from_abi(Ommer, part) for part in self._read("ommers", height)]

    def appended(self, height: int) -> Event | None:
        """The event of a block, which has its body; None if the node does not keep it."""
        events = self._client.logs(self.label, "BlockAppended", height=height)
        return events[-1] if events else None

    def references(self, from_block: int | None = None, **heights: int) -> list[Event]:
        """Ommers that blocks have referenced; `heights`: of either, by ABI name."""
        return self._client.logs(self.label, "OmmerReferenced", from_block, **heights)

    def is_included(self, height: int, index: int, value: bytes, proof: list[bytes]) -> bool:
        """Whether `value` is leaf `index` of the body of the block at `height`, judged by the contract."""
        return bool(self._read("isIncluded", height, index, value, proof))

    def keep_anchor(self, anchor_block: int) -> Receipt:
        """Write down what PHS depends on; reverts if it is written down, or not to be."""
        return self._write(f"anchor/{anchor_block}", "keepAnchor", anchor_block)

    def parameters(self) -> LedgerParameters:
        parameters: LedgerParameters = self._read_once(LedgerParameters)
        return parameters
