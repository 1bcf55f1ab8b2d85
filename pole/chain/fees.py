"""What a transaction offers for gas: at first, and when another with the same nonce has to take its place."""

from dataclasses import dataclass
from typing import Any

from eth_account.typed_transactions.typed_transaction import TypedTransaction
from hexbytes import HexBytes

from pole.errors import TransientChainError

GWEI = 10**9
TIP_WEI = GWEI
DEFAULT_MAX_FEE_GWEI = 300.0
# Nodes ask for 10 % more (some for 12.5 %) of both fees before one transaction takes another's place.
_RAISE_NUMERATOR, _RAISE_DENOMINATOR = 9, 8
_SIGNATURE_FIELDS = ("v", "r", "s")


@dataclass(frozen=True)
class Fees:
    """Wei per gas: `max_wei` is the most that is paid in all, `tip_wei` what the block's maker gets of it."""

    max_wei: int
    tip_wei: int


@dataclass(frozen=True)
class FeePolicy:
    """No transaction ever offers more than `cap_wei` per gas."""

    cap_wei: int

    def first(self, base_fee_wei: int, what: str) -> Fees:
        """Enough for a base fee that doubles meanwhile. Raises TransientChainError if the base fee is over the cap."""
        if base_fee_wei + TIP_WEI > self.cap_wei:
            raise TransientChainError(f"{what}: {self.refusal(base_fee_wei)}")
        return Fees(min(2 * base_fee_wei + TIP_WEI, self.cap_wei), TIP_WEI)

    def raised(self, fees: Fees, base_fee_wei: int) -> Fees | None:
        """The least that may take the place of `fees` at this base fee; None if that is over the cap."""
        least, tip_wei = _raised(fees.max_wei), _raised(fees.tip_wei)
        if max(least, base_fee_wei + tip_wei) > self.cap_wei:
            return None
        return Fees(min(max(least, 2 * base_fee_wei + tip_wei), self.cap_wei), tip_wei)

    def refusal(self, base_fee_wei: int) -> str:
        """Why nothing is offered, and what to do."""
        return (
            f"gas is too dear: the base fee is {gwei(base_fee_wei)} gwei, and --max-fee-gwei {gwei(self.cap_wei)} "
            "allows no higher offer; wait until fees fall, or raise it"
        )


def fees_of(raw: bytes) -> Fees:
    """What a signed transaction offers."""
    fields = TypedTransaction.from_bytes(HexBytes(raw)).as_dict()
    return Fees(int(fields["maxFeePerGas"]), int(fields["maxPriorityFeePerGas"]))


def with_fees(raw: bytes, fees: Fees) -> dict[str, Any]:
    """The same transaction, unsigned, with other fees."""
    fields = {
        name: value
        for name, value in TypedTransaction.from_bytes(HexBytes(raw)).as_dict().items()
        if name not in _SIGNATURE_FIELDS
    }
    return {**fields, "maxFeePerGas": fees.max_wei, "maxPriorityFeePerGas": fees.tip_wei}


def gwei(wei: int) -> str:
    """For people."""
    return f"{wei / GWEI:.9f}".rstrip("0").rstrip(".")


def _raised(wei: int) -> int:
    """Rounded up."""
    return -(-wei * _RAISE_NUMERATOR // _RAISE_DENOMINATOR)
