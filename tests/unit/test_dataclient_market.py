"""Submitting, serving and collecting on a real chain, step by step; the client dies wherever it can."""

from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from structlog.testing import capture_logs

from dataclient.bundle import read_bundle
from dataclient.client import Client, client_of
from dataclient.collect import fetch_model
from dataclient.node import NOTHING_OPEN, ClientNode
from dataclient.prepare import prepare
from dataclient.serve import Server, served_tasks
from dataclient.status import status_table
from dataclient.submit import read_orders, submit
from dataclient.taskhome import Issued, Submitted, TaskHome, find_task_home
from pole.cid import Cid
from pole.cli import RoleContext
from pole.commitments import test_set_commitment
from pole.errors import BadInput, InsufficientFunds, PoleError, StoreError
from pole.evaluation import score_ppm
from pole.gateway import Gateway
from pole.money import wei_to_ether
from pole.node import Waiting
from pole.records import AbortReason, Phase, TaskState, Verdict
from pole.store import DirectoryStore
from tests.unit.commission import commission_iris
from tests.unit.errand import Hand, write_small_task
from tests.unit.seats import ETHER, Seats, taken_seats

BOND_WEI = ETHER // 10
PLAIN: dict[str, Any] = {"scheme": "none", "rank_limit": None, "encrypt_test_set": False}


class Killed(BaseException):
    """Stands for SIGKILL: nothing on the way may handle it."""


@pytest.fixture(scope="module")
def seats(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seats]:
    folder = tmp_path_factory.mktemp("seats")
    with taken_seats(folder, commission_iris(folder / "store")) as taken:
        yield taken


@pytest.fixture
def context(seats: Seats, tmp_path: Path) -> RoleContext:
    """A new client with 100 ether and a home of its own."""
    return seats.context("dataclient", tmp_path.name, seats.funded())


@pytest.fixture
def client(context: RoleContext) -> Iterator[Client]:
    """Its tasks that are still on the list leave it after the test: the next one's must be the most valuable."""
    made = client_of(context)
    yield made
    for served in served_tasks(made):
        if served.task.state is TaskState.PENDING:
            made.gateway.transact(
                made.journal, f"end/{served.task.task_id}", "TaskMarket", "cancel", served.task.task_id
            )


@pytest.fixture
def hand(client: Client, seats: Seats, tmp_path: Path) -> Iterator[Hand]:
    """A miner by hand; a round that a test leaves open is ended after it."""
    played = Hand(seats.context("miner", f"{tmp_path.name}-miner", seats.funded()))
    yield played
    for _ in range(8):
        if played.context.ledger.current_round() is None:
            return
        seats.pass_time(120)
        current = played.current()
        if current.phase is Phase.VOTING:
            played.send("VerifierCommittee", "advance", current.ballot_id)
        if played.context.ledger.is_round_due(current.round_id):
            played.send("LearningChain", "advance", current.round_id)


def commissioned(client: Client, folder: Path, name: str = "small", **changes: dict[str, Any]) -> TaskHome:
    """A task that is on the market."""
    [order] = read_orders(client, [write_small_task(folder, name, **changes)], is_new=False)
    submit(client, order)
    return order.home


def balance_wei(client: Client) -> int:
    return client.gateway.balance_wei(client.gateway.address)


def act(server: Server) -> Waiting:
    waiting = server.act()
    assert waiting is not None
    return waiting


def acted(server: Server, seats: Seats, phase: Phase) -> Waiting:
    """Acts, a block at a time, until the round is in a phase."""
    for _ in range(10):
        waiting = act(server)
        latest = server._client.ledger.latest_round()
        if latest is not None and latest.phase is phase:
            return waiting
        seats.rpc("evm_mine")
    raise AssertionError(f"not in {phase.name}: {latest}")


# --- submit: refusals ---


@pytest.mark.parametrize(
    ("terms", "message"),
    [
        ({"reward_ether": "0.001"}, r"reward 0\.001 ether is under the market's minimum of 0\.01"),
        ({"time_limit_s": 3601}, "time limit 3601 s is over the market's maximum of 3600 s"),
    ],
)
def test_read_orders__terms_the_market_refuses__stop_all_tasks(
    client: Client, tmp_path: Path, terms: dict[str, Any], message: str
) -> None:
    good, bad = write_small_task(tmp_path, "good"), write_small_task(tmp_path, "bad", terms=terms)
    before = client.ledger.task_count()
    with pytest.raises(BadInput, match=message):
        read_orders(client, [good, bad], is_new=False)
    assert client.ledger.task_count() == before
    assert not (client.home / "tasks" / "good").exists()


def test_read_orders__poor_account__is_refused_before_anything_is_encrypted(seats: Seats, tmp_path: Path) -> None:
    poor = client_of(seats.context("dataclient", tmp_path.name, seats.funded(2 * ETHER)))
    files = [write_small_task(tmp_path, "one"), write_small_task(tmp_path, "two")]
    with pytest.raises(InsufficientFunds, match=r"has 2 ether, but 2 task\(s\) need 2\.42"):
        read_orders(poor, files, is_new=False)
    assert not find_task_home(poor.home, "one").master_key.exists()


def test_read_orders__two_tasks_of_one_name__are_refused(client: Client, tmp_path: Path) -> None:
    path = write_small_task(tmp_path)
    with pytest.raises(BadInput, match="several of the task files are named small"):
        read_orders(client, [path, path], is_new=False)


def test_read_orders__task_of_another_chain__asks_for_again(client: Client, tmp_path: Path) -> None:
    path = write_small_task(tmp_path)
    [order] = read_orders(client, [path], is_new=False)
    order.home.keep_submitted(Submitted(task_id=1, deployment="elsewhere", client="0x"))
    with pytest.raises(BadInput, match=r"on another chain or deployment \(elsewhere\); say --again"):
        read_orders(client, [path], is_new=False)
    [anew] = read_orders(client, [path], is_new=True)
    assert (anew.home.name, anew.submitted) == ("small~2", None)


def test_submit__prepared_with_another_store__is_refused_unpaid(client: Client, tmp_path: Path) -> None:
    [order] = read_orders(client, [write_small_task(tmp_path)], is_new=False)
    elsewhere = Client(client.gateway, client.ledger, client.journal, DirectoryStore(tmp_path / "else"), client.home)
    before_wei = balance_wei(client)
    prepare(order.task, order.home, elsewhere.store)
    with pytest.raises(BadInput, match="was prepared with another store"):
        submit(client, order)
    assert balance_wei(client) == before_wei


# --- submit: exactly once ---


def test_submit__escrows_reward_fee_and_bond_once(client: Client, tmp_path: Path) -> None:
    home = commissioned(client, tmp_path)
    paid_wei = 100 * ETHER - balance_wei(client)
    submitted, prepared = home.submitted(), home.prepared()
    assert submitted is not None
    assert prepared is not None
    task = client.ledger.task(submitted.task_id)
    assert (task.client, task.state) == (client.gateway.address, TaskState.PENDING)
    assert task.reward_wei == ETHER
    assert task.verifier_fee_wei == -(-ETHER // 9)  # a tenth of what reward and fee are together, rounded up
    assert task.bond_wei == BOND_WEI
    assert task.terms.test_set_commitment == test_set_commitment(
        client.gateway.deployment.chain_id,
        client.gateway.deployment.address("TaskMarket"),
        client.gateway.address,
        prepared.test_set_cid,
        prepared.salt_bytes,
    )
    gas_wei = paid_wei - task.reward_wei - task.verifier_fee_wei - task.bond_wei
    assert 0 < gas_wei < ETHER // 100
    count, left_wei = client.ledger.task_count(), balance_wei(client)
    assert commissioned(client, tmp_path) == home
    assert (client.ledger.task_count(), balance_wei(client)) == (count, left_wei)


@pytest.mark.parametrize("finisher", ["submit", "serve"])
def test_submit__killed_after_paying__is_finished_without_paying_again(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, finisher: str
) -> None:
    def killed(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Gateway, "events_of", killed)
        with pytest.raises(Killed):
            commissioned(client, tmp_path)
    count, left_wei = client.ledger.task_count(), balance_wei(client)
    assert left_wei < 99 * ETHER
    if finisher == "submit":
        home = commissioned(client, tmp_path)
    else:
        act(Server(client))
        home = find_task_home(client.home, "small")
    submitted = home.submitted()
    assert submitted is not None
    assert submitted.task_id == count
    assert (client.ledger.task_count(), balance_wei(client)) == (count, left_wei)


# --- serve ---


def test_act__no_task__waits_for_one(context: RoleContext) -> None:
    node = ClientNode(context)
    assert node.act() == NOTHING_OPEN
    assert node.is_idle


def test_act__round_opens__publishes_keys_that_fit_and_nothing_of_the_test_set(
    client: Client, hand: Hand, tmp_path: Path
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
    client: Client, hand: Hand, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = commissioned(client, tmp_path)
    hand.open_round()
    published: list[object] = []

    def killed(self: Gateway, journal: object, key: str, contract: str, function: str, *arguments: object) -> None:
        published.append(arguments[1])
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Gateway, "transact", killed)
        with pytest.raises(Killed):
            Server(client).act()
    act(Server(client))
    assert hand.current().keys == published[0]
    assert len(home.issued().previous_hashes) == 1


def test_act__keys_over_the_rank_limit__are_refused_and_the_round_ends_without(
    client: Client, hand: Hand, seats: Seats, tmp_path: Path
) -> None:
    home = commissioned(client, tmp_path)
    home.keep_issued(Issued(previous_hashes=["0f" * 32]))
    opened = hand.open_round()
    server = Server(client)
    assert "no keys were issued" in act(server).what
    assert home.issued().previous_hashes == ["0f" * 32]
    seats.pass_time(opened.deadline - client.gateway.block_time())
    for _ in range(4):
        if server.act() is None:
            break
        seats.rpc("evm_mine")
    assert hand.current().abort_reason is AbortReason.KEYS_MISSING
    submitted = home.submitted()
    assert submitted is not None
    assert client.ledger.task(submitted.task_id).state is TaskState.REFUNDED
    assert client.ledger.credit_wei(client.gateway.address) == ETHER + -(-ETHER // 9)


def relisted(server: Server, hand: Hand, seats: Seats) -> None:
    """Nobody commits: the round of the only task goes through training and overtime, and the task is on the list."""
    for phase in (Phase.OVERTIME, Phase.ABORTED):
        seats.pass_time(hand.current().deadline - hand.context.gateway.block_time())
        acted(server, seats, phase)


def test_act__task_comes_back_at_the_same_height__gets_the_same_keys(
    client: Client, hand: Hand, seats: Seats, tmp_path: Path
) -> None:
    home = commissioned(client, tmp_path)
    server = Server(client)
    hand.open_round()
    act(server)
    first = hand.current().keys
    relisted(server, hand, seats)
    with capture_logs() as logs:
        assert act(server).what == "a round for small to open"
    assert not any("refused" in entry["event"] for entry in logs)
    hand.open_round()
    act(server)
    assert (hand.current().phase, hand.current().keys) == (Phase.TRAINING, first)
    assert len(home.issued().previous_hashes) == 1


def test_act__task_comes_back_over_its_rank_limit__says_to_cancel_it(
    client: Client, hand: Hand, seats: Seats, tmp_path: Path
) -> None:
    home = commissioned(client, tmp_path)
    server = Server(client)
    hand.open_round()
    act(server)
    home.keep_issued(Issued(previous_hashes=["0f" * 32]))
    relisted(server, hand, seats)
    with capture_logs() as logs:
        act(server)
        act(server)
    [warning] = [entry for entry in logs if "refused" in entry["event"]]
    assert warning["event"].endswith("over the limit of 2; cancel the task")


def test_act__unencrypted_task__starts_the_clock_with_the_manifest(client: Client, hand: Hand, tmp_path: Path) -> None:
    home = commissioned(client, tmp_path, encryption=PLAIN)
    hand.open_round()
    act(Server(client))
    prepared = home.prepared()
    assert prepared is not None
    assert (hand.current().phase, hand.current().keys) == (Phase.TRAINING, prepared.manifest_cid)
    assert hand.features().train_x.shape == (18, 2)


def test_act__full_disk__is_waited_for(
    client: Client, hand: Hand, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise StoreError("no space left")

    commissioned(client, tmp_path)
    hand.open_round()
    server = Server(client)
    with monkeypatch.context() as patch:
        patch.setattr(DirectoryStore, "put", full)
        assert act(server).what == "the content store to work again (no space left)"
    act(server)
    assert hand.current().phase is Phase.TRAINING


def test_act__commits_closed__releases_the_test_set_in_a_later_block_and_then_publishes_it(
    client: Client, hand: Hand, seats: Seats, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = commissioned(client, tmp_path)
    prepared = home.prepared()
    assert prepared is not None
    hand.open_round()
    server = Server(client)
    act(server)
    hand.commit()
    assert not client.store.has(prepared.test_set_cid)

    def killed(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(DirectoryStore, "put_file", killed)
        with pytest.raises(Killed):
            acted(server, seats, Phase.REVEAL)
    current = hand.current()
    assert current.is_test_set_released
    assert current.test_set == prepared.test_set_cid
    assert not client.store.has(prepared.test_set_cid)
    [released] = client.gateway.logs("LearningChain", "TestSetReleased", roundId=current.round_id)
    released_at = client.gateway.web3.eth.get_block(released.block_number)["timestamp"]
    assert released_at > current.commits_closed_at
    assert act(Server(client)).what == "miners of small to reveal (0 of 1)"
    assert client.store.get(prepared.test_set_cid, 1 << 20) == home.test_set.read_bytes()


# --- collect ---


def test_fetch_model__task_not_submitted__says_so(client: Client, tmp_path: Path) -> None:
    [order] = read_orders(client, [write_small_task(tmp_path)], is_new=False)
    with pytest.raises(BadInput, match="'small' is not on the market yet"):
        fetch_model(client, order.home, tmp_path / "model")


def test_fetch_model__pending_then_cancelled__says_what_to_do(
    client: Client, context: RoleContext, tmp_path: Path
) -> None:
    home = commissioned(client, tmp_path)
    with pytest.raises(BadInput, match="waiting for a round; keep `serve` running"):
        fetch_model(client, home, tmp_path / "model")
    submitted = home.submitted()
    assert submitted is not None
    client.gateway.transact(client.journal, "cancel", "TaskMarket", "cancel", submitted.task_id)
    with pytest.raises(BadInput, match="it was cancelled; collect the money with `withdraw`"):
        fetch_model(client, home, tmp_path / "model")
    assert ClientNode(context).act() == NOTHING_OPEN


def solved(client: Client, hand: Hand, seats: Seats, home: TaskHome) -> tuple[Cid, Verdict]:
    """Plays a round of the client's only task to its block; the verdict is what a node measures."""
    hand.send("VerifierCommittee", "stake", value_wei=ETHER)
    hand.open_round()
    server = Server(client)
    act(server)
    model_cid = hand.commit()
    acted(server, seats, Phase.REVEAL)
    hand.reveal(model_cid)
    acted(server, seats, Phase.VOTING)
    features = hand.features(hand.current().test_set)
    model = hand.model(client.store.get(model_cid, 1 << 20))
    assert features.test_x is not None
    assert features.test_y is not None
    verdict = Verdict(
        True,
        score_ppm(model, features.train_x, features.train_y, "accuracy"),
        score_ppm(model, features.test_x, features.test_y, "accuracy"),
    )
    hand.vote(verdict)
    for _ in range(6):
        if server.act() is None:
            break
        seats.rpc("evm_mine")
    hand.send("VerifierCommittee", "requestUnstake")
    return model_cid, verdict


def test_fetch_model__solved__scores_as_the_verifiers_did_and_predicts(
    client: Client, hand: Hand, seats: Seats, tmp_path: Path
) -> None:
    home = commissioned(client, tmp_path)
    model_cid, verdict = solved(client, hand, seats, home)
    bundle = fetch_model(client, home, tmp_path / "model")
    assert bundle.description.model == str(model_cid)
    assert (bundle.description.own_train_ppm, bundle.description.own_test_ppm) == (verdict.train_ppm, verdict.test_ppm)
    assert bundle.description.origin.voted_test_ppm == verdict.test_ppm
    assert bundle.description.origin.winner == hand.context.gateway.address
    assert read_bundle(tmp_path / "model") == bundle
    assert fetch_model(client, home, tmp_path / "model") == bundle
    assert client.ledger.credit_wei(client.gateway.address) == BOND_WEI


def test_fetch_model__task_of_another_chain__is_refused(client: Client, tmp_path: Path) -> None:
    [order] = read_orders(client, [write_small_task(tmp_path)], is_new=False)
    order.home.keep_submitted(Submitted(task_id=1, deployment="elsewhere", client="0x"))
    with pytest.raises(PoleError, match="is on another chain"):
        fetch_model(client, order.home, tmp_path / "model")


# --- status ---


def shown(client: Client) -> str:
    console = Console(width=240, record=True, file=StringIO())
    console.print(status_table(client))
    return " ".join(console.export_text().split())


def test_status_table__says_what_is_awaited_until_when_and_what_leaked(
    client: Client, hand: Hand, tmp_path: Path
) -> None:
    home = commissioned(client, tmp_path)
    submitted = home.submitted()
    assert submitted is not None
    held = f"{wei_to_ether(ETHER + -(-ETHER // 9) + BOND_WEI)} │ rank 0 of at most 2"
    assert f"small │ {submitted.task_id} │ pending │ - │ a round to open │ - │ {held}" in shown(client)
    opened = hand.open_round()
    act(Server(client))
    left_s = hand.current().deadline - client.gateway.block_time()
    assert (
        f"in round │ {opened.round_id}: training │ miners of small (0 qualified) │ in {left_s} s │ "
        f"{wei_to_ether(ETHER + -(-ETHER // 9) + BOND_WEI)} │ rank 2 of at most 2; above 0, recovery" in shown(client)
    )
