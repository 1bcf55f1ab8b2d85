"""The demo's processes and folders: a chain, the deployed contracts, key files and the roles."""

import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from eth_account import Account

from pole.errors import PoleError
from pole.node.cli import RPC_VARIABLE
from pole.node.keyfile import create_account
from pole.node.passwords import PASSWORD_VARIABLE
from pole.settings import variable
from testbed.chain import MNEMONIC, DevChain
from testbed.forked import ForkedProcess

ROOT = Path(__file__).parents[1]
# Weak on purpose: the keys are the published test keys, and eight processes decrypt at once.
_KDF_ITERATIONS = 1 << 10
_STOP_TIMEOUT_S = 10.0

Process = subprocess.Popen[bytes] | ForkedProcess


class DemoFailed(PoleError):
    """A step of the demo ended with an error; carries the end of what it printed."""


@dataclass(frozen=True)
class Actor:
    """One account and the role that it plays."""

    name: str
    role: str
    address: str
    keyfile: Path
    home: Path


@dataclass
class Stage:
    """Where the demo runs; commands get the chain, the store and the password from here.

    `stores`: by role, where it is not the folder that all share. `is_forking`: processes need not load their libraries,
    see `testbed.forked`; what a test says of command lines or of the start itself is then not seen. `variables`: more
    of the environment.
    """

    folder: Path
    chain: DevChain
    stores: dict[str, str] = field(default_factory=dict)
    is_forking: bool = False
    variables: dict[str, str] = field(default_factory=dict, repr=False)
    processes: dict[str, Process] = field(default_factory=dict)
    _password: str = field(default_factory=lambda: secrets.token_urlsafe(16), repr=False)

    def store(self, role: str) -> str:
        """What a role's --store is."""
        return self.stores.get(role, str(self.folder / "store"))

    @property
    def deployment(self) -> Path:
        return self.folder / "deployment.json"

    def actor(self, name: str, role: str, index: int) -> Actor:
        """Create the key file of development account `index` for a role."""
        Account.enable_unaudited_hdwallet_features()
        key = Account.from_mnemonic(MNEMONIC, account_path=f"m/44'/60'/0'/0/{index}").key
        keyfile = self.folder / "keys" / f"{name}.json"
        address = create_account(keyfile, self._password, private_key=bytes(key), kdf_iterations=_KDF_ITERATIONS)
        return Actor(name, role, address, keyfile, self.folder / name)

    def run(self, arguments: Sequence[str], actor: Actor | None = None, shows_output: bool = False) -> str:
        """Run a command to its end and return its standard output; raises DemoFailed.

        `shows_output`: its messages and progress bars go to the terminal.
        """
        if self.is_forking:
            return self._run_forked(arguments, actor)
        finished = subprocess.run(
            [sys.executable, "-m", *arguments, *self._options(actor)],
            cwd=self.folder,
            env=self.environment(actor),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=None if shows_output else subprocess.PIPE,
            text=True,
            check=False,
        )
        return _output_of(arguments, finished.returncode, finished.stdout, finished.stderr)

    def _run_forked(self, arguments: Sequence[str], actor: Actor | None) -> str:
        with tempfile.TemporaryDirectory() as folder:
            out, err = Path(folder, "out"), Path(folder, "err")
            command = [*arguments, *self._options(actor)]
            status = ForkedProcess(command, self.folder, self.environment(actor), out, err).wait()
            return _output_of(arguments, status, out.read_text(), err.read_text())

    def start(self, arguments: Sequence[str], actor: Actor) -> None:
        """Start a role in the background; its log goes to <name>.log."""
        command, environment = [*arguments, *self._options(actor)], self.environment(actor)
        log_file = self.log_of(actor)
        if self.is_forking:
            self.processes[actor.name] = ForkedProcess(command, self.folder, environment, log_file, log_file)
            return
        with log_file.open("ab") as log:
            self.processes[actor.name] = subprocess.Popen(
                [sys.executable, "-m", *command],
                cwd=self.folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C reaches the demo only, which stops the roles in order
            )

    def log_of(self, actor: Actor) -> Path:
        return self.folder / f"{actor.name}.log"

    def failed(self) -> list[str]:
        """Names of roles that ended with an error."""
        return [name for name, process in self.processes.items() if process.poll() not in (None, 0)]

    def stop(self) -> None:
        """Ask all roles to stop, then make them."""
        for process in self.processes.values():
            if process.poll() is None:
                process.terminate()
        deadline = time.monotonic() + _STOP_TIMEOUT_S
        for process in self.processes.values():
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def deploy(self) -> None:
        """`ape run deploy` on the running chain."""
        command = [
            str(Path(sys.executable).with_name("ape")),
            "run",
            "deploy",
            "--network",
            f"ethereum:local:{self.chain.rpc_url}",
        ]
        command += ["--profile", "local", "--out", str(self.deployment), "--store", self.store("deployer")]
        finished = subprocess.run(
            command,
            cwd=ROOT,
            env={**self.environment(), "SOLCX_BINARY_PATH": str(ROOT / "tools" / "solc")},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if finished.returncode != 0:
            raise DemoFailed(f"ape run deploy failed:\n{(finished.stdout + finished.stderr)[-3000:]}")

    def _options(self, actor: Actor | None) -> list[str]:
        if actor is None:
            return []
        options = ["--deployment", str(self.deployment), "--store", self.store(actor.role)]
        return [*options, "--home", str(actor.home), "--account", str(actor.keyfile)]

    def environment(self, actor: Actor | None = None) -> Mapping[str, str]:
        """What a process of the stage finds in its environment, password and node included."""
        own = {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), variable("locks"): str(self.folder / "locks")}
        # Copies of what an actor fetched are its own, as on a machine of its own.
        own |= {} if actor is None else {variable("ipfs_cache"): str(actor.home / "fetched")}
        return {
            **os.environ,
            **own,
            RPC_VARIABLE: self.chain.rpc_url,
            PASSWORD_VARIABLE: self._password,
        } | self.variables


def _output_of(arguments: Sequence[str], status: int, out: str, err: str | None) -> str:
    if status != 0:
        raise DemoFailed(f"{' '.join(arguments[:2])} failed:\n{(err or out)[-2000:]}")
    return out


@contextmanager
def stage(folder: Path, chain: DevChain) -> Iterator[Stage]:
    """A stage whose processes are stopped whatever happens."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    built = Stage(folder, chain)
    try:
        yield built
    finally:
        built.stop()
