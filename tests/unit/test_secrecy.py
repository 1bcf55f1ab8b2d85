"""No secret is in representations, tracebacks or messages. The search of the end-to-end tests finds planted ones."""

import base64
import logging
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import pytest
import structlog
from web3 import HTTPProvider, Web3
from web3.types import RPCEndpoint

from dataclient.task_folder import Prepared
from miner.learning.solutions import Solution
from pole.chain.client import ChainClient
from pole.chain.deployment import Deployment
from pole.chain.provider import NodeProvider
from pole.chain.verdicts import INVALID
from pole.encryption.keys import MasterKey
from pole.errors import BadInput, PoleError, StoreError
from pole.node import logs
from pole.node.cli import role_options
from pole.node.commands import last_status
from pole.node.context import RoleContext, RoleSettings
from pole.node.exit import exit_code
from pole.node.keyfile import create_account, load_account
from pole.node.loop import Node, Waiting
from pole.node.notify.notices import NOBODY
from pole.storage.cid import cid_of
from pole.storage.ipfs import IpfsSettings
from pole.storage.store import open_store
from pole.urls import keep_secret, scrub
from tests.e2e.secrecy import leaks
from tests.e2e.site import development_account
from tests.unit.peer import CID, SECRET, Answer, Talk, nobody, peer, store_at
from verifier.votes import Vote

SALT = bytes(range(64, 96))


def holders() -> dict[str, tuple[Any, list[str]]]:
    """What holds a secret, and the forms in which it could show."""
    salt_forms = [SALT.hex(), repr(SALT), str(list(SALT))]
    master = MasterKey((123456789123456789, 987654321987654321))
    account = development_account(3)
    return {
        "solution": (Solution(cid_of(b"model"), SALT, 900_000), salt_forms),
        "vote": (Vote([INVALID], SALT), salt_forms),
        "prepared": (Prepared(manifest="m", test_set="t", salt=SALT.hex()), salt_forms),
        "master": (master, ["123456789123456789", "987654321987654321"]),
        "account": (account, [bytes(account.key).hex(), repr(bytes(account.key))]),
    }


@pytest.mark.parametrize("name", ["solution", "vote", "prepared", "master", "account"])
def test_repr__holder_of_a_secret__does_not_show_it(name: str) -> None:
    holder, forms = holders()[name]
    shown = [repr(holder), str(holder), f"{SimpleNamespace(inner=holder)}"]
    assert not [form for form in forms for text in shown if form in text]


def test_load_account__wrong_password__no_traceback_shows_it(tmp_path: Path) -> None:
    create_account(tmp_path / "key.json", "right-word", private_key=bytes(development_account(3).key), kdf_iterations=2)
    (tmp_path / "password").write_text("wrong-word")
    with pytest.raises(BadInput) as caught:
        load_account(str(tmp_path / "key.json"), tmp_path / "password")
    shown = "".join(traceback.format_exception(caught.value))
    assert "wrong-word" not in shown
    assert "right-word" not in shown


def test_prepared__damaged_file__the_error_does_not_show_the_salt(tmp_path: Path) -> None:
    path = tmp_path / "prepared.json"
    path.write_text('{"manifest": 1, "test_set": "t", "salt": "' + SALT.hex() + '", "more": "' + SALT.hex() + '"}')
    with pytest.raises(PoleError) as caught:
        Prepared.read(path)
    assert SALT.hex()[:12] not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("index", [0, 7])
def test_leaks__planted_key__is_found(index: int, tmp_path: Path) -> None:
    (tmp_path / "miner.log").write_text(f"sent with {bytes(development_account(index).key).hex()}\n")
    stage: Any = SimpleNamespace(_password="a-long-password", processes={})
    assert leaks(stage, tmp_path) == [f"private key {index} in miner.log"]


def test_leaks__planted_password_and_salt__are_found(tmp_path: Path) -> None:
    home = tmp_path / "client" / "iris"
    home.mkdir(parents=True)
    Prepared(manifest="m", test_set="t", salt=SALT.hex()).write(home / "prepared.json")
    (tmp_path / "client.log").write_text(f"a-long-password\n{SALT.hex()}\n")
    stage: Any = SimpleNamespace(_password="a-long-password", processes={})
    assert leaks(stage, tmp_path) == ["the password in client.log", "salt of iris in client.log"]


# --- addresses with a provider's key in them -------------------------------------------------------------------------

PLANTED = ("user-of-it", "pass-of-it", "key-in-the-path", "key-in-the-query")


def planted(url: str) -> str:
    """The same address with a key wherever providers put one."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{PLANTED[0]}:{PLANTED[1]}@{rest}/v3/{PLANTED[2]}?apikey={PLANTED[3]}"


def found_in(*texts: str) -> list[str]:
    """Which of the planted words stand there, as they are or as HTTP carries them."""
    forms = [*PLANTED, base64.b64encode(f"{PLANTED[0]}:{PLANTED[1]}".encode()).decode(), SECRET]
    return [form for form in forms for text in texts if form.lower() in text.lower()]


def said(status: str, body: Callable[[Talk], str]) -> Answer:
    return lambda talk: talk.answer(body(talk).encode(), status, f"Location: {talk.path}/again\r\n")


def echo(talk: Talk) -> str:
    """Everything that was sent, as some providers put it into their complaints."""
    return " ".join([talk.path, talk.header("Authorization") or "", *PLANTED])


def rpc(part: Callable[[Talk], str]) -> Answer:
    return said("200 OK", lambda talk: '{"jsonrpc": "2.0", "id": 0, ' + part(talk) + "}")


def error(code: int) -> Callable[[Talk], str]:
    return lambda talk: f'"error": {{"code": {code}, "message": "no access: {echo(talk)}"}}'


def dropped(talk: Talk) -> None:
    """Hangs up without an answer."""


def broken_head(talk: Talk) -> None:
    talk.say(f"HTTP/1.1 200 OK\r\n{echo(talk)}\r\nContent-Length: 2\r\n\r\n{{}}".encode())


ANSWERS: dict[str, Answer] = {
    "500": said("500 Internal Server Error", echo),
    "401": said("401 Unauthorized", echo),
    "404 with the path as its reason": lambda talk: talk.answer(b"", f"404 No {talk.path}"),
    "redirected for ever": said("307 Temporary Redirect", echo),
    "redirected to another protocol": lambda talk: talk.answer(b"", "307 X", f"Location: ftp://{echo(talk)[1:]}\r\n"),
    "no JSON": said("200 OK", echo),
    "JSON of another kind": rpc(lambda talk: f'"unexpected": "{echo(talk)}"'),
    "a result of another kind": rpc(lambda talk: f'"result": "{echo(talk)}"'),
    "an error": rpc(error(-32000)),
    "an error for ever": rpc(error(-32600)),
    "funds are missing": rpc(lambda talk: f'"error": {{"code": -32000, "message": "insufficient funds {echo(talk)}"}}'),
    "dropped": dropped,
    "no HTTP": lambda talk: talk.say(echo(talk).encode()),
    "headers that are none": broken_head,
    "cut short": lambda talk: talk.say(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"),
}


@contextmanager
def answering(name: str) -> Iterator[str]:
    """A peer of that kind; nobody at all for the name that is none."""
    if name not in ANSWERS:
        yield nobody()
        return
    with peer(ANSWERS[name]) as serving:
        yield serving.url


@click.command()
@role_options("miner", needs_account=False)
def looking(context: RoleContext) -> None:
    raise AssertionError(f"{context.chain} was opened")


@pytest.fixture(autouse=True)
def no_secrets_kept_from_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """`scrub` knows only what the test gives it."""
    monkeypatch.setattr("pole.urls._replacements", {})


@pytest.mark.parametrize("answer", [*ANSWERS, "a dead port"])
@pytest.mark.parametrize("is_json", [False, True])
def test_command__node_with_a_key_in_its_address__no_output_shows_it(
    answer: str, is_json: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with answering(answer) as url:
        monkeypatch.setenv("POLE_RPC", planted(url))
        monkeypatch.setattr("sys.argv", ["miner", f"--home={tmp_path}", *(["--log-json"] if is_json else [])])
        code = exit_code(looking)
    output = "".join(capfd.readouterr())
    assert found_in(output) == []
    assert code in (1, 75), output
    assert f"connecting to {url}" in output


@pytest.mark.parametrize("answer", ["500", "401", "404 with the path as its reason", "dropped", "no HTTP", "no JSON"])
def test_command__websocket_and_proxy_with_keys__no_output_shows_them(
    answer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with answering(answer) as url, answering("a dead port") as proxy:
        for variable, value in (("http_proxy", planted(proxy)), ("no_proxy", "127.0.0.1")):
            monkeypatch.setenv(variable, value)
        nodes = planted(url.replace("http", "ws")), planted("http://node.invalid")
        monkeypatch.setenv("POLE_RPC", " ".join(nodes))
        monkeypatch.setattr("sys.argv", ["miner", f"--home={tmp_path}"])
        code = exit_code(looking)
    output = "".join(capfd.readouterr())
    assert found_in(output) == []
    assert code in (1, 75), output


def test_provider__switches_to_another_node__the_log_shows_no_key(capfd: pytest.CaptureFixture[str]) -> None:
    logs.configure(is_json=True)
    with answering("500") as first, peer(rpc(lambda _talk: '"result": "0x1"')) as second:
        provider = NodeProvider([planted(first), planted(second.url)])
        assert provider.make_request(RPCEndpoint("eth_chainId"), [])["result"] == "0x1"
    output = "".join(capfd.readouterr())
    assert f"asking {second.url} now: {first}: the node answers HTTP 500" in output
    assert found_in(output) == []


@pytest.mark.parametrize("answer", [*ANSWERS, "a dead port"])
def test_loop__node_with_a_key_in_its_address__neither_status_nor_traceback_shows_it(
    answer: str, deployment: Deployment, tmp_path: Path
) -> None:
    with answering(answer) as url:
        keep_secret(planted(url))
        client = ChainClient(Web3(HTTPProvider(planted(url))), deployment)
        context: Any = SimpleNamespace(
            role="miner",
            chain=client,
            has_account=False,
            home=tmp_path,
            log=structlog.get_logger(),
            poll_s=0.01,
            notices=NOBODY,
        )
        node = Reading(context)
        ended, turns = "", iter([False, True])
        try:
            node.run(lambda: next(turns))
        except Exception as exc:  # what does not heal ends the loop
            ended = logs.lines_of(exc)
        assert found_in(ended, (tmp_path / "status.json").read_text(), last_status(tmp_path)) == []
        assert (tmp_path / "status.json").stat().st_mode & 0o777 == 0o600


class Reading(Node):
    """Asks the node for the time."""

    def act(self) -> Waiting:
        return Waiting(f"{self.context.chain.block_time()}", None, "ask again")


@pytest.mark.parametrize(
    "url",
    [
        "wss://{}@host/ws/v3/{}",
        "ftp://{}:x@host/{}",
        "http://{}:{}@host:port/v3",
        "http://[{}/v3/{}",
        "http:///{}/{}",
        "{}/{}",
        "http://{}:{}@/v3",
        "http://h\u2100st{}/{}",
        "http://a..b/{}",
        "http://" + 64 * "a" + ".org/{}",
    ],
)
def test_connect__no_address_of_a_node__refused_without_showing_it(url: str) -> None:
    with pytest.raises(PoleError) as caught:
        ChainClient.connect(url.format(*PLANTED))
    assert found_in("".join(traceback.format_exception(caught.value))) == []


@pytest.mark.parametrize("answer", [*ANSWERS, "a dead port"])
def test_store__authorization_and_key_of_the_gateway__no_error_shows_them(answer: str, tmp_path: Path) -> None:
    with answering(answer) as url:
        store = store_at(url, tmp_path, f"{url}/v3/{PLANTED[2]}")
        for ask in (lambda: store.put(b"x"), lambda: store.get(CID, 99), lambda: store.has(CID)):
            with pytest.raises(StoreError) as caught:
                ask()
            assert found_in("".join(traceback.format_exception(caught.value))) == []


@pytest.mark.parametrize(
    "location",
    ["http://host/v0/{}?apikey={}", "https://{}:{}@host", "http://{}:{}@host:port", "ipfs://host/{}", "http://[{}/{}"],
)
def test_open_store__no_address_of_a_daemon__refused_without_showing_it(location: str) -> None:
    with pytest.raises(BadInput) as caught:
        open_store(location.format(*PLANTED))
    assert found_in("".join(traceback.format_exception(caught.value))) == []


def test_repr__settings_with_addresses__do_not_show_them(tmp_path: Path) -> None:
    settings = RoleSettings(planted("https://host"), None, "store", tmp_path, None, None, 1.0)
    ipfs = IpfsSettings(tmp_path, planted("https://host"), SECRET)
    assert found_in(repr(settings), repr(ipfs)) == []


def test_logs__librarys_own_warning__is_a_line_without_the_key(capfd: pytest.CaptureFixture[str]) -> None:
    logs.configure(is_json=True)
    keep_secret(planted("https://host"))
    logging.getLogger("urllib3.connectionpool").warning("Failed to parse headers (url=%s)", planted("https://host"))
    output = "".join(capfd.readouterr())
    assert "Failed to parse headers (url=https://host)" in output
    assert found_in(output) == []


def test_scrub__what_is_no_secret__stays() -> None:
    keep_secret("http://127.0.0.1:8545/v3")
    assert scrub("http://127.0.0.1:8545 is v3") == "http://127.0.0.1:8545 is v3"
