"""What is wrong with a node that does not answer as it should, in words that tell one cause from another.

The causes are those of requests, websockets and of HTTP itself. No text here has more of an address than `shown` gives.
"""

import json
import os
import socket
import ssl
import time
from collections.abc import Iterator, Mapping
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import urljoin, urlsplit

from requests.exceptions import ProxyError, Timeout
from requests.utils import get_environ_proxies, select_proxy
from web3.exceptions import BadResponseFormat, RequestTimedOut
from websockets.exceptions import WebSocketException

from pole.urls import UNREADABLE, scrub, shown

MAX_WAIT_S = 3600.0
"""However long a node asks for."""

_START = "start it, or give another --rpc"
_START_OWN = "start it (a chain of your own: anvil --block-time 1), or give another --rpc"
_LIMIT_CODES = (-32005, -32029, 429)
_LIMIT_WORDS = ("rate", "too many requests", "per second", "throughput", "capacity", "daily", "quota", "credits")


class NodeFault(Exception):
    """A node gave no answer that can be used.

    `wait_s`: it limits requests and wants to be left alone for so long, 0 if it does not say how long; None: no limit.
    `is_passing`: the same request may succeed at once. `is_lasting`: no waiting helps, a person has to.
    """

    def __init__(
        self,
        text: str,
        remedy: str = _START,
        *,
        wait_s: float | None = None,
        is_passing: bool = False,
        is_lasting: bool = False,
    ) -> None:
        super().__init__(f"{text}; {remedy}")
        self.text, self.remedy = text, remedy
        self.wait_s, self.is_passing, self.is_lasting = wait_s, is_passing or wait_s is not None, is_lasting


class TooLarge(NodeFault):
    """The request or its answer is larger than the node allows."""


# --- by cause --------------------------------------------------------------------------------------------------------


def fault_of(exc: BaseException, url: str = "") -> NodeFault:
    """What an exception of a library says about the node at `url`, as far as that is known."""
    return _told(_by_cause(exc, url), url)


def _by_cause(exc: BaseException, url: str) -> NodeFault:
    causes = list(_causes(exc))
    said = " ".join(str(cause) for cause in causes)
    if _any(causes, ProxyError):
        return NodeFault("the proxy does not answer", "start it")
    if _any(causes, socket.gaierror) or "NameResolutionError" in said:
        return NodeFault(f"there is no host {_host(url)}", "check the name in --rpc, and this machine's DNS")
    if _any(causes, ssl.SSLError) or "SSLError" in said:
        return _tls_fault(said, url)
    if "\\x15\\x03" in said or "\x15\x03" in said:  # the first bytes of an alert of TLS
        return NodeFault("the port speaks TLS", f"give --rpc {_with_scheme(url, secure=True)}", is_lasting=True)
    if _any(causes, Timeout, RequestTimedOut, TimeoutError):
        return NodeFault("the node does not answer (timed out)")
    if _any(causes, ConnectionRefusedError):
        return NodeFault("the node does not answer (cannot connect: nobody listens there)", _START_OWN, is_passing=True)
    if _any(causes, json.JSONDecodeError, UnicodeDecodeError, BadResponseFormat):
        return _no_node()
    if _any(
        causes, OSError, WebSocketException
    ):  # every error of requests is one, and what a broken connection says means nothing to us
        return NodeFault("the node does not answer (cannot connect, or it hung up)", is_passing=True)
    return NodeFault(f"the node does not answer ({type(exc).__name__})", is_passing=True)


def _tls_fault(said: str, url: str) -> NodeFault:
    if any(words in said for words in ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST", "record layer")):
        return NodeFault(
            "the port speaks no TLS",
            f"give --rpc {_with_scheme(url, secure=False)}, if you trust the network",
            is_lasting=True,
        )
    if "CERTIFICATE_VERIFY_FAILED" in said or "doesn't match" in said:
        why = "is of another host" if "doesn't match" in said or "ostname mismatch" in said else "is not valid"
        return NodeFault(
            f"the node's certificate {why}", "check the host in --rpc and this machine's clock", is_lasting=True
        )
    return NodeFault("the node does not answer (TLS was broken off)", is_passing=True)


def not_json(url: str) -> NodeFault:
    """Something answers, but not as a node does."""
    return _told(_no_node(), url)


def _no_node() -> NodeFault:
    return NodeFault(
        "the node does not answer (its answer is not JSON-RPC: no Ethereum node is there)",
        "give the right address with --rpc",
    )


# --- by answer -------------------------------------------------------------------------------------------------------


def status_fault(status: int, headers: Mapping[str, str], body: bytes, url: str) -> NodeFault:
    """What an HTTP status other than success means."""
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return limit_fault(f"HTTP {status}", headers.get("Retry-After"))
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        why = "HTTP 401: it wants a key, or another one" if status == HTTPStatus.UNAUTHORIZED else "HTTP 403"
        fault = NodeFault(
            f"the node refuses you ({why})", "check the key in the address of --rpc, and its plan", is_lasting=True
        )
    elif status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        fault = TooLarge(f"the node answers HTTP {status}: that is too much at once", "give another --rpc")
    elif status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        fault = NodeFault("the proxy wants a password", "give it one", is_lasting=True)
    elif 300 <= status < 400:
        where = shown(urljoin(url, headers.get("Location", "")))
        to = "" if where == UNREADABLE else f" to {where}"
        fault = NodeFault(
            f"what answers redirects{to} (HTTP {status})", "give --rpc the node's own address", is_lasting=True
        )
    elif status == HTTPStatus.BAD_REQUEST and b"https" in body.lower():
        remedy = f"give --rpc {_with_scheme(url, secure=True)}"
        fault = NodeFault("the port speaks TLS (HTTP 400)", remedy, is_lasting=True)
    elif status in (HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED):
        fault = NodeFault(
            f"no node answers at this path (HTTP {status})", "check the address of --rpc", is_lasting=True
        )
    else:
        fault = NodeFault(f"the node answers HTTP {status}", "wait, or give another --rpc", is_passing=True)
    return _told(fault, url)


def limit_in(answer: Any, *, is_for_logs: bool = False) -> NodeFault | None:
    """The limit on requests that an answer speaks of; `is_for_logs`: it may as well be one on the range of blocks."""
    for part in answer if isinstance(answer, list) else [answer]:
        error = part.get("error") if isinstance(part, dict) else None
        if not isinstance(error, dict) or error.get("code") not in _LIMIT_CODES:
            continue
        message = str(error.get("message", "")).lower()
        if is_for_logs and not any(words in message for words in _LIMIT_WORDS):
            continue
        data = error.get("data")
        rate = data.get("rate") if isinstance(data, dict) else None
        asked_s = rate.get("backoff_seconds") if isinstance(rate, dict) else None  # some providers say it there
        return limit_fault(f"JSON-RPC error {error['code']}", None if asked_s is None else str(asked_s))
    return None


def limit_fault(how: str, retry_after: str | None) -> NodeFault:
    """The node is up, and allows fewer requests."""
    wait_s = retry_after_s(retry_after)
    when = f", try again in {wait_s:.0f} s" if wait_s else ""
    return NodeFault(
        f"the node is up, but allows you fewer requests than you send ({how}{when})",
        "wait, raise --poll-interval, or give a node of your own with --rpc",
        wait_s=wait_s,
    )


def retry_after_s(text: str | None) -> float:
    """Seconds that the header asks for, as a number or a date; 0 if it says nothing that can be understood."""
    if text is None:
        return 0.0
    try:
        seconds = float(text)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(text).timestamp() - time.time()
        except (ValueError, OverflowError):
            return 0.0
    return min(max(seconds, 0.0), MAX_WAIT_S) if seconds == seconds else 0.0


# --- proxies ---------------------------------------------------------------------------------------------------------


def proxy_of(url: str) -> str | None:
    """Address of the proxy that the environment sets for this URL; WebSockets take the one for HTTP."""
    if "://" not in url:
        return None
    as_http = _with_scheme(url, secure=url.startswith(("https:", "wss:")), whole=True)
    found: str | None = select_proxy(as_http, get_environ_proxies(as_http))
    return found


def _told(fault: NodeFault, url: str) -> NodeFault:
    """The same, said to somebody who may not know that there is a proxy on the way."""
    proxy = proxy_of(url)
    if proxy is None:
        return fault
    named = _variable_of(proxy)
    where = f"{fault.text}; the way there is the proxy {shown(proxy)}" + (f" of {named}" if named else "")
    remedy = f"{fault.remedy}, or go round it: no_proxy={_host(url)}"
    return type(fault)(where, remedy, wait_s=fault.wait_s, is_passing=fault.is_passing, is_lasting=fault.is_lasting)


def _variable_of(proxy: str) -> str | None:
    names = ("https_proxy", "http_proxy", "all_proxy")
    return next((name for each in names for name in (each, each.upper()) if os.environ.get(name) == proxy), None)


# --- parts -----------------------------------------------------------------------------------------------------------


def _causes(exc: BaseException) -> Iterator[BaseException]:
    """The exception and what it carries: libraries keep the cause in different places."""
    waiting, seen = [exc], set()
    while waiting:
        each = waiting.pop(0)
        if id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        inner = [*each.args, vars(each).get("reason"), each.__cause__, each.__context__]
        waiting += [part for part in inner if isinstance(part, BaseException)]


def _any(causes: list[BaseException], *kinds: type[BaseException]) -> bool:
    return any(isinstance(cause, kinds) for cause in causes)


def _host(url: str) -> str:
    address = shown(url)
    return "HOST" if address == UNREADABLE else str(urlsplit(address).hostname)


def _with_scheme(url: str, *, secure: bool, whole: bool = False) -> str:
    """The address, or the whole URL, as HTTP; of a WebSocket in a message, as one."""
    text = url if whole else shown(url)
    is_socket = text.startswith("ws") and not whole
    scheme = ("wss" if secure else "ws") if is_socket else ("https" if secure else "http")
    return scrub(f"{scheme}://{text.partition('://')[2]}") if not whole else f"{scheme}://{text.partition('://')[2]}"
