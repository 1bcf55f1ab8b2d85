"""Logs go to stderr, in the form asked for, without secrets."""

import json
from collections.abc import Iterator

import pytest
import structlog

from pole.errors import BadInput
from pole.node.logs import configure, report


@pytest.fixture(autouse=True)
def plain_logs() -> Iterator[None]:
    """No test leaves its configuration to the next."""
    yield
    structlog.reset_defaults()


def test_configure__unknown_level__names_the_choices() -> None:
    with pytest.raises(BadInput, match="log level 'loud' is unknown; use one of debug, info, warning, error"):
        configure(level="loud")


@pytest.mark.parametrize("name", ["password", "private_key", "salt", "master_key", "client_secret", "Mnemonic"])
@pytest.mark.parametrize("is_json", [True, False])
def test_log__secret_by_name__is_blanked(name: str, is_json: bool, capsys: pytest.CaptureFixture[str]) -> None:
    configure(is_json)
    structlog.get_logger().info("event", **{name: "hunter2", "round": 7})
    output = capsys.readouterr()
    assert output.out == ""
    assert "hunter2" not in output.err
    assert "redacted" in output.err
    assert "7" in output.err


def test_log__json__is_one_object_a_line_with_the_status(capsys: pytest.CaptureFixture[str]) -> None:
    configure(is_json=True)
    structlog.get_logger().bind(role="miner").warning("waiting", status={"what": "keys"})
    (line,) = capsys.readouterr().err.splitlines()
    written = json.loads(line)
    assert (written["event"], written["role"], written["level"]) == ("waiting", "miner", "warning")
    assert written["status"] == {"what": "keys"}


def test_log__below_the_level__is_silent(capsys: pytest.CaptureFixture[str]) -> None:
    configure(level="warning")
    structlog.get_logger().info("event")
    assert capsys.readouterr().err == ""


def test_log__json_exception__is_one_object_with_the_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    configure(is_json=True)
    try:
        raise ValueError("line one\nline two")
    except ValueError:
        structlog.get_logger().exception("it broke", key=b"\x00", path=object())
    (line,) = capsys.readouterr().err.splitlines()
    written = json.loads(line)
    assert written["level"] == "error"
    assert "ValueError: line one" in written["exception"]


def test_report__json__unexpected_error_is_one_object(capsys: pytest.CaptureFixture[str]) -> None:
    configure(is_json=True)
    try:
        raise ZeroDivisionError("by\nzero")
    except ZeroDivisionError as exc:
        report(exc)
    (line,) = capsys.readouterr().err.splitlines()
    written = json.loads(line)
    assert (written["event"], written["kind"]) == ("by\nzero", "ZeroDivisionError")
    assert "Traceback" in written["exception"]


def test_report__people__no_traceback_for_our_own_errors(capsys: pytest.CaptureFixture[str]) -> None:
    configure()
    report(BadInput("no such file; give another"))
    assert capsys.readouterr().err == "error: no such file; give another\n"
