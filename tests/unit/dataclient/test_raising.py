"""Raising a listed reward, with a real market."""

from pathlib import Path

import pytest

from dataclient.raising import raise_reward
from pole.chain.profiles import ETHER
from pole.chain.sender import Sender
from pole.chain.structs import TaskState
from pole.errors import BadInput, InsufficientFunds
from pole.node.context import RoleContext
from tests.unit.client_round import Hand, Killed, commissioned
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
    submitted = home.submitted()
    assert submitted is not None
    task = client.contracts.task_market.task(submitted.task_id)
    with pytest.raises(InsufficientFunds, match=r"TaskMarket\.raiseReward pays 1111110 ether, but account"):
        raise_reward(client, home, "1000000")
    assert client.journal.transactions.newest(f"raise/{task.task_id}/from/{task.reward_wei}") is None


def test_raise_reward__pending__pays_the_difference_and_its_fee(client: RoleContext, tmp_path: Path) -> None:
    home = commissioned(client, tmp_path)
    submitted = home.submitted()
    assert submitted is not None
    before = client.contracts.task_market.task(submitted.task_id)
    task = raise_reward(client, home, "1.9")
    assert task == client.contracts.task_market.task(submitted.task_id)
    assert (task.reward_wei, task.state) == (19 * ETHER // 10, TaskState.PENDING)
    assert task.verifier_fee_wei == before.verifier_fee_wei + ETHER // 10
    assert client.contracts.task_market.most_valuable() == submitted.task_id


def test_raise_reward__killed_before_it_was_mined__is_not_paid_again_for_another_amount(
    client: RoleContext, local_nodes: LocalNodes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What lies in the node's pool raises the reward by itself: an amount on top of it would be paid for nothing."""
    home = commissioned(client, tmp_path)

    def killed(*_: object) -> None:
        raise Killed

    local_nodes.rpc("evm_setAutomine", False)
    with monkeypatch.context() as patch:
        patch.setattr(Sender, "_await_receipt", killed)
        with pytest.raises(Killed):
            raise_reward(client, home, "3")
    with monkeypatch.context() as patch:  # said again for less, it waits for what is in the pool
        patch.setattr(Sender, "_await_receipt", killed)
        with pytest.raises(Killed):
            raise_reward(client, home, "2")
    local_nodes.rpc("evm_setAutomine", True)
    local_nodes.rpc("evm_mine")
    submitted = home.submitted()
    assert submitted is not None
    assert client.contracts.task_market.task(submitted.task_id).reward_wei == 3 * ETHER
    with pytest.raises(BadInput, match="pays 3 ether already"):
        raise_reward(client, home, "2")


def test_raise_reward__in_a_round__is_refused(
    client: RoleContext, hand: Hand, local_nodes: LocalNodes, tmp_path: Path
) -> None:
    home = commissioned(client, tmp_path)
    hand.open_round()
    with pytest.raises(BadInput, match="is in round, no longer pending"):
        raise_reward(client, home, "2")
