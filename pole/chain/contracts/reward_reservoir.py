"""RewardReservoir: where all ether of the system is, and the credits that accounts withdraw."""

from pole.chain.client import Receipt
from pole.chain.contracts.base import BaseContract
from pole.chain.structs import Pot


class RewardReservoir(BaseContract):
    name = "RewardReservoir"

    def credit_wei(self, address: str) -> int:
        """What an address can withdraw."""
        return int(self._read("creditOf", address))

    def total_wei(self, pot: Pot) -> int:
        return int(self._read("total", pot))

    def withdraw(self, to: str, *, key: str) -> Receipt:
        """Send all of the account's credit, in ether, to an address."""
        return self._write(key, "withdraw", to)
