"""Commands in processes forked from one that has loaded their libraries, which takes longer than most of them run."""

import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from multiprocessing import forkserver
from pathlib import Path

_ROOT = Path(__file__).parents[1]
_LIBRARIES = [
    *("dataclient.serve", "dataclient.submit", "dataclient.collect", "dataclient.audit", "dataclient.predict"),
    *("dataclient.drafting.draft", "dataclient.delivery.deliver", "dataclient.gradient.submit"),
    *("miner.learning.node", "miner.training.default", "miner.gradient.node", "testbed.patient"),
    *("verifier.node", "pole.node.cli", "pandas", "sklearn.linear_model"),
]


class ForkedProcess:
    """`python -m ARGUMENTS...`, in a session of its own, with the methods of subprocess.Popen.

    It has no command line of its own. `out`, `err`: files that it appends to.
    """

    def __init__(
        self, arguments: Sequence[str], folder: Path, environment: Mapping[str, str], out: Path, err: Path
    ) -> None:
        self.args = list(arguments)
        _start_server()
        given = (self.args, str(folder), dict(environment), str(out), str(err))
        self._process = multiprocessing.get_context("forkserver").Process(target=_become, args=given)
        self._process.start()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """Negative for a signal; None while it runs."""
        return self._process.exitcode

    def poll(self) -> int | None:
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        if self.returncode is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0.0)
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def _start_server() -> None:
    """Unless it runs; torch sees at its import how many threads it has."""
    multiprocessing.set_forkserver_preload(_LIBRARIES)
    own = {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(_ROOT)}
    before = {name: os.environ.get(name) for name in own}
    os.environ.update(own)
    try:
        forkserver.ensure_running()
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _become(arguments: list[str], folder: str, environment: dict[str, str], out: str, err: str) -> None:
    os.setsid()
    for number, path in ((1, out), (2, err)):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    module, *rest = arguments
    sys.path.insert(0, folder)
    sys.argv = [module, *rest]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
