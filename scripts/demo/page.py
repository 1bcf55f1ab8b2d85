"""The explorer beside the demo: a page to watch it in a browser. The demo works on if it fails or nobody looks."""

import contextlib
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console

from testbed.chain import free_port
from testbed.explorer import ExplorerProcess
from testbed.processes import Stage

_USUAL_PORT = 8080


def wait_for_ctrl_c(console: Console, page: ExplorerProcess) -> None:
    """With chain and page up."""
    console.print(f"Chain and page stay up until Ctrl-C: [bold]{page.address}[/bold], {page.built.chain.rpc_url}")
    with contextlib.suppress(KeyboardInterrupt):
        while True:
            time.sleep(1)


@contextmanager
def explorer_page(console: Console, built: Stage) -> Iterator[ExplorerProcess]:
    """Says where it will be; stopped whatever happens."""
    page = ExplorerProcess(built, _port())
    console.print(f"Watch it in a browser: [bold]{page.address}[/bold] (once the contracts are deployed)")
    try:
        yield page
    finally:
        page.stop()


def _port() -> int:
    """The usual one, if nobody has it."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", _USUAL_PORT))
        except OSError:
            return free_port()
    return _USUAL_PORT
