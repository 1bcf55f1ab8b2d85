"""A verifier's owner is told what was slashed and why, and that the seat is gone: once, also through a restart."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from eth_account.signers.local import LocalAccount

from pole.chain.structs import Phase
from pole.node.context import RoleContext
from pole.node.notify.notices import NOBODY
from tests.unit.commission import commission_digits
from tests.unit.heard import Heard
from tests.unit.local_nodes import ETHER, LocalChain, LocalNodes, round_of, start_local_nodes, until_phase
from verifier.stakewatch import StakeWatch


@pytest.fixture
def local_nodes(digits_chain: LocalChain, tmp_path: Path) -> Iterator[LocalNodes]:
    with start_local_nodes(digits_chain, tmp_path, commission_digits(tmp_path / "store")) as taken:
        yield taken


def seated(local_nodes: LocalNodes, account: LocalAccount) -> RoleContext:
    context = local_nodes.context("verifier", account.address, account)
    context.contracts.verifier_committee.stake(2 * ETHER, key="stake")
    return context


def listening(context: RoleContext) -> tuple[StakeWatch, Heard]:
    heard = Heard()
    return StakeWatch(replace(context, notices=heard), context.address), heard


def test_look__vote_missed__told_by_how_much_and_why_once(local_nodes: LocalNodes) -> None:
    account = local_nodes.funded()
    context, miner = seated(local_nodes, account), local_nodes.miner(local_nodes.funded())
    watch, heard = listening(context)
    watch.look()
    assert (watch.is_seated, heard.told) == (True, {})
    until_phase([miner], Phase.VOTING)
    ballot = context.contracts.verifier_committee.ballot(round_of(miner).ballot_id)
    local_nodes.pass_time(ballot.deadline - context.chain.block_time() + 1)
    context.contracts.verifier_committee.advance(ballot.ballot_id, key="advance")
    watch.look()
    stake_wei = context.contracts.verifier_committee.verifier(account.address).stake_wei
    assert stake_wei < 2 * ETHER
    [(key, text)] = heard.told.items()
    lost = f"{(2 * ETHER - stake_wei) / ETHER:g}"
    assert key == f"slashed/{ballot.ballot_id}/0"
    assert text == (
        f"slashed by {lost} ether on ballot {ballot.ballot_id}: no vote was committed in time; the stake is "
        f"{stake_wei / ETHER:g} ether now"
    )
    again, heard_again = listening(context)
    again.look()
    assert heard_again.told == {}


def test_look__seat_given_up__told_without_a_word_of_penalties(local_nodes: LocalNodes) -> None:
    account = local_nodes.funded()
    context = seated(local_nodes, account)
    watch, heard = listening(context)
    watch.look()
    context.contracts.verifier_committee.request_unstake(key="leave")
    watch.look()
    assert list(heard.told.values()) == ["the seat in the committee is lost: it was given up"]
    assert not watch.is_seated


def test_look__nobody_to_tell__asks_and_remembers_nothing(local_nodes: LocalNodes) -> None:
    context = seated(local_nodes, local_nodes.funded())
    watch = StakeWatch(replace(context, notices=NOBODY), context.address)
    watch.look()
    assert context.journal.facts("stake-watch") == {}
