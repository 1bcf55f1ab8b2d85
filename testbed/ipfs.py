"""IPFS daemons as child processes, for the demo and for tests: a private network, connected to nothing else."""

import json
import os
import secrets
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pole.errors import BadInput, StoreError
from pole.paths import expanded
from pole.storage.kubo import Kubo
from pole.storage.transfer import TransferLimits
from testbed.chain import free_port
from testbed.children import end

BINARY_VARIABLE = "POLE_KUBO"
_ROOT = Path(__file__).parent.parent
_MODULE = "github.com/ipfs/kubo"
_START_TIMEOUT_S = 60.0
_STOP_TIMEOUT_S = 15.0


def kubo_binary() -> Path:
    """The daemon's executable: $POLE_KUBO, or what `make kubo` built. Raises BadInput if there is none."""
    named = os.environ.get(BINARY_VARIABLE)
    binary = Path(named) if named else _cache() / "kubo" / kubo_version() / "ipfs"
    if not os.access(binary, os.X_OK):
        how = f"correct ${BINARY_VARIABLE}" if named else "run `make kubo` (needs Go)"
        raise BadInput(f"there is no Kubo at {binary}; {how}")
    return binary


def kubo_version() -> str:
    """The version that tools/kubo/go.mod pins, such as v0.43.0."""
    words = (_ROOT / "tools" / "kubo" / "go.mod").read_text().split()
    return words[words.index(_MODULE) + 1]


def _cache() -> Path:
    """As in the Makefile: outside of the checkout, since the build takes minutes."""
    return Path(os.environ.get("XDG_CACHE_HOME") or expanded("~/.cache")) / "pole"


@dataclass
class IpfsDaemon:
    """A Kubo repository, and its daemon while it runs; ports stay the same through a restart."""

    repository: Path
    binary: Path
    api_port: int
    swarm_port: int
    gateway_port: int
    peer_id: str = ""
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)
    peers: list["IpfsDaemon"] = field(default_factory=list, repr=False)

    @property
    def address(self) -> str:
        """Of its API, as `open_store` takes it."""
        return f"/ip4/127.0.0.1/tcp/{self.api_port}"

    @property
    def gateway(self) -> str:
        return f"http://127.0.0.1:{self.gateway_port}"

    @property
    def swarm_address(self) -> str:
        return f"/ip4/127.0.0.1/tcp/{self.swarm_port}"

    def initialise(self, swarm_key: str) -> None:
        """Make the repository; only peers with the same key can talk to each other."""
        self.run("init", "--profile=test")
        config = self._config()
        self.peer_id = config["Identity"]["PeerID"]
        config["Addresses"] |= {
            "API": self.address,
            "Gateway": f"/ip4/127.0.0.1/tcp/{self.gateway_port}",
            "Swarm": [self.swarm_address],
        }
        config["Routing"] = {"Type": "none"}
        config["Provide"] = {"Enabled": False}
        config["Swarm"] |= {
            "DisableNatPortMap": True,
            "RelayClient": {"Enabled": False},
            "Transports": {"Network": {"Websocket": False}},  # shares the port with TCP, which private networks cannot
        }
        self._keep_config(config)
        (self.repository / "swarm.key").write_text(swarm_key)

    def befriend(self, peers: list["IpfsDaemon"]) -> None:
        """Let it connect to these, and to these again whenever the connection breaks."""
        self.peers = peers
        config = self._config()
        config["Peering"] = {"Peers": [{"ID": peer.peer_id, "Addrs": [peer.swarm_address]} for peer in peers]}
        self._keep_config(config)

    def start(self) -> None:
        """Raises StoreError if it does not come up."""
        with (self.repository / "daemon.log").open("ab") as log:
            self.process = subprocess.Popen(
                [self.binary, "daemon"],
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C reaches the caller only, which then stops it in its own order
            )
        self._wait_until_up(self.process)
        for peer in self.peers:
            if peer.process is not None:  # by itself, it takes its time to connect
                self.run("swarm", "connect", f"{peer.swarm_address}/p2p/{peer.peer_id}")

    def _wait_until_up(self, process: subprocess.Popen[bytes]) -> None:
        api, deadline_s = Kubo(self.address, TransferLimits(first_s=5.0)), time.monotonic() + _START_TIMEOUT_S
        while True:
            try:
                api.pins()
                return
            except StoreError as exc:
                if process.poll() is not None or time.monotonic() > deadline_s:
                    raise StoreError(f"the IPFS daemon did not come up; see {self.repository}/daemon.log") from exc
            time.sleep(0.1)

    def stop(self, *, is_crash: bool = False) -> None:
        """`is_crash`: with SIGKILL, so that it gets no chance to write anything."""
        if self.process is None:
            return
        if is_crash:
            self.process.kill()
        end(self.process, _STOP_TIMEOUT_S)
        self.process = None

    def run(self, *arguments: str) -> str:
        """What `ipfs <arguments>` prints; raises StoreError if it fails."""
        done = subprocess.run(
            [self.binary, *arguments],
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
        if done.returncode != 0:
            raise StoreError(f"ipfs {arguments[0]} failed: {done.stderr.decode(errors='replace')[-500:]}")
        return done.stdout.decode()

    def _environment(self) -> dict[str, str]:
        ours = {"IPFS_PATH": str(self.repository), "LIBP2P_FORCE_PNET": "1", "IPFS_TELEMETRY": "off"}
        return {**os.environ, **ours}

    def _config(self) -> dict[str, Any]:
        return dict(json.loads((self.repository / "config").read_text()))

    def _keep_config(self, config: dict[str, Any]) -> None:
        (self.repository / "config").write_text(json.dumps(config))


@contextmanager
def ipfs_network(folder: Path, count: int = 2) -> Iterator[list[IpfsDaemon]]:
    """Running daemons with empty repositories that know each other and nobody else; stopped at the end.

    Raises BadInput if there is no Kubo.
    """
    binary = kubo_binary()
    daemons = [
        IpfsDaemon(folder / f"ipfs-{i}", binary, free_port(), free_port(), free_port()) for i in range(1, 1 + count)
    ]
    swarm_key = f"/key/swarm/psk/1.0.0/\n/base16/\n{secrets.token_hex(32)}\n"
    for daemon in daemons:
        shutil.rmtree(daemon.repository, ignore_errors=True)
        daemon.repository.mkdir(parents=True)
        daemon.initialise(swarm_key)
    try:
        for daemon in daemons:
            daemon.befriend([peer for peer in daemons if peer is not daemon])
            daemon.start()
        yield daemons
    finally:
        for daemon in daemons:
            daemon.stop()
