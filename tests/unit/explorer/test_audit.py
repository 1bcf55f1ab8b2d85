"""The audit: nothing disagrees, and what was tampered with is found."""

import json
import random
from pathlib import Path

import pytest

from explorer.audit import audit_site
from testbed import rounds
from tests.unit.explorer.test_indexer import go_on
from tests.unit.explorer.world import World, indexed


@pytest.fixture
def world(own_world: World) -> World:
    """Reorganised at will."""
    return own_world


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            "UPDATE events SET args = json_set(args, '$.amountWei', 1) WHERE name = 'Credited'",
            "is another one on the chain",
        ),
        ("DELETE FROM events WHERE name = 'VoteRevealed'", "is only on the chain"),
        ("UPDATE events SET time = time + 1 WHERE name = 'RoundOpened'", "has another time on the chain"),
        ("UPDATE events SET args = json_set(args, '$.phase', 3) WHERE name = 'PhaseChanged'", "cast call"),
        ("UPDATE transactions SET gas_used = 1", "another sender, gas or price"),
        ("UPDATE transactions SET gas_used = 1", "says 1, its receipts say"),
        ("UPDATE transactions SET gas_price = 1", "another sender, gas or price"),
    ],
)
def test_audit__tampered_index__disagreements(world: World, tmp_path: Path, change: str, said: str) -> None:
    world.solved()
    site = indexed(world.site(tmp_path))
    site.indexer.connection.execute(change)
    assert any(said in each for each in audit_site(world.site(tmp_path)).disagreements)


def test_audit__rounds_of_all_kinds__no_disagreement(played: World, tmp_path: Path) -> None:
    report = audit_site(indexed(played.site(tmp_path)))
    assert report.disagreements == []
    assert report.replayed["calls"] > 200
    assert report.replayed["figures in events"] > 500
    assert report.replayed["figures from rows"] > 50
    assert report.replayed["receipts"] > 70
    assert report.replayed["figures from receipts"] > 20


def test_audit__contested_and_repeated_ballots__no_disagreement(world: World, tmp_path: Path) -> None:
    chain, verifiers = world.chain, world.verifiers
    current = world.voting(2)
    words = [rounds.good(900_000), rounds.good(910_000)]
    others = [rounds.good(900_000), rounds.good(950_000)]
    votes = {verifiers[0]: words, verifiers[1]: words, verifiers[2]: others}
    rounds.vote_and_finish(chain, current, votes)
    site = indexed(world.site(tmp_path))
    assert audit_site(site).disagreements == []
    with site.snapshot() as snapshot:
        [tallied] = snapshot.read.named(["BallotTallied"])
        assert len(tallied.derived["lists"]) == 2
        assert snapshot.totals.agreed[min(verifiers[0], verifiers[2]), max(verifiers[0], verifiers[2])] == [1, 0]


def test_audit__after_random_reorganisations__no_disagreement(world: World, tmp_path: Path) -> None:
    random_ = random.Random(2)
    site = world.site(tmp_path)
    first = world.chain.web3.eth.block_number
    world.solved()
    for _ in range(8):
        go_on(world)
        if random_.random() < 0.6:
            site.indexer.catch_up()
        world.chain.rpc("anvil_reorg", random_.randint(1, min(30, world.chain.web3.eth.block_number - first)), [])
    site.indexer.catch_up()
    report = audit_site(site)
    assert report.disagreements == []
    assert json.dumps(report.replayed)
