"""Serving rounds on a real chain, step by step; the client dies wherever it can."""

from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from dataclient.serve import NOTHING_OPEN, ClientNode, Server
from dataclient.task_folder import Issued, TaskHome
from pole.chain.contracts import LearningChain
from pole.chain.structs import AbortReason, Phase, TaskState
from pole.errors import StoreError
from pole.learning.functional_keys import issued_rank
from pole.learning.round_files import fetch_manifest
from pole.node.context import RoleContext
from pole.storage.cid import Cid
from pole.storage.folder import FolderStore
from pole.task.manifest import InnerProductEncryption
from tests.unit.client_round import BOND_WEI, FEE_WEI, Hand, Killed, act, acted, commissioned
from tests.unit.local_nodes import ETHER, LocalNodes

PLAIN: dict[str, Any] = {"scheme": "none", "rank_limit": None, "encrypt_test_set": False}


def test_act__no_task__waits_for_one(context: RoleContext) -> None:
    node = ClientNode(context)
    assert node.act() == NOTHING_OPEN
    assert node.is_idle


def test_act__round_opens__publishes_keys_that_fit_and_nothing_of_the_test_set(
    client: RoleContext, hand: Hand, tmp_path: Path
) -> None:
    home = commissioned(client, tmp_path)
    server = Server(client)
    assert act(server).what == "a round for small to open"
    opened = hand.open_round()
    waiting = act(server)
    current = hand.current()
    assert current.phase is Phase.TRAINING
    assert waiting.what == "miners of small (0 qualified)"
    assert home.issued().previous_hashes == [opened.previous_hash.hex()]
    assert hand.features().train_x.shape == (18, 2)
    prepared = home.prepared()
    assert prepared is not None
    assert not client.store.has(prepared.test_set_cid)


def test_act__killed_before_the_keys_are_sent__issues_the_same_keys(
    client: RoleContext, hand: Hand, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = commissioned(client, tmp_path)
    hand.open_round()
    published: list[object] = []

    def killed(self: LearningChain, round_id: int, previous_hash: bytes, keys: object) -> None:
        published.append(keys)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(LearningChain, "publish_keys", killed)
        with pytest.raises(Killed):
            Server(client).act()
    act(Server(client))
    assert hand.current().keys == published[0]
    assert len(home.issued().previous_hashes) == 1


def exhausting(client: RoleContext, home: TaskHome, next_hash: bytes) -> str:
    """A previous hash whose keys and those on `next_hash` are together over the task's rank limit, for any next one."""
    prepared = home.prepared()
    assert prepared is not None
    manifest = fetch_manifest(client.store, Cid.parse(prepared.manifest))
    assert isinstance(manifest.encryption, InnerProductEncryption)
    limit = manifest.encryption.rank_limit
    hashes = (bytes([number]) * 32 for number in range(256))
    return next(past for past in hashes if issued_rank(manifest, [past, next_hash]) > limit).hex()


def test_act__keys_over_the_rank_limit__are_refused_and_the_round_ends_without(
    client: RoleContext, hand: Hand, local_nodes: LocalNodes, tmp_path: Path
) -> None:
    home = commissioned(client, tmp_path)
    past = exhausting(client, home, client.contracts.block_ledger.header_hash(client.contracts.block_ledger.height()))
    home.keep_issued(Issued(previous_hashes=[past]))
    opened = hand.open_round()
    server = Server(client)
    assert "no keys were issued" in act(server).what
    assert home.issued().previous_hashes == [past]
    local_nodes.pass_time(opened.deadline - client.chain.block_time())
    client.chain.spending.take()  # what the task itself cost
    with capture_logs() as logs:
        for _ in range(12):
            if server.act() is None:
                break
            local_nodes.rpc("evm_mine")
        server.act()
    assert hand.current().abort_reason is AbortReason.KEYS_MISSING
    [cost] = [entry for entry in logs if "it cost me" in entry["event"]]
    assert cost["event"].startswith(f"round {opened.round_id} of small has ended; it cost me 1 transaction, ")
    assert cost["gas"] > 21_000
    submitted = home.submitted()
    assert submitted is not None
    assert client.contracts.task_market.task(submitted.task_id).state is TaskState.REFUNDED
    # Nobody was seated to wait for the client, so it loses nothing.
    assert client.contracts.reward_reservoir.credit_wei(client.address) == ETHER + FEE_WEI + BOND_WEI


def test_act__unencrypted_task__starts_the_clock_with_the_manifest(
    client: RoleContext, hand: Hand, tmp_path: Path
) -> None:
    home = commissioned(client, tmp_path, encryption=PLAIN)
    hand.open_round()
    act(Server(client))
    prepared = home.prepared()
    assert prepared is not None
    assert (hand.current().phase, hand.current().keys) == (Phase.TRAINING, prepared.manifest_cid)
    assert hand.features().train_x.shape == (18, 2)


def test_act__full_disk__is_waited_for(
    client: RoleContext, hand: Hand, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise StoreError("no space left")

    commissioned(client, tmp_path)
    hand.open_round()
    server = Server(client)
    with monkeypatch.context() as patch:
        patch.setattr(FolderStore, "put", full)
        assert act(server).what == "the content store to work again (no space left)"
    act(server)
    assert hand.current().phase is Phase.TRAINING


def test_act__commits_closed__releases_the_test_set_in_a_later_block_and_then_publishes_it(
    client: RoleContext, hand: Hand, local_nodes: LocalNodes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = commissioned(client, tmp_path)
    prepared = home.prepared()
    assert prepared is not None
    hand.send("VerifierCommittee", "stake", value_wei=ETHER)
    hand.open_round()
    server = Server(client)
    act(server)
    hand.commit()
    assert not client.store.has(prepared.test_set_cid)

    def killed(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(FolderStore, "put_file", killed)
        with pytest.raises(Killed):
            acted(server, local_nodes, Phase.REVEAL)
    current = hand.current()
    assert current.is_test_set_released
    assert current.test_set == prepared.test_set_cid
    assert not client.store.has(prepared.test_set_cid)
    [released] = client.chain.logs("LearningChain", "TestSetReleased", roundId=current.round_id)
    released_at = client.chain.web3.eth.get_block(released.block_number)["timestamp"]
    assert released_at > current.commits_closed_at
    assert act(Server(client)).what == "miners of small to reveal (0 of 1)"
    assert client.store.get(prepared.test_set_cid, 1 << 20) == home.test_set.read_bytes()
    hand.send("VerifierCommittee", "requestUnstake")
