"""What commands print can be read at any width: no word, number or address is broken, and what is cut says so."""

import io
import os
import pty
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.table import Table

from dataclient.leaderboard import Leaderboard, Payment, Standing, leaderboard_table
from pole.node.doctor.check import problem
from pole.node.doctor.command import print_row
from pole.node.terminal import Fitted, fold, labelled
from pole.timing import Timing
from scripts.demo import report
from scripts.demo.view import View
from scripts.demo_gradient.view import View as GradientView
from tests.paths import ROOT

WIDTHS = [40, 80, 200]
ADDRESS = "0x" + 20 * "a1"
LONG_NAME = "a-task-whose-name-is-as-long-as-a-name-may-be-and-then-some"
SENTENCE = f"miners of {LONG_NAME} (12 qualified) to pay 0.125 ether each within 3600 s"
CONTROL = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")
FRAME = "┃│┡┩┏┓━┳╇─└┘┴┐┌╭╮╰╯╷╵"


def shown(renderable: Any, width: int) -> list[str]:
    """As on a terminal of this width, without its codes."""
    written = io.StringIO()
    Console(file=written, width=width, force_terminal=True, highlight=False, markup=False).print(renderable)
    return CONTROL.sub("", written.getvalue()).splitlines()


def check(lines: list[str], values: list[str], width: int) -> None:
    """Every word of every value stands whole in a line, or a line has its ends around three dots; none is too long."""
    assert max(map(len, lines)) <= width, lines
    words = [word for line in lines for word in line.translate(dict.fromkeys(map(ord, FRAME), " ")).split()]
    cut = [word.partition("...") for word in words if "..." in word]
    for word in (word for value in values for word in value.split()):
        is_cut = len(word) + 2 > width and any(word.startswith(a) and word.endswith(b) and a for a, _, b in cut)
        assert word in words or is_cut, (word, lines)
    text = " ".join(words)
    for number in (found.group() for value in values for found in re.finditer(r"\d[\d.]* (%|ether|s)(?!\w)", value)):
        assert any(number in line for line in lines), (number, text)


def table(*rows: tuple[str, ...]) -> Table:
    made = Table("task", "waits for", "address", title=f"All of {LONG_NAME}", caption=SENTENCE)
    for row in rows:
        made.add_row(*row)
    return made


# --- parts -----------------------------------------------------------------------------------------------------------


@given(st.text("ab1. %", max_size=80), st.integers(1, 50))
def test_fold__any_text__no_line_is_longer_and_no_word_that_fits_is_broken(text: str, width: int) -> None:
    lines = fold(text, width)
    assert max(map(len, lines)) <= width
    words = text.split()
    if max(map(len, words), default=0) <= width and not re.search(r"\d [%a-z]", text):
        assert " ".join(lines).split() == words


def test_fold__number_and_unit__stay_together() -> None:
    assert fold("won 0.125 ether at 95.00 % in 12 s", 12) == ["won", "0.125 ether", "at 95.00 %", "in 12 s"]


def test_labelled__address_on_a_narrow_terminal__below_its_label_and_cut_in_the_middle() -> None:
    assert labelled("account", ADDRESS, 10, 60) == [f"account   {ADDRESS}"]
    assert labelled("account", ADDRESS, 10, 44) == ["account", f"  {ADDRESS}"]
    assert labelled("account", ADDRESS, 10, 20) == ["account", "  0xa1a1a1...1a1a1a1"]


# --- tables ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", WIDTHS)
def test_fitted__long_names__whole_or_marked(width: int) -> None:
    rows = [(LONG_NAME, SENTENCE, ADDRESS), ("iris", "-", "[bold]0x1[/]")]
    check(shown(Fitted(table(*rows)), width), [*(cell for row in rows for cell in row), SENTENCE], width)


def test_fitted__room_enough__is_the_table() -> None:
    small = Table("a", "b")
    small.add_row("1", "2")
    assert shown(Fitted(small), 40) == shown(small, 40)


@pytest.mark.parametrize("width", WIDTHS)
def test_leaderboard__any_width__whole_or_marked(width: int) -> None:
    paid = Payment(123_456_789_012_345_678, 10**17, 32 * 10**18)
    best = Standing(1, ADDRESS, 1_800_000_000, 912_345, "bafy" + 55 * "x", 951_234, 887_654, "won", paid)
    other = replace(best, place=None, outcome="below the required accuracy")
    values = [ADDRESS, "95.12 %", "88.77 %", "2027-01-15 08:00:00", "0.123456789012345678", other.outcome]
    lines = shown(Fitted(leaderboard_table(Leaderboard(7, 3, 1, "finalised", [best, other]))), width)
    check(lines, values, width)


@pytest.mark.parametrize("width", WIDTHS)
def test_doctor__any_width__whole_or_marked(width: int) -> None:
    row = problem(f"/home/somebody/.pole/{LONG_NAME} is {SENTENCE}", "sudo chown -R $(id -u) /home/somebody")
    written = io.StringIO()
    print_row(Console(file=written, width=width, force_terminal=True, highlight=False), replace(row, name="home"))
    check(CONTROL.sub("", written.getvalue()).splitlines(), [row.text, row.remedy, "problem", "home"], width)


@pytest.mark.parametrize("width", WIDTHS)
def test_demo_report__any_width__whole_or_marked(width: int) -> None:
    timings = {LONG_NAME: Timing(1_234_567, 12.5, 11.5), "client": Timing(10, 1.0, 0.5)}
    values = [LONG_NAME, "1,234,567", "12.50", "12.5 %", "11.50"]
    check(shown(Fitted(report.encryption(timings, 100.0)), width), values, width)


# --- live views ------------------------------------------------------------------------------------------------------


def actors(folder: Path) -> list[Any]:
    """Two processes, one of which has a lot to say."""
    (folder / "a").mkdir()
    status = f'{{"what": "{SENTENCE}", "until_s": 1800000060, "then": "publish the functional keys of it"}}'
    (folder / "a" / "status.json").write_text(status)
    return [SimpleNamespace(name=name, address=ADDRESS, home=folder / name) for name in ("a", "b")]


def drawn(view: Any, width: int) -> list[str]:
    view._console = Console(width=width)
    return shown(view._draw(), width)


def stand_ins() -> tuple[Any, Any]:
    header = SimpleNamespace(
        height=12345, task_id=678, winner=ADDRESS[:-1] + "b", train_ppm=951_234, test_ppm=887_654, timestamp=1
    )
    ledger = SimpleNamespace(height=lambda: 12345, header=lambda _number: header)
    latest = SimpleNamespace(
        is_idle=False, task_id=678, round_id=91, phase=SimpleNamespace(name="TRAINING"), submission_count=64
    )
    latest.revealed_count = 3
    chain = SimpleNamespace(latest_round=lambda: latest)
    contracts = SimpleNamespace(lanes=[SimpleNamespace(lane=0, block_ledger=ledger, learning_chain=chain)])
    return contracts, SimpleNamespace(block_time=lambda: 1_800_000_000)


@pytest.mark.parametrize("width", WIDTHS)
def test_demo__live_view_at_any_width__lines_are_whole_or_end_in_an_ellipsis(width: int, tmp_path: Path) -> None:
    view: Any = View.__new__(View)
    view._contracts, view._client = stand_ins()
    view._actors, view._names, view._stage = actors(tmp_path), {}, SimpleNamespace(failed=lambda: [])
    lines = drawn(view, width)
    check(lines, ["12345", "678", "95.12 %", "88.77 %", "training,"], width)
    [told] = [line for line in lines if "miners of" in line]
    assert SENTENCE in told or "…" in told
    assert len([line for line in lines if line.startswith("│ a ") or line.startswith("│ b ")]) == 2


@pytest.mark.parametrize("width", WIDTHS)
def test_gradient_demo__live_view_at_any_width__lines_are_whole_or_end_in_an_ellipsis(
    width: int, tmp_path: Path
) -> None:
    view: Any = GradientView.__new__(GradientView)
    header = SimpleNamespace(
        height=12, miner=ADDRESS, step=123_456, interval_s=1234, train_ppm=951_234, test_ppm=887_654, is_opening=False
    )
    view._headers, view._wanted, view._names = [header], 30, {}
    idle = SimpleNamespace(phase=SimpleNamespace(name="SEARCH"), height=13)
    view._gradient_chain = SimpleNamespace(current=lambda: idle, height=lambda: 1, header=lambda _height: header)
    view._actors, view._stage = actors(tmp_path), SimpleNamespace(failed=lambda: [])
    lines = drawn(view, width)
    check(lines, ["123456", "1234 s", "95.12 %", "88.77 %"], width)
    [told] = [line for line in lines if "miners of" in line]
    assert SENTENCE in told or "…" in told


# --- as people run it ------------------------------------------------------------------------------------------------

PROGRAM = f"""
import sys
from rich.table import Table
from pole.node import logs
from pole.node.terminal import Fitted, console, say
table = Table("task", "waits for")
table.add_row("{LONG_NAME}", "{SENTENCE}")
console().print(Fitted(table))
say("account", "{ADDRESS}")
logs.configure()
logs.structlog.get_logger().warning("out of ether")
"""


def on_terminal(width: int, **variables: str) -> str:
    """Everything that the program writes to a pseudo-terminal, as standard output and as standard error."""
    leader, follower = pty.openpty()
    environment = {**os.environ, "COLUMNS": str(width), "LINES": "24", "TERM": "xterm", **variables}
    if "NO_COLOR" not in variables:
        environment.pop("NO_COLOR", None)
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM], stdout=follower, stderr=follower, cwd=ROOT, env=environment
    )
    os.close(follower)
    written = b""
    while True:
        try:
            piece = os.read(leader, 65536)
        except OSError:  # Linux says so when the other side is closed
            break
        if not piece:
            break
        written += piece
    os.close(leader)
    assert process.wait() == 0, written
    return written.decode()


def test_program__in_a_pipe__everything_whole_and_no_control_codes() -> None:
    environment = {**os.environ, "COLUMNS": "40", "FORCE_COLOR": "1"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, cwd=ROOT, env=environment
    )
    assert "\x1b" not in done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert any(LONG_NAME in line and SENTENCE in line for line in lines)
    assert f"account   {ADDRESS}" in lines


@pytest.mark.parametrize("width", [40, 80])
def test_program__on_a_terminal__fits(width: int) -> None:
    lines = CONTROL.sub("", on_terminal(width)).splitlines()
    check([line for line in lines if "warning" not in line], [LONG_NAME, SENTENCE, ADDRESS], width)


def test_program__no_color__no_colours() -> None:
    assert "\x1b[3" in on_terminal(80)
    plain = on_terminal(80, NO_COLOR="1")
    assert not re.search(r"\x1b\[(\d+;)*[349]\d", plain)
    assert "out of ether" in plain
