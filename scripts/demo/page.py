"""The explorer beside the demo: a page to watch it in a browser. The demo works on if it fails or nobody looks."""

import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console

from testbed.chain import free_port
from testbed.processes import Stage

_USUAL_PORT = 8080
_STOP_TIMEOUT_S = 10.0


@dataclass
class ExplorerPage:
    """A process of its own, with a log beside those of the roles."""

    built: Stage
    port: int
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def start(self) -> None:
        """Once the contracts are deployed."""
        folder = self.built.folder
        command = [sys.executable, "-m", "explorer", "--port", str(self.port), "--poll-interval", "0.5"]
        command += ["--deployment", str(self.built.deployment), "--store", self.built.store("dataclient")]
        with (folder / "explorer.log").open("ab") as log:
            self.process = subprocess.Popen(
                [*command, "--home", str(folder / "explorer")],
                cwd=folder,
                env=self.built.environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C reaches the demo only
            )

    def wait_for_ctrl_c(self, console: Console) -> None:
        """With chain and page up."""
        console.print(f"Chain and page stay up until Ctrl-C: [bold]{self.address}[/bold], {self.built.chain.rpc_url}")
        with contextlib.suppress(KeyboardInterrupt):
            while True:
                time.sleep(1)

    def stop(self) -> None:
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@contextmanager
def explorer_page(console: Console, built: Stage) -> Iterator[ExplorerPage]:
    """Says where it will be; stopped whatever happens."""
    page = ExplorerPage(built, _port())
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
