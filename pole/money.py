"""Amounts: ether where people read or write them, wei everywhere else; both exact."""

from decimal import Decimal, InvalidOperation
from fractions import Fraction

WEI_PER_ETHER = 10**18
MAX_WEI = (1 << 128) - 1
MAX_DIGITS = 40


def ether_to_wei(text: str, least_wei: int = 1) -> int:
    """Exact; ValueError for what is below the least amount, 0 or 1, or finer than a wei."""
    try:
        ether = Decimal(text.strip())
    except InvalidOperation:
        raise ValueError(f'{text!r} is not an amount of ether; write for example "0.5"') from None
    # The exponent is looked at first: exact arithmetic on 1e999999999 would never end.
    is_sane = ether.is_finite() and ether >= 0 and abs(ether.adjusted()) < MAX_DIGITS and len(text) < 2 * MAX_DIGITS
    wei = Fraction(ether) * WEI_PER_ETHER if is_sane else Fraction(-1)
    if not least_wei <= wei <= MAX_WEI or wei.denominator != 1:
        raise ValueError(f"{text!r:.100} ether is not {'a positive' if least_wei else 'an'} amount of whole wei")
    return int(wei)


def wei_to_ether(amount_wei: int) -> str:
    """Exact, without trailing zeros."""
    whole, rest = divmod(amount_wei, WEI_PER_ETHER)
    return f"{whole}.{rest:018d}".rstrip("0").rstrip(".")
