"""Submitting on a real chain: refusals before anything is spent, and exactly one payment however often it dies."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from dataclient.prepare import prepare
from dataclient.serve import Server
from dataclient.submit import read_orders, submit
from dataclient.task_folder import Submitted, find_task_home
from pole.chain.client import ChainClient
from pole.chain.commitments import test_set_commitment
from pole.chain.structs import TaskState
from pole.errors import BadInput, InsufficientFunds
from pole.node.context import RoleContext
from pole.storage.folder import FolderStore
from tests.unit.client_round import BOND_WEI, FEE_WEI, Killed, act, commissioned, write_small_task
from tests.unit.local_nodes import ETHER, LocalNodes


def balance_wei(client: RoleContext) -> int:
    return client.chain.balance_wei(client.address)


# --- submit: refusals ---


@pytest.mark.parametrize(
    ("terms", "message"),
    [
        ({"reward_ether": "0.001"}, r"reward 0\.001 ether is under the market's minimum of 0\.01"),
        ({"time_limit_s": 3601}, "time limit 3601 s is over the market's maximum of 3600 s"),
    ],
)
def test_read_orders__terms_the_market_refuses__stop_all_tasks(
    client: RoleContext, tmp_path: Path, terms: dict[str, Any], message: str
) -> None:
    good, bad = write_small_task(tmp_path, "good"), write_small_task(tmp_path, "bad", terms=terms)
    before = client.contracts.task_market.task_count()
    with pytest.raises(BadInput, match=message):
        read_orders(client, [good, bad], is_new=False)
    assert client.contracts.task_market.task_count() == before
    assert not (client.home / "tasks" / "good").exists()


def test_read_orders__poor_account__is_refused_before_anything_is_encrypted(
    local_nodes: LocalNodes, tmp_path: Path
) -> None:
    poor = local_nodes.context("dataclient", tmp_path.name, local_nodes.funded(2 * ETHER))
    files = [write_small_task(tmp_path, "one"), write_small_task(tmp_path, "two")]
    with pytest.raises(InsufficientFunds, match=r"has 2 ether, but 2 task\(s\) need 2\.42"):
        read_orders(poor, files, is_new=False)
    assert not find_task_home(poor.home, "one").master_key.exists()


def test_read_orders__two_tasks_of_one_name__are_refused(client: RoleContext, tmp_path: Path) -> None:
    path = write_small_task(tmp_path)
    with pytest.raises(BadInput, match="several of the task files are named small"):
        read_orders(client, [path, path], is_new=False)


def test_read_orders__task_of_another_chain__asks_for_again(client: RoleContext, tmp_path: Path) -> None:
    path = write_small_task(tmp_path)
    [order] = read_orders(client, [path], is_new=False)
    order.home.keep_submitted(Submitted(task_id=1, deployment="elsewhere", client="0x"))
    with pytest.raises(BadInput, match=r"on another chain or deployment \(elsewhere\); say --again"):
        read_orders(client, [path], is_new=False)
    [anew] = read_orders(client, [path], is_new=True)
    assert (anew.home.name, anew.submitted) == ("small~2", None)


def test_submit__prepared_with_another_store__is_refused_unpaid(client: RoleContext, tmp_path: Path) -> None:
    [order] = read_orders(client, [write_small_task(tmp_path)], is_new=False)
    elsewhere = dataclasses.replace(client, store=FolderStore(tmp_path / "else"))
    before_wei = balance_wei(client)
    prepare(order.task, order.home, elsewhere.store)
    with pytest.raises(BadInput, match="was prepared with another store"):
        submit(client, order)
    assert balance_wei(client) == before_wei


# --- submit: exactly once ---


def test_submit__escrows_reward_fee_and_bond_once(client: RoleContext, tmp_path: Path) -> None:
    home = commissioned(client, tmp_path)
    paid_wei = 100 * ETHER - balance_wei(client)
    submitted, prepared = home.submitted(), home.prepared()
    assert submitted is not None
    assert prepared is not None
    task = client.contracts.task_market.task(submitted.task_id)
    assert (task.client, task.state) == (client.address, TaskState.PENDING)
    assert task.reward_wei == ETHER
    assert task.verifier_fee_wei == FEE_WEI
    assert task.bond_wei == BOND_WEI
    assert task.terms.test_set_commitment == test_set_commitment(
        client.chain.deployment.chain_id,
        client.chain.deployment.address("TaskMarket"),
        client.address,
        prepared.test_set_cid,
        prepared.salt_bytes,
    )
    gas_wei = paid_wei - task.reward_wei - task.verifier_fee_wei - task.bond_wei
    assert 0 < gas_wei < ETHER // 100
    count, left_wei = client.contracts.task_market.task_count(), balance_wei(client)
    assert commissioned(client, tmp_path) == home
    assert (client.contracts.task_market.task_count(), balance_wei(client)) == (count, left_wei)


@pytest.mark.parametrize("finisher", ["submit", "serve"])
def test_submit__killed_after_paying__is_finished_without_paying_again(
    client: RoleContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, finisher: str
) -> None:
    def killed(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(ChainClient, "events_of", killed)
        with pytest.raises(Killed):
            commissioned(client, tmp_path)
    count, left_wei = client.contracts.task_market.task_count(), balance_wei(client)
    assert left_wei < 99 * ETHER
    if finisher == "submit":
        home = commissioned(client, tmp_path)
    else:
        act(Server(client))
        home = find_task_home(client.home, "small")
    submitted = home.submitted()
    assert submitted is not None
    assert submitted.task_id == count
    assert (client.contracts.task_market.task_count(), balance_wei(client)) == (count, left_wei)
