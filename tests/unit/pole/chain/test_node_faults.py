"""What keeps a node from answering is told apart, on real sockets, with what mends it."""

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest
from requests.exceptions import ConnectionError as HttpConnectionError
from requests.exceptions import SSLError
from urllib3.exceptions import MaxRetryError

from pole.chain.endpoints import endpoint_at
from pole.chain.node_faults import MAX_WAIT_S, NodeFault, fault_of, limit_in, retry_after_s
from tests.unit.checking import http, rpc_error
from tests.unit.peer import Answer, nobody, peer

BODY = b'{"jsonrpc": "2.0", "id": 1, "method": "eth_chainId", "params": []}'
VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def fault_at(url: str, timeout_s: float = 5) -> NodeFault:
    with pytest.raises(NodeFault) as caught:
        endpoint_at(url, timeout_s).ask(BODY)
    return caught.value


def refused(status: str, headers: str = "", body: bytes = b"{}") -> NodeFault:
    with peer(http(status, body, headers)) as node:
        return fault_at(node.url)


@pytest.mark.parametrize(
    ("status", "text", "remedy", "is_lasting"),
    [
        ("401 Unauthorized", "refuses you (HTTP 401: it wants a key", "check the key in the address of --rpc", True),
        ("403 Forbidden", "refuses you (HTTP 403)", "check the key in the address of --rpc", True),
        ("404 Not Found", "no node answers at this path", "check the address of --rpc", True),
        ("407 Proxy Authentication Required", "the proxy wants a password", "give it one", True),
        ("502 Bad Gateway", "answers HTTP 502", "wait", False),
    ],
)
def test_status__each__named_with_its_remedy(status: str, text: str, remedy: str, is_lasting: bool) -> None:
    fault = refused(status)
    assert (text in fault.text, remedy in fault.remedy, fault.is_lasting) == (True, True, is_lasting), str(fault)
    assert fault.wait_s is None


@pytest.mark.parametrize(("header", "wait_s"), [("Retry-After: 7\r\n", 7), ("", 0), ("Retry-After: soon\r\n", 0)])
def test_status__429__is_a_limit_with_the_time_it_asks_for(header: str, wait_s: float) -> None:
    fault = refused("429 Too Many Requests", header)
    assert "fewer requests than you send" in fault.text
    assert (fault.wait_s, fault.is_passing, fault.is_lasting) == (wait_s, True, False)


def test_retry_after__date__seconds_from_now_within_bounds() -> None:
    now = time.gmtime(time.time() + 100)
    assert 95 < retry_after_s(time.strftime("%a, %d %b %Y %H:%M:%S GMT", now)) <= 100
    assert retry_after_s("Wed, 21 Oct 2015 07:28:00 GMT") == 0
    assert [retry_after_s(text) for text in ("1e9", "-5", "nan", "inf", None)] == [MAX_WAIT_S, 0, 0, MAX_WAIT_S, 0]


def test_status__redirection__named_and_not_followed() -> None:
    with peer(http("200 OK", b'{"result": "0x1"}')) as elsewhere:
        for status in ("301 Moved", "302 Found", "307 Temporary Redirect", "308 Permanent Redirect"):
            fault = refused(status, f"Location: {elsewhere.url}/v3/secret-of-ours\r\n")
            assert fault.text == f"what answers redirects to {elsewhere.url} (HTTP {status[:3]})"
            assert "the node's own address" in fault.remedy
        assert elsewhere.talks == []


def test_answer__web_page__no_node_is_there() -> None:
    assert "no Ethereum node is there" in refused("200 OK", body=b"<html>").text


def test_answer__error_of_the_node_with_a_status__is_its_answer() -> None:
    """As of providers that answer a bad request with HTTP 400 and say in JSON what is wrong."""
    body = b'{"jsonrpc": "2.0", "id": 1, "error": {"code": -32602, "message": "invalid"}}'
    with peer(http("400 Bad Request", body)) as node:
        assert endpoint_at(node.url, 5).ask(BODY)["error"]["message"] == "invalid"


def test_limit_in__error_of_a_provider__told_apart_from_a_limit_on_ranges() -> None:
    def said(code: int, message: str) -> dict[str, object]:
        return {"error": {"code": code, "message": message, "data": {"rate": {"backoff_seconds": 30}}}}

    found = limit_in(said(-32005, "daily request count exceeded"))
    assert found is not None
    assert found.wait_s == 30
    assert limit_in([{"result": 1}, said(429, "Too many requests")], is_for_logs=True) is not None
    assert limit_in(said(-32005, "query returned more than 10000 results"), is_for_logs=True) is None
    assert limit_in(said(-32000, "header not found")) is None


# --- connections -----------------------------------------------------------------------------------------------------


def test_connect__nobody_listens__start_it() -> None:
    fault = fault_at(nobody())
    assert "nobody listens there" in fault.text
    assert "start it" in fault.remedy


@pytest.mark.parametrize("scheme", ["http", "ws"])
def test_connect__no_such_host__named(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_args: object, **_options: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    fault = fault_at(f"{scheme}://node.invalid:8545/v3/secret-of-ours")
    assert fault.text == "there is no host node.invalid"
    assert "check the name" in fault.remedy


@pytest.mark.parametrize("scheme", ["http", "ws"])
def test_connect__dropped__may_pass(scheme: str) -> None:
    with peer(lambda talk: None) as node:
        fault = fault_at(node.url.replace("http", scheme))
    assert "hung up" in fault.text
    assert fault.is_passing


@pytest.mark.parametrize("scheme", ["http", "ws"])
def test_connect__silence__timed_out(scheme: str) -> None:
    with peer(lambda talk: time.sleep(1)) as node:
        fault = fault_at(node.url.replace("http", scheme), timeout_s=0.2)
    assert "timed out" in fault.text
    assert not fault.is_passing


@pytest.mark.parametrize("scheme", ["https", "wss"])
def test_connect__tls_on_a_plain_port__named(scheme: str) -> None:
    with listening(lambda connection: connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as port:
        fault = fault_at(f"{scheme}://127.0.0.1:{port}/v3/secret-of-ours")
    assert fault.text == "the port speaks no TLS"
    plain = scheme.removesuffix("s")
    assert f"give --rpc {plain}://127.0.0.1:{port}," in fault.remedy


def test_connect__plain_on_a_tls_port__named() -> None:
    """Servers of TLS answer with an alert, or in words."""
    with listening(lambda connection: connection.sendall(b"\x15\x03\x01\x00\x02\x02\x46")) as port:
        fault = fault_at(f"http://127.0.0.1:{port}")
    assert (fault.text, fault.remedy) == ("the port speaks TLS", f"give --rpc https://127.0.0.1:{port}")
    told = refused("400 Bad Request", body=b"The plain HTTP request was sent to HTTPS port")
    assert "the port speaks TLS" in told.text


@pytest.mark.parametrize(
    ("reason", "text"),
    [
        ("self-signed certificate", "the node's certificate is not valid"),
        (
            "Hostname mismatch, certificate is not valid for 'node.invalid'.",
            "the node's certificate is of another host",
        ),
    ],
)
def test_fault_of__certificate__named(reason: str, text: str) -> None:
    failed = ssl.SSLCertVerificationError(1, f"[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: {reason}")
    for wrapped in (failed, SSLError(MaxRetryError(None, "/v3/secret-of-ours", failed))):  # type: ignore[arg-type]
        fault = fault_of(wrapped, "https://node.invalid/v3/secret-of-ours")
        assert (fault.text, fault.is_lasting) == (text, True)


@contextmanager
def listening(answer: Callable[[socket.socket], None]) -> Iterator[int]:
    """A port whose server reads the first bytes, whatever they are, and answers."""

    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection, suppress(ConnectionError):  # whoever asked may be gone
                    connection.recv(1 << 16)
                    answer(connection)
                    connection.shutdown(socket.SHUT_WR)  # closed with bytes unread, it would reset, and lose the answer
                    while connection.recv(1 << 16):
                        pass

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join(20)


# --- proxies ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["http_proxy", "HTTP_PROXY", "ALL_PROXY"])
def test_proxy__away__named_with_its_variable_and_the_way_round(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    proxy = nobody()
    monkeypatch.setenv(name, proxy.replace("//", "//someone:secret-of-ours@"))
    fault = fault_at("http://node.invalid:8545")
    assert f"the way there is the proxy {proxy} of {name}" in fault.text
    assert "no_proxy=node.invalid" in fault.remedy
    assert "secret-of-ours" not in str(fault)


@pytest.mark.parametrize("answer", [http("403 Forbidden"), http("503 Down"), http("200 OK", b"<html>")])
def test_proxy__answers_in_the_nodes_place__named(answer: Answer, monkeypatch: pytest.MonkeyPatch) -> None:
    with peer(answer) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        assert f"the proxy {proxy.url} of http_proxy" in fault_at("http://node.invalid:8545").text


def test_proxy__host_excepted__is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", nobody())
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with peer(rpc_error(-32000, "the node itself")) as node:
        assert endpoint_at(node.url, 5).ask(BODY)["error"]["message"] == "the node itself"


def test_fault_of__cause_inside_the_arguments__found() -> None:
    assert "nobody listens" in fault_of(HttpConnectionError(ConnectionRefusedError(111, "refused"))).text
