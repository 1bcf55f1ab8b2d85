"""What an account's transactions have cost, for its owner to read after each round."""

import threading
from dataclasses import dataclass

from pole.money import wei_to_ether


@dataclass(frozen=True)
class Spent:
    """Gas and what it cost; `in_vain`: of the transactions, those that were mined and refused."""

    transactions: int = 0
    in_vain: int = 0
    gas: int = 0
    wei: int = 0

    def __str__(self) -> str:
        """E.g. "3 transactions, 1 of them in vain, 310000 gas, 0.00031 ether"."""
        vain = f", {self.in_vain} of them in vain" if self.in_vain else ""
        noun = "transaction" if self.transactions == 1 else "transactions"
        return f"{self.transactions} {noun}{vain}, {self.gas} gas, {wei_to_ether(self.wei)} ether"


class Spending:
    """Adds up until somebody takes it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._spent = Spent()

    def add(self, gas: int, gas_price_wei: int, *, is_in_vain: bool) -> None:
        with self._lock:
            so_far = self._spent
            self._spent = Spent(
                so_far.transactions + 1,
                so_far.in_vain + is_in_vain,
                so_far.gas + gas,
                so_far.wei + gas * gas_price_wei,
            )

    def take(self) -> Spent:
        """Everything since the last time."""
        with self._lock:
            taken, self._spent = self._spent, Spent()
            return taken
