"""The loop says what it waits for, survives transient errors, and stops when told; due phases are advanced."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import structlog
from structlog.testing import capture_logs

from pole.chain.client import ChainClient
from pole.chain.order import Turns, place_of
from pole.chain.structs import Phase
from pole.errors import (
    BadInput,
    InsufficientFunds,
    JournalFull,
    TransactionReverted,
    TransientChainError,
    WrongChain,
)
from pole.journal.journal import Journal
from pole.learning.advance import advance_due
from pole.node.alive import process_mark
from pole.node.context import RoleContext
from pole.node.loop import Node, Waiting
from pole.node.notify.notices import NOBODY
from tests.unit.account_client import AccountClient
from tests.unit.heard import Heard

NOW_S = 1_800_000_000


class Scripted(Node):
    """Acts out a list: waits, or raises."""

    def __init__(self, context: RoleContext, script: list[Waiting | BaseException]) -> None:
        super().__init__(context)
        self.script = script
        self.acted = 0

    def act(self) -> Waiting:
        self.acted += 1
        step = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        if isinstance(step, BaseException):
            raise step
        return step


@pytest.fixture
def context(tmp_path: Path) -> Any:
    chain = SimpleNamespace(
        block_time=lambda: NOW_S,
        check_genesis=lambda: None,
        still_s=lambda: 0,
        viewing=nullcontext,
        last_time=NOW_S,
        interval_s=12.0,
        turns=Turns(),
    )
    return SimpleNamespace(
        role="miner",
        chain=chain,
        address="0xMiner",
        has_account=True,
        home=tmp_path,
        log=structlog.get_logger(),
        notices=NOBODY,
        poll_s=0.01,
    )


def status(context: Any) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((context.home / "status.json").read_text())
    return content


def said(logs: list[Any]) -> list[str]:
    return [entry["event"] for entry in logs]


KEYS = Waiting("the client's keys", NOW_S + 12, "check them and train")
TASK = Waiting("a task", None, "open a round")


# --- errors ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [WrongChain("other chain"), BadInput("bad"), ZeroDivisionError()])
def test_step__not_transient__ends_the_node(context: Any, error: Exception) -> None:
    with pytest.raises(type(error)):
        Scripted(context, [error]).step()


def test_step__node_away__backs_off_and_says_so(context: Any) -> None:
    node = Scripted(context, [TransientChainError("no answer")])
    with capture_logs() as logs:
        pauses = [node.step() for _ in range(14)]
    assert pauses[:4] == [0.02, 0.04, 0.08, 0.16]
    assert pauses == sorted(pauses)
    assert max(pauses) <= 5
    assert "no answer; trying again in" in said(logs)[0]
    assert (status(context)["state"], status(context)["what"]) == ("retrying", "no answer")


def test_step__node_back__polls_normally_and_repeats_what_it_waits_for(context: Any) -> None:
    node = Scripted(context, [KEYS, TransientChainError("no answer"), KEYS])
    with capture_logs() as logs:
        pauses = [node.step() for _ in range(3)]
    assert pauses == [0.01, 0.02, 0.01]
    assert [line.startswith("waiting for") for line in said(logs)] == [True, False, True]


def test_step__node_asks_for_time__gets_it(context: Any) -> None:
    node = Scripted(context, [TransientChainError("HTTP 429", retry_after_s=77), TransientChainError("no answer")])
    assert [node.step(), node.step()] == [77, 0.04]


def test_step__chain_stands_still__said_once_a_while(context: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    node, still_s = Scripted(context, [KEYS]), [119]
    context.chain.still_s = lambda: still_s[0]
    with capture_logs() as logs:
        node.step()
        still_s[0] = 120
        node.step()
        node.step()
        monkeypatch.setattr("pole.node.loop.COMPLAIN_EVERY_S", 0.0)
        node.step()
    warnings = [entry["event"] for entry in logs if entry["log_level"] == "warning"]
    assert [line.split(":")[0] for line in warnings] == ["no new block for 120 s"] * 2


def test_step__no_interval_given__sleeps_until_something_may_be_due(context: Any) -> None:
    context.poll_s = None
    later = Waiting("commits to close", NOW_S + 600, "reveal")
    overdue = Waiting("somebody to count", NOW_S - 1, "look again")
    assert [Scripted(context, [each]).step() for each in (TASK, later, KEYS, overdue)] == [60, 60, 18, 12]
    assert Scripted(context, [TransientChainError("no answer")]).step() == 1


def test_step__woken_by_the_node__idles_a_minute_but_not_where_no_event_will_come(context: Any) -> None:
    context.poll_s, context.chain.interval_s = None, 2.0
    script: list[Waiting | BaseException] = [
        TASK,
        TransactionReverted("NotDue", {}, "refused"),
        InsufficientFunds("send 1 ether"),
    ]
    for is_subscribed, expected in ((False, [10, 10, 10]), (True, [60, 10, 10])):
        node = Scripted(context, list(script))
        node._wakeup = SimpleNamespace(is_subscribed=is_subscribed)  # type: ignore[assignment]
        assert [node.step() for _ in script] == expected


def test_step__something_is_anothers_turn__looks_again_when_that_may_be_over(context: Any) -> None:
    context.poll_s = None

    class Taking(Scripted):
        def act(self) -> Waiting:
            context.chain.turns.is_mine("open", [], "0xStranger0", 100 + self.acted * 4)
            return super().act()

    node = Taking(context, [TASK])
    assert place_of("open", [], "0xStranger0") == 2
    assert [node.step(), node.step()] == [24, 60]


def test_step__node_back_as_another_chain__ends_before_it_acts(context: Any) -> None:
    def other_chain() -> None:
        raise WrongChain("other chain")

    node = Scripted(context, [TransientChainError("no answer"), KEYS])
    context.chain.check_genesis = other_chain
    node.step()
    with pytest.raises(WrongChain):
        node.step()
    assert node.acted == 1


def test_step__refused__waits_with_the_reason(context: Any) -> None:
    with capture_logs() as logs:
        assert Scripted(context, [TransactionReverted("NotDue", {}, "refused: NotDue")]).step() == 0.01
    assert said(logs) == ["waiting for the chain to allow it (refused: NotDue); then I will try again"]


@pytest.mark.parametrize("error", [InsufficientFunds, JournalFull])
def test_step__too_poor_or_disk_full__says_so_again_and_again_and_goes_on(
    context: Any, error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    node = Scripted(context, [error("needs 5 wei"), error("needs 6 wei"), error("needs 7 wei"), KEYS, error("8"), KEYS])
    with capture_logs() as logs:
        node.step()
        node.step()
        monkeypatch.setattr("pole.node.loop.COMPLAIN_EVERY_S", 0.0)
        node.step()
        monkeypatch.undo()
        assert [node.step() for _ in range(3)] == [0.01] * 3
    assert [line.split(" until")[0] for line in said(logs)] == [
        "waiting for somebody to help (needs 5 wei); then I will go on",
        "waiting for somebody to help (needs 7 wei); then I will go on",
        "waiting for the client's keys",
        "waiting for somebody to help (8); then I will go on",
        "waiting for the client's keys",
    ]
    assert [entry["log_level"] for entry in logs] == ["warning", "warning", "info", "warning", "info"]
    assert status(context)["what"] == KEYS.what


# --- saying ----------------------------------------------------------------------------------------------------------


def test_sentence__with_deadline__says_when_and_what_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    assert KEYS.sentence(NOW_S) == (
        "waiting for the client's keys until 08:00:12 (in 12 s); then I will check them and train"
    )
    assert "until 08:00:12 (overdue by 3 s)" in KEYS.sentence(NOW_S + 15)
    assert "until 2027-01-15 08:00:12 (in 172800 s)" in KEYS.sentence(NOW_S + 12 - 172_800)


def test_sentence__without_deadline__names_none() -> None:
    assert TASK.sentence(NOW_S) == "waiting for a task; then I will open a round"


def test_step__same_wait__said_once_per_change(context: Any) -> None:
    node = Scripted(context, [KEYS, KEYS, TASK, TASK, KEYS])
    with capture_logs() as logs:
        for _ in range(6):
            node.step()
    assert [line.split(";")[0].split(" until")[0] for line in said(logs)] == [
        "waiting for the client's keys",
        "waiting for a task",
        "waiting for the client's keys",
    ]
    assert logs[0]["status"] == {"what": KEYS.what, "until_s": KEYS.until_s, "then": KEYS.then}


def test_step__waiting__writes_a_status_for_programs(context: Any) -> None:
    Scripted(context, [KEYS]).step()
    written = status(context)
    assert written.pop("written_at_s") > 0
    assert written.pop("process") == process_mark(os.getpid())
    assert written == {
        "role": "miner",
        "account": "0xMiner",
        "pid": os.getpid(),
        "state": "waiting",
        "what": "the client's keys",
        "until_s": NOW_S + 12,
        "then": "check them and train",
    }


# --- running and stopping --------------------------------------------------------------------------------------------


def test_run__done__ends_and_restores_handlers(context: Any) -> None:
    before = signal.getsignal(signal.SIGTERM)
    node = Scripted(context, [TASK])
    node.run(is_done=lambda: node.acted == 3)
    assert node.acted == 3
    assert signal.getsignal(signal.SIGTERM) is before
    assert status(context)["state"] == "stopped"


@pytest.mark.parametrize(
    ("number", "busy"),
    [
        (signal.SIGTERM, "while True: pass"),
        (signal.SIGINT, "time.sleep(60)"),
        (signal.SIGHUP, "time.sleep(60)"),
        (signal.SIGHUP, "sys.stdout.close(); time.sleep(60)"),
    ],
)
def test_run__signal__stops_at_once_with_success(tmp_path: Path, number: signal.Signals, busy: str) -> None:
    program = f"""
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever started the tests may ignore them
signal.signal(signal.SIGHUP, signal.SIG_DFL)
from pathlib import Path
from contextlib import nullcontext
from types import SimpleNamespace
import structlog
from pole.node.loop import Node
from pole.node.notify.notices import NOBODY
class Busy(Node):
    def act(self):
        print("acting", flush=True)
        {busy}
chain = SimpleNamespace(viewing=nullcontext, turns=SimpleNamespace())
given = dict(role="miner", chain=chain, has_account=False, home=Path({str(tmp_path)!r}), poll_s=0.01)
Busy(SimpleNamespace(**given, log=structlog.get_logger(), notices=NOBODY)).run()
"""
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "acting\n"
    process.send_signal(number)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0
    assert "stopping as asked" in output or "close" in busy
    assert json.loads((tmp_path / "status.json").read_text())["state"] == "stopped"


# --- advancing what is due, on the real contracts --------------------------------------------------------------------


def pass_time(chain_client: ChainClient, seconds: int) -> None:
    for method, parameters in (("evm_increaseTime", [seconds]), ("evm_mine", [])):
        chain_client.web3.provider.make_request(method, parameters)  # type: ignore[arg-type]


def test_advance_due__idle_round_nobody_trains_in__goes_through_every_phase(
    connect: Callable[..., AccountClient], journal: Journal, tmp_path: Path
) -> None:
    chain_client = connect()
    contracts = chain_client.contracts(journal)
    assert not advance_due(chain_client, contracts, chain_client.address, is_hurried=True), "no round yet"
    contracts.learning_chain.open_idle_round(key="open/1")
    opened = contracts.learning_chain.current_round()
    assert opened is not None
    assert opened.is_idle
    assert opened.phase is Phase.TRAINING
    assert opened.deadline - chain_client.block_time() > contracts.learning_chain.idle_task().time_limit_s - 10
    assert not advance_due(chain_client, contracts, chain_client.address, is_hurried=True), "not due yet"
    assert journal.transactions.outstanding() == []
    pass_time(chain_client, contracts.learning_chain.idle_task().time_limit_s)
    assert advance_due(chain_client, contracts, chain_client.address, is_hurried=True)
    overtime = contracts.learning_chain.current_round()
    assert overtime is not None
    assert overtime.phase is Phase.OVERTIME
    pass_time(chain_client, contracts.learning_chain.parameters().overtime_window_s)
    other = connect()
    with Journal(tmp_path / "other.sqlite") as others:
        assert advance_due(other, other.contracts(others), other.address, is_hurried=True)
    assert not advance_due(chain_client, contracts, chain_client.address, is_hurried=True), "somebody else was faster"
    assert contracts.learning_chain.current_round() is None
    latest = contracts.learning_chain.latest_round()
    assert latest is not None
    assert latest.phase is Phase.ABORTED


def test_advance_due__two_accounts__the_second_only_when_the_first_is_silent(
    connect: Callable[..., AccountClient], journal: Journal, tmp_path: Path
) -> None:
    clients = [connect(), connect()]
    contracts = clients[0].contracts(journal)
    number = contracts.learning_chain.round_count() + 1
    contracts.learning_chain.open_idle_round(key=f"open/{number}")
    pass_time(clients[0], contracts.learning_chain.idle_task().time_limit_s)
    with Journal(tmp_path / "other.sqlite") as others:
        all_contracts = [contracts, clients[1].contracts(others)]
        started = clients[0].block_number()
        did: list[int] = []
        while not did and clients[0].block_number() - started < 40:
            did = [i for i in (0, 1) if advance_due(clients[i], all_contracts[i], clients[i].address)]
            pass_time(clients[0], 1)
    assert len(did) == 1
    pass_time(clients[0], contracts.learning_chain.parameters().overtime_window_s)
    assert advance_due(clients[0], contracts, clients[0].address, is_hurried=True)


# --- what a person is told -------------------------------------------------------------------------------------------


class Staked(Scripted):
    def at_stake(self) -> str:
        return "the bond of my commit"


def told_of(context: Any, script: list[Waiting | BaseException]) -> dict[str, str]:
    """What a person hears of the script, at a minute a step; by what it is about."""
    context.notices = heard = Heard()
    node = Staked(context, list(script))
    for minute in range(len(script)):
        node._troubles._now_s = lambda now_s=NOW_S + 60 * minute: float(now_s)  # type: ignore[misc]
        node.step()
    return {key.partition("/")[0]: text for key, text in heard.told.items()}


def test_step__node_away_for_long__told_of_the_bond_and_then_that_it_is_stuck(context: Any) -> None:
    away = TransientChainError("no answer")
    assert told_of(context, [away] * 2) == {"risk": "at risk: the bond of my commit. For 1 minute: no answer"}
    found = told_of(context, [away] * 12)
    assert list(found) == ["risk", "stuck"]
    assert found["stuck"] == "stuck for 10 minutes: no answer"


def test_step__account_empty__told_at_once(context: Any) -> None:
    assert told_of(context, [InsufficientFunds("send 1 ether")]) == {"poor": "out of ether: send 1 ether"}


def test_step__chain_stands_still__told_by_how_long_it_has(context: Any) -> None:
    context.chain.still_s = lambda: 119
    assert told_of(context, [KEYS]) == {}
    context.chain.still_s = lambda: 10**9
    assert "stuck" in told_of(context, [KEYS])


def test_step__pass_took_long__is_no_standstill(context: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    context.chain.still_s = lambda: 7300
    clock = iter([0.0, 0.0] + 20 * [7250.0])  # as the node is made, as its pass begins, and then
    monkeypatch.setattr("pole.node.loop.time.monotonic", lambda: next(clock))
    assert told_of(context, [KEYS]) == {}


def test_step__deadline_long_over__told(context: Any) -> None:
    context.chain.last_time = NOW_S + 100
    assert told_of(context, [KEYS] * 20) == {}
    context.chain.last_time = NOW_S + 10**9
    assert "waiting for the client's keys, overdue" in told_of(context, [KEYS])["stuck"]


def test_step__all_well__nobody_is_told(context: Any) -> None:
    assert told_of(context, [KEYS, TASK, TransientChainError("no answer")] * 20) == {}


@pytest.mark.parametrize("error", [WrongChain("other chain"), ZeroDivisionError("by nothing")])
def test_run__ends_by_an_error__told(context: Any, error: Exception) -> None:
    context.notices = heard = Heard()
    with pytest.raises(type(error)):
        Scripted(context, [error]).run()
    assert list(heard.told.values()) == [f"the role has ended: {type(error).__name__}: {error}"]
