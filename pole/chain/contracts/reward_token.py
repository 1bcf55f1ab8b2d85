"""RewardToken: what a block of the learning chain issues to its winner and its ommers."""

from pole.chain.contracts.base import BaseContract


class RewardToken(BaseContract):
    name = "RewardToken"

    def balance(self, address: str) -> int:
        """Tokens of an address, in their smallest unit."""
        return int(self._read("balanceOf", address))
