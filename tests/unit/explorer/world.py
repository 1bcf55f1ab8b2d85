"""A chain with rounds on it and an index of them: what the explorer's tests start from."""

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from explorer.chain.node import Node
from explorer.index.schema import open_index
from explorer.site import Site
from pole.chain.profiles import PUBLIC
from pole.chain.structs import Round
from pole.storage.cid import cid_of
from pole.storage.store import Store
from testbed import heights, rounds
from testbed.artifacts import compiled
from testbed.chain import web3_at
from testbed.contracts import Chain, development_key
from testbed.deployer import deploy_with_web3


class World:
    """One anvil that mines each transaction at once, a deployment on it, and verifiers that are seated."""

    def __init__(self, rpc_url: str, verifiers: int = 3) -> None:
        self.rpc_url = rpc_url
        web3 = web3_at(rpc_url)
        self.deployment = deploy_with_web3(web3, development_key(0), PUBLIC, cid_of(b"idle task"))
        self.chain = Chain(web3, self.deployment, compiled())
        self.verifiers = rounds.seat(self.chain, verifiers)
        self.miners = [self.chain.miner(i) for i in range(3)]

    def solved(self, test_ppm: Sequence[int] = (900_000, 920_000, 910_000), **terms: Any) -> Round:
        """A round that ends with a block; the second miner wins it by default."""
        current = self.voting(len(test_ppm), **terms)
        words = [rounds.good(ppm) for ppm in test_ppm]
        return rounds.vote_and_finish(self.chain, current, dict.fromkeys(self.verifiers, words))

    def voting(self, miners: int = 3, **terms: Any) -> Round:
        """A round whose ballot is open."""
        rounds.submit(self.chain, **terms)
        current = rounds.open_round(self.chain)
        rounds.to_voting(self.chain, current, *self.miners[:miners])
        return current

    def aborted(self) -> Round:
        """A round without keys."""
        rounds.submit(self.chain)
        current = rounds.open_round(self.chain, has_keys=False)
        rounds.advance(self.chain, current)
        return rounds.latest(self.chain)

    def unrevealed(self) -> Round:
        """A round in which the first miner did not reveal; the second one won."""
        rounds.submit(self.chain)
        current = rounds.open_round(self.chain)
        rounds.to_reveal(self.chain, current, *self.miners[:2])
        rounds.reveal(self.chain, current, self.miners[1])
        rounds.advance(self.chain, current)
        words = [rounds.good(930_000)]
        return rounds.vote_and_finish(self.chain, current, dict.fromkeys(self.verifiers, words))

    def gradient(self, blocks: int = 2) -> None:
        """A gradient task, a height at which a proposal was found invalid, and so many blocks."""
        steps = dict(zip(self.miners[1:], (7, 11), strict=True))
        heights.enrol(self.chain, *self.miners)
        heights.submit(self.chain)
        heights.propose(self.chain, {self.miners[0]: 3})
        heights.judge(self.chain, self.verifiers, [heights.INVALID])
        for number in range(blocks):
            words = [rounds.scored(600_000 + 20_000 * number, ppm + 19_000 * number) for ppm in (580_000, 575_000)]
            heights.propose(self.chain, steps, 15 + number)
            heights.judge(self.chain, self.verifiers, words)

    def site(self, folder: Path, store: Store | None = None) -> Site:
        """An index in that folder, not yet filled."""
        folder.mkdir(parents=True, exist_ok=True)
        return Site(self.deployment, Node(self.rpc_url), folder, store)


def indexed(site: Site) -> Site:
    """With all there is."""
    site.indexer.catch_up()
    return site


def contents(path: Path) -> dict[str, list[Any]]:
    """What an index says, without what differs by when it looked."""
    connection: sqlite3.Connection = open_index(path, is_read_only=True)
    try:
        return {
            table: connection.execute(f"SELECT * FROM {table} ORDER BY {order}").fetchall()
            for table, order in (
                ("events", "id"),
                ("keys", "kind, value, event"),
                ("parts", "account, kind, value"),
                ("transactions", "hash"),
            )
        }
    finally:
        connection.close()
