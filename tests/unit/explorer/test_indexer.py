"""The indexer on a real node: ranges, reorganisations, kills."""

import os
import random
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from explorer.chain.node import Node, RangeRefused
from explorer.index.reading import reading
from pole.chain.structs import Phase
from pole.errors import ChainError, TransientChainError, WrongChain
from testbed import rounds
from tests.paths import ROOT
from tests.unit.explorer.world import World, contents, indexed


@pytest.fixture
def world(own_world: World) -> World:
    """Reorganised at will."""
    return own_world


class Picky(Node):
    """Refuses logs of more than so many blocks, as providers do."""

    def __init__(self, rpc_url: str, most: int, error: ChainError) -> None:
        super().__init__(rpc_url)
        self.most, self.error = most, error
        self.spans: list[int] = []

    def logs(self, addresses: Sequence[str], first: int, last: int) -> list[dict[str, Any]]:
        self.spans.append(last - first + 1)
        if last - first + 1 > self.most:
            raise self.error
        return super().logs(addresses, first, last)


def fresh(world: World, folder: Path) -> dict[str, list[Any]]:
    """What an index that begins now says."""
    return contents(indexed(world.site(folder)).path)


def go_on(world: World) -> None:
    """A step of whatever round the reorganisations left."""
    contracts = world.chain.contracts
    latest = contracts.learning_chain.latest_round()
    if latest is None or latest.phase.is_over:
        rounds.submit(world.chain)
        rounds.open_round(world.chain, has_keys=False)
    elif latest.phase == Phase.VOTING and not contracts.verifier_committee.ballot(latest.ballot_id).phase.is_over:
        rounds.advance_ballot(world.chain, latest.ballot_id)
    else:
        rounds.advance(world.chain, latest)


def test_check_chain__another_genesis__refused(world: World, tmp_path: Path) -> None:
    site = world.site(tmp_path)
    site.indexer.deployment = world.deployment.model_copy(update={"genesis_hash": f"0x{'11' * 32}"})
    with pytest.raises(WrongChain, match="give another --rpc or --deployment"):
        site.indexer.check_chain()


def test_step__range_of_one_block_refused__says_so(world: World, tmp_path: Path) -> None:
    site = world.site(tmp_path)
    site.indexer.node = Picky(world.rpc_url, 0, RangeRefused("too many results"))
    with pytest.raises(ChainError, match="refuses the single block"):
        site.indexer.catch_up()


def test_step__node_down__the_range_is_not_halved(world: World, tmp_path: Path) -> None:
    site = world.site(tmp_path)
    site.indexer.node = node = Picky(world.rpc_url, 0, TransientChainError("timed out"))
    for _ in range(3):
        with pytest.raises(TransientChainError):
            site.step()
    assert len(set(node.spans)) == 1
    assert site.indexer.progress.halved == 0


def test_step__ranges_refused__halved_until_they_fit(world: World, tmp_path: Path) -> None:
    world.solved()
    site = world.site(tmp_path / "picky")
    site.indexer.node = node = Picky(world.rpc_url, 3, RangeRefused("block range too large"))
    site.indexer.catch_up()
    assert site.indexer.progress.halved > 0
    assert max(span for span in node.spans if span <= 3) in (2, 3)
    assert contents(site.path) == fresh(world, tmp_path / "whole")


def test_logs__node_says_that_it_has_too_many__range_refused() -> None:
    from explorer.chain.node import Refusal, error_of

    for code, message in (
        (-32005, "query returned more than 10000 results"),
        (-32602, "block range is too wide: exceeds max 1000"),
        (-32000, "response size should not exceed 10 MB"),
        (-32000, "eth_getLogs is limited to a 10,000 range"),
    ):
        assert isinstance(error_of(Refusal(code, message), "eth_getLogs"), RangeRefused), message
    for code, message in ((-32000, "header not found"), (-32603, "internal error"), (-32601, "no such method")):
        assert not isinstance(error_of(Refusal(code, message), "eth_getLogs"), RangeRefused), message


def test_catch_up__absent_for_rounds__same_as_an_index_that_was_there(world: World, tmp_path: Path) -> None:
    site = indexed(world.site(tmp_path / "there"))
    world.solved()
    site.indexer.catch_up()
    world.unrevealed()
    site.indexer.catch_up()
    assert contents(site.path) == fresh(world, tmp_path / "late")
    with site.snapshot() as snapshot:
        assert snapshot.totals.lanes["LearningChain"].height == 2
        assert snapshot.totals.pots_wei[2] == 3 * rounds.STAKE_WEI


@pytest.mark.parametrize("depth", [1, 2, 7])
def test_catch_up__blocks_replaced_by_empty_ones__events_are_gone(world: World, tmp_path: Path, depth: int) -> None:
    world.solved()
    site = indexed(world.site(tmp_path / "there"))
    with reading(site.path) as reader:
        before = len(list(reader.after()))
    world.chain.rpc("anvil_reorg", depth, [])
    site.indexer.catch_up()
    assert site.indexer.progress.reorganised == 1
    assert site.indexer.progress.deepest >= depth
    assert contents(site.path) == fresh(world, tmp_path / "anew")
    with reading(site.path) as reader:
        assert len(list(reader.after())) < before


def test_catch_up__chain_that_went_another_way__only_the_new_way_is_kept(world: World, tmp_path: Path) -> None:
    snapshot = world.chain.rpc("evm_snapshot")
    world.solved()
    site = indexed(world.site(tmp_path / "there"))
    world.chain.rpc("evm_revert", snapshot)
    world.unrevealed()
    site.indexer.catch_up()
    assert contents(site.path) == fresh(world, tmp_path / "anew")
    with site.snapshot() as state:
        assert [event.args["miner"] for event in state.read.named(["SolutionRevealed"])] == [world.miners[1]]
        assert state.totals.accounts[world.miners[1]].blocks == 1


def test_catch_up__chain_shorter_than_before__walked_back(world: World, tmp_path: Path) -> None:
    snapshot = world.chain.rpc("evm_snapshot")
    world.solved()
    site = indexed(world.site(tmp_path / "there"))
    world.chain.rpc("evm_revert", snapshot)
    site.indexer.catch_up()
    assert contents(site.path) == fresh(world, tmp_path / "anew")
    with site.snapshot() as state:
        assert state.totals.lanes["LearningChain"].height == 0
        assert not any(account.credited_wei for account in state.totals.accounts.values())


def test_catch_up__random_reorganisations__always_what_the_chain_says(world: World, tmp_path: Path) -> None:
    random_ = random.Random(1)
    first = world.chain.web3.eth.block_number
    world.chain.rpc("anvil_mine", 3)
    site = world.site(tmp_path / "there")
    for number in range(12):
        random_.choice((lambda: go_on(world), lambda: rounds.submit(world.chain), lambda: world.chain.pass_time(5)))()
        if random_.random() < 0.7:
            site.indexer.catch_up()
        depth = random_.randint(1, min(30, world.chain.web3.eth.block_number - first))
        world.chain.rpc("anvil_reorg", depth, [])
        site.indexer.catch_up()
        anew = world.site(tmp_path / f"anew-{number}")
        assert contents(site.path) == contents(indexed(anew).path)
        with site.snapshot() as ours, anew.snapshot() as theirs:
            assert ours.totals == theirs.totals
    assert site.indexer.progress.reorganised >= 8


def test_catch_up__changed_while_it_reads__nothing_of_both_chains_is_written(world: World, tmp_path: Path) -> None:
    world.solved()

    class Moving(Node):
        """The chain is reorganised between the headers and the logs of the first range."""

        has_moved = False

        def logs(self, addresses: Sequence[str], first: int, last: int) -> list[dict[str, Any]]:
            if not self.has_moved:
                self.has_moved = True
                world.chain.rpc("anvil_reorg", 5, [])
            return super().logs(addresses, first, last)

    site = world.site(tmp_path / "there")
    site.indexer.node = Moving(world.rpc_url)
    site.step()
    assert contents(site.path)["events"] == []
    site.indexer.catch_up()
    assert contents(site.path) == fresh(world, tmp_path / "anew")


@pytest.mark.slow
def test_catch_up__killed_at_any_statement__goes_on_where_it_was(world: World, tmp_path: Path) -> None:
    world.solved()
    world.deployment.save(tmp_path / "deployment.json")
    wanted = fresh(world, tmp_path / "whole")
    folder = tmp_path / "killed"
    folder.mkdir()
    # By its path: an installed package named `tests` hides this folder.
    killed = [sys.executable, str(Path(__file__).with_name("killed.py"))]
    command = [*killed, world.rpc_url, str(tmp_path / "deployment.json")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    for countdown in (1, 3, 30, 110, 190):
        ended = subprocess.run(
            [*command, str(folder), str(countdown)], env=environment, check=False, capture_output=True
        )
        assert ended.returncode == -signal.SIGKILL, ended.stderr
    last = subprocess.run(
        [*command, str(folder), "1000000"], env=environment, check=True, capture_output=True, text=True
    )
    assert int(last.stdout) > 0
    assert contents(world.site(folder).path) == wanted


def test_open_index__of_another_version__made_anew(world: World, tmp_path: Path) -> None:
    site = indexed(world.site(tmp_path))
    site.indexer.connection.execute("PRAGMA user_version = 1")
    site.close()
    again = world.site(tmp_path)
    assert contents(again.path)["events"] == []
    again.indexer.catch_up()
    assert contents(again.path)["events"]
    again.close()


def test_site__two_deployments__two_indexes(world: World, tmp_path: Path) -> None:
    other = World(world.rpc_url)
    other.solved()
    ours, theirs = indexed(world.site(tmp_path)), indexed(other.site(tmp_path))
    assert ours.path != theirs.path
    with ours.snapshot() as one, theirs.snapshot() as two:
        assert (one.totals.lanes["LearningChain"].height, two.totals.lanes["LearningChain"].height) == (0, 1)
