"""The leaderboard of a task: what is refused, then a round from its opening to the payments."""

import json
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from dataclient.leaderboard import Payment, Standing, _ranked, leaderboard, leaderboard_table, title
from dataclient.serve import Server
from dataclient.submit import read_orders
from pole.chain.structs import Phase, VerdictKind
from pole.chain.verdicts import Part, pack_verdict
from pole.errors import BadInput
from pole.node.context import RoleContext
from tests.unit.client_round import Hand, act, acted, commissioned, write_small_task
from tests.unit.local_nodes import ETHER, LocalNodes

ROOT = bytes(32)


@pytest.mark.parametrize("task", ["nothing", "0", "1000000", "-1"])
def test_leaderboard__unknown_task__says_what_there_is(client: RoleContext, task: str) -> None:
    with pytest.raises(BadInput, match=r"there is no task|no task '"):
        leaderboard(client, task)


def test_leaderboard__task_that_is_not_submitted__is_not_on_this_chain(client: RoleContext, tmp_path: Path) -> None:
    read_orders(client, [write_small_task(tmp_path)], is_new=False)
    with pytest.raises(BadInput, match="'small' is not on this chain"):
        leaderboard(client, "small")


def test_leaderboard__before_a_round__is_empty(client: RoleContext, tmp_path: Path) -> None:
    commissioned(client, tmp_path)
    found = leaderboard(client, "small")
    assert (found.round_id, found.standings) == (None, [])
    assert title(found) == f"Task {found.task_id}: waiting for a round; nothing was submitted yet"


def test_leaderboard__two_miners_one_silent__scores_and_payments_to_the_wei(
    client: RoleContext, hand: Hand, local_nodes: LocalNodes, tmp_path: Path
) -> None:
    commissioned(client, tmp_path, terms={"solutions_wanted": 2})
    silent = Hand(local_nodes.context("miner", "silent", local_nodes.funded()))
    hand.send("VerifierCommittee", "stake", value_wei=ETHER)
    opened = hand.open_round()
    server = Server(client)
    act(server)
    silent.commit()
    model = hand.commit(claimed_train_ppm=2)
    found = leaderboard(client, "small")
    assert (found.round_id, found.phase, [each.outcome for each in found.standings]) == (
        opened.round_id,
        "training",
        ["committed", "committed"],
    )
    acted(server, local_nodes, Phase.REVEAL)
    hand.reveal(model)
    local_nodes.pass_time(hand.current().deadline)
    acted(server, local_nodes, Phase.VOTING)
    assert [each.outcome for each in leaderboard(client, "small").standings] == ["not revealed", "revealed"]
    scored = (Part(VerdictKind.SCORED, 875_000, ROOT), Part(VerdictKind.SCORED, 750_000, ROOT))
    hand.vote(pack_verdict(*scored))
    for _ in range(12):
        if server.act() is None:
            break
        local_nodes.rpc("evm_mine")
    found = leaderboard(client, str(found.task_id))
    won, lost = found.standings
    parameters, winner_reward = (
        client.contracts.learning_chain.parameters(),
        client.contracts.block_ledger.parameters().winner_reward,
    )
    assert (won.place, won.miner, won.outcome) == (1, hand.context.address, "won")
    assert (won.claimed_train_ppm, won.train_ppm, won.test_ppm, won.model) == (2, 875_000, 750_000, str(model))
    assert won.payment.reward_wei == client.contracts.task_market.task(found.task_id).reward_wei
    assert (won.payment.bond_wei, won.payment.tokens) == (parameters.miner_bond_wei, winner_reward)
    assert (lost.place, lost.miner, lost.outcome, lost.model) == (None, silent.context.address, "not revealed", None)
    assert (lost.train_ppm, lost.test_ppm, vars(lost.payment)) == (None, None, dict.fromkeys(vars(lost.payment), 0))
    assert lost.committed_at_s <= won.committed_at_s <= client.chain.block_time()
    assert json.loads(json.dumps(found.document()))["standings"][0]["payment"]["reward_wei"] == won.payment.reward_wei
    console = Console(width=240, record=True, file=StringIO())
    console.print(leaderboard_table(found))
    shown = console.export_text()
    assert f"Task {found.task_id}, round {found.round_id}: finalised, 2 submission(s)" in shown
    assert "87.50 % │ 75.00 % │ won" in shown
    hand.send("VerifierCommittee", "requestUnstake")


def standing(miner: str, outcome: str, train_ppm: int | None, test_ppm: int | None) -> Standing:
    return Standing(None, miner, 0, 1, None, train_ppm, test_ppm, outcome, Payment(0, 0, 0))


def test_ranked__winner_first_then_by_test_score__the_earlier_among_equals_and_losers_last() -> None:
    found = _ranked(
        [
            standing("invalid", "invalid model", None, None),
            standing("early", "ommer", 900_000, 800_000),
            standing("late", "ommer", 900_000, 800_000),
            standing("better", "ommer", 850_000, 810_000),
            standing("winner", "won", 800_000, 810_000),
            standing("untested", "valid", 990_000, None),
        ]
    )
    assert [(each.place, each.miner) for each in found] == [
        (1, "winner"),
        (2, "better"),
        (3, "early"),
        (4, "late"),
        (5, "untested"),
        (None, "invalid"),
    ]
