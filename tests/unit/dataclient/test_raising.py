"""Raising a listed reward, with a real market."""

from pathlib import Path

import pytest

from dataclient.raising import raise_reward
from pole.chain.profiles import ETHER
from pole.chain.structs import TaskState
from pole.errors import BadInput, InsufficientFunds
from pole.node.context import RoleContext
from tests.unit.client_round import Hand, commissioned
from tests.unit.local_nodes import LocalNodes


@pytest.mark.parametrize(
    ("reward", "message"),
    [
        ("a lot", "reward: 'a lot' is not an amount of ether"),
        ("0", "reward: "),
        ("1", "pays 1 ether already; name a reward above that"),
        ("0.5", "pays 1 ether already; name a reward above that"),
    ],
)
def test_raise_reward__no_higher_amount__is_refused(
    client: RoleContext, tmp_path: Path, reward: str, message: str
) -> None:
    home = commissioned(client, tmp_path)
    with pytest.raises(BadInput, match=message):
        raise_reward(client, home, reward)


def test_raise_reward__more_than_the_account_has__is_refused_before_it_is_sent(
    client: RoleContext, tmp_path: Path
) -> None:
    home = commissioned(client, tmp_path)
    with pytest.raises(InsufficientFunds, match="raising the reward takes"):
        raise_reward(client, home, "1000000")
    assert client.journal.transactions.newest(f"raise/1/{1_000_000 * ETHER}") is None


def test_raise_reward__pending__pays_the_difference_and_its_fee(client: RoleContext, tmp_path: Path) -> None:
    home = commissioned(client, tmp_path)
    submitted = home.submitted()
    assert submitted is not None
    before = client.contracts.task_market.task(submitted.task_id)
    added = raise_reward(client, home, "1.9")
    task = client.contracts.task_market.task(submitted.task_id)
    assert (task.reward_wei, task.state) == (19 * ETHER // 10, TaskState.PENDING)
    assert (added.reward_wei, added.verifier_fee_wei) == (9 * ETHER // 10, ETHER // 10)
    assert task.verifier_fee_wei == before.verifier_fee_wei + ETHER // 10
    assert client.contracts.task_market.most_valuable() == submitted.task_id


def test_raise_reward__in_a_round__is_refused(
    client: RoleContext, hand: Hand, local_nodes: LocalNodes, tmp_path: Path
) -> None:
    home = commissioned(client, tmp_path)
    hand.open_round()
    with pytest.raises(BadInput, match="is in round, no longer pending"):
        raise_reward(client, home, "2")
