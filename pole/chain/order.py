"""Whose turn it is to do what anybody may do, so that not all pay for the same step."""

from collections.abc import Sequence

from eth_utils.crypto import keccak

STEP_BLOCKS = 2
"""How long each is given before the next one's turn: a block to be mined in, and one to be seen."""

_STRANGERS = 4
_REMEMBERED = 64


class Turns:
    """An order that everybody derives for every step, and that shifts when the first is silent.

    A step is what anybody may do and only one can, by a key that all give it. Who finds it due counts the blocks from
    then on: the first in its order does it at once, each of the others two blocks later than the one before.
    """

    def __init__(self) -> None:
        self._since: dict[str, int] = {}
        self.is_waiting = False
        """Whether something is due that is another's turn, as far as was asked since this was last set."""

    def is_mine(self, step: str, group: Sequence[str], address: str, block: int) -> bool:
        """`group`: the addresses of those who are known to look after such steps; strangers come after them."""
        since = self._since.setdefault(step, block)
        while len(self._since) > _REMEMBERED:
            self._since.pop(next(iter(self._since)))
        is_mine = block - since >= STEP_BLOCKS * place_of(step, group, address)
        self.is_waiting = self.is_waiting or not is_mine
        return is_mine


def place_of(step: str, group: Sequence[str], address: str) -> int:
    """An account's place in the order of a step, from 0; those of strangers may coincide."""

    def draw(account: str) -> bytes:
        return keccak(text=f"{step}/{account.lower()}")

    if address in group:
        return sorted(set(group), key=draw).index(address)
    return len(set(group)) + int.from_bytes(draw(address)) % _STRANGERS
