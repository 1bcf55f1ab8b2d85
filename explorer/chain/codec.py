"""ABI decoding of many values of few types: the library's decoders, each made once, addresses as they are shown."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from eth_abi.decoding import AddressDecoder, ContextFramesBytesIO, TupleDecoder
from eth_abi.registry import BaseEquals, is_base_tuple
from eth_abi.registry import registry as _library
from eth_utils.address import to_checksum_address


@lru_cache(1 << 16)
def checksummed(address: str | bytes) -> str:
    return str(to_checksum_address(address))


class _Address(AddressDecoder):
    decoder_fn = staticmethod(checksummed)  # type: ignore[assignment]


class _Tuple(TupleDecoder):
    def validate_pointers(self, stream: ContextFramesBytesIO) -> None:
        """Without pointers, the library's check would decode everything a second time."""
        if self.is_dynamic:
            super().validate_pointers(stream)


_REGISTRY = _library.copy()  # type: ignore[no-untyped-call]
_REGISTRY.unregister_decoder("address")
_REGISTRY.register_decoder(BaseEquals("address"), _Address, label="address")  # type: ignore[no-untyped-call]
_REGISTRY.unregister_decoder("is_base_tuple")
_REGISTRY.register_decoder(is_base_tuple, _Tuple, label="is_base_tuple")


def decoded(types: Sequence[str], data: bytes) -> tuple[Any, ...]:
    """The values; raises eth_abi's DecodingError."""
    stream = ContextFramesBytesIO(data)  # type: ignore[no-untyped-call]
    return tuple(_decoder(tuple(types))(stream))


@lru_cache(1 << 10)
def _decoder(types: tuple[str, ...]) -> TupleDecoder:
    return _Tuple(decoders=[_REGISTRY.get_decoder(each) for each in types])  # type: ignore[no-untyped-call]
