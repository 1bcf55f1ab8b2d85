"""An HTTP peer on a real socket that answers byte for byte as a test says, and an IPFS store that talks to it."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from pole.storage.cid import cid_of
from pole.storage.ipfs import IpfsSettings, IpfsStore
from pole.storage.transfer import TransferLimits
from testbed.chain import free_port

MB = 1_000_000
SECRET = "Bearer not-for-anybody-else"
CONTENT = b"what was published"
CID = cid_of(CONTENT)
IMPATIENT = TransferLimits(connect_s=2.0, first_s=0.6, bytes_per_s=1 << 20)


@dataclass
class Talk:
    """One connection to the peer: what was asked, and how much was answered."""

    connection: socket.socket
    request: str = ""
    body: bytes = b""
    sent_bytes: int = 0

    @property
    def path(self) -> str:
        return self.request.split(" ", 2)[1]

    def header(self, name: str) -> str | None:
        for line in self.request.split("\r\n")[1:]:
            key, _, value = line.partition(":")
            if key.lower() == name.lower():
                return value.strip()
        return None

    def say(self, piece: bytes) -> None:
        """Raises OSError once the other side has hung up."""
        self.connection.sendall(piece)
        self.sent_bytes += len(piece)

    def answer(self, body: bytes, status: str = "200 OK", headers: str = "") -> None:
        """A complete and proper answer, the last on its connection: nobody may send a second request into its end."""
        head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n{headers}\r\n"
        self.say(head.encode() + body)


Answer = Callable[[Talk], None]


@dataclass
class Peer:
    port: int
    talks: list[Talk] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def peer(answer: Answer) -> Iterator[Peer]:
    """A peer that treats every connection with `answer`, each in a thread of its own."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        serving = Peer(int(listener.getsockname()[1]))
        threads: list[threading.Thread] = []
        is_over = threading.Event()

        def accept() -> None:
            while not is_over.is_set():
                with suppress(OSError):
                    connection, _ = listener.accept()
                    talk = Talk(connection)
                    serving.talks.append(talk)
                    threads.append(threading.Thread(target=_serve, args=(talk, answer), daemon=True))
                    threads[-1].start()

        acceptor = threading.Thread(target=accept, daemon=True)
        acceptor.start()
        try:
            yield serving
        finally:
            is_over.set()
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            for talk in serving.talks:
                with suppress(OSError):
                    talk.connection.shutdown(socket.SHUT_RDWR)
            for thread in [acceptor, *threads]:
                thread.join(120)


def _serve(talk: Talk, answer: Answer) -> None:
    with talk.connection, suppress(OSError):
        _read_request(talk)
        answer(talk)
        talk.connection.shutdown(socket.SHUT_WR)


def _read_request(talk: Talk) -> None:
    """Headers and the whole body: a socket closed with something unread in it resets the connection."""
    raw = b""
    while b"\r\n\r\n" not in raw:
        raw += _more(talk)
    head, _, body = raw.partition(b"\r\n\r\n")
    talk.request = head.decode()
    while talk.header("Transfer-Encoding") == "chunked" and not body.endswith(b"\r\n0\r\n\r\n"):
        body += _more(talk)
    while len(body) < int(talk.header("Content-Length") or 0):
        body += _more(talk)
    talk.body = body


def _more(talk: Talk) -> bytes:
    piece = talk.connection.recv(1 << 16)
    if not piece:
        raise ConnectionError
    return piece


ENDLESS = {
    "until it hangs up": b"HTTP/1.1 200 OK\r\n\r\n",
    "5 GB as announced": b"HTTP/1.1 200 OK\r\nContent-Length: 5000000000\r\n\r\n",
    "one chunk of 5 GB": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n12a05f200\r\n",
}


def daemon_error(message: str) -> Answer:
    """What Kubo says when it refuses."""
    body = json.dumps({"Message": message, "Code": 0, "Type": "error"}).encode()
    return lambda talk: talk.answer(body, "500 Internal Server Error", "Content-Type: application/json\r\n")


def endless(head: bytes) -> Answer:
    """5 GB, unless the other side hangs up."""

    def answer(talk: Talk) -> None:
        talk.say(head)
        for _ in range(5000):
            talk.say(bytes(MB))

    return answer


def drip(start: bytes) -> Answer:
    """A byte every tenth of a second for a minute."""

    def answer(talk: Talk) -> None:
        talk.say(start)
        for _ in range(600):
            time.sleep(0.1)
            talk.say(b"1")

    return answer


def silent(talk: Talk) -> None:
    """Reads and says nothing."""
    talk.connection.settimeout(60)
    talk.connection.recv(1)


def store_at(url: str, folder: Path, gateway: str | None = None, limits: TransferLimits = IMPATIENT) -> IpfsStore:
    return IpfsStore(url, IpfsSettings(folder / "fetched", gateway, SECRET, limits))


def kept(folder: Path) -> list[str]:
    """What is in the folder of copies, finished or not."""
    return sorted(path.name for path in (folder / "fetched").glob("*"))


def nobody() -> str:
    """An address where nobody listens."""
    return f"http://127.0.0.1:{free_port()}"
