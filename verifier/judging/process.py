"""Keeps a judging process running, and reports how it ended."""

import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO

from pydantic import ValidationError

from pole.settings import variable
from pole.task.manifest import Document
from verifier.judging.messages import Finding, FindingKind, JudgingLimits

# Nothing else of the verifier's environment reaches the process: no password, no authorization, no node's address.
PASSED_ENVIRONMENT = (
    *("PATH", "PYTHONPATH", "VIRTUAL_ENV", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH"),
    *map(variable, ("ipfs_gateway", "ipfs_cache", "ipfs_patience_s")),
    *("NUMBA_CACHE_DIR", "XDG_CACHE_HOME", "PYTHONPYCACHEPREFIX", "PYTHONDONTWRITEBYTECODE"),
)


class JudgingProcess:
    """Keeps a judging process running, since starting one takes seconds, and replaces one that died.

    `module`: what the process runs.
    """

    def __init__(self, limits: JudgingLimits, module: str = "verifier.learning.judge") -> None:
        self.how_it_ended = ""
        self._limits, self._module = limits, module
        self._process: _ChildProcess | None = None

    def __enter__(self) -> "JudgingProcess":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Starts the process, if there is none; it loads its libraries in the background."""
        if self._process is None:
            self._process = _ChildProcess(self._limits, self._module)

    def close(self) -> None:
        """Ends the process."""
        if self._process is not None:
            self._process.close()
            self._process = None

    def ask(self, request: Document, give_up_at_s: float) -> Iterator[Finding]:
        """Findings as they come, `done` last. Without that, the process is gone and `how_it_ended` says why."""
        self.start()
        assert self._process is not None
        is_done = False
        try:
            for finding in self._process.ask(request, self._limits.wall_s, give_up_at_s):
                is_done = finding.kind is FindingKind.DONE
                yield finding
        finally:
            if not is_done:
                self.how_it_ended = self._process.how_it_ended()
                self.close()


class _ChildProcess:
    """One child process. It ends with `close`, and by itself if this process dies."""

    def __init__(self, limits: JudgingLimits, module: str) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed in `close`
        self._process = subprocess.Popen(
            [sys.executable, "-m", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env={name: os.environ[name] for name in PASSED_ENVIRONMENT if name in os.environ},
            cwd=Path(__file__).parents[2],
            start_new_session=True,
        )
        self._stdin, self._stdout = _pipe(self._process.stdin), _pipe(self._process.stdout)
        self._lines: queue.Queue[bytes | None] = queue.Queue()
        self._ended = ""
        self._thread = threading.Thread(target=self._pump, daemon=True)
        self._thread.start()
        self._write(limits.model_dump_json())

    @property
    def pid(self) -> int:
        return self._process.pid

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        self._thread.join()
        with suppress(OSError):
            self._stdin.close()
        self._stdout.close()
        self._errors.close()

    def ask(self, request: Document, wall_s: float, give_up_at_s: float) -> Iterator[Finding]:
        """Findings until `done`, or the process's end, or `wall_s` without one, or `give_up_at_s`."""
        self._write(request.model_dump_json())
        while True:
            patience_s = min(wall_s, give_up_at_s - time.monotonic())
            try:
                raw = self._lines.get(timeout=max(0.0, patience_s))
                if raw is None:
                    return
                finding = Finding.model_validate_json(raw)
            except queue.Empty:
                self._ended = f"no finding within {patience_s:.0f} s"
                return
            except ValidationError:
                self._ended = f"it wrote something that is no finding: {raw!r:.100}"
                return
            yield finding
            if finding.kind is FindingKind.DONE:
                return

    def how_it_ended(self) -> str:
        """What was wrong with it, for people."""
        if self._ended:
            return self._ended
        code = self._process.poll()
        if code is None:
            return "it was interrupted"
        self._errors.seek(0)
        last = self._errors.read()[-2000:].decode(errors="replace").strip().rpartition("\n")[2]
        return f"signal {-code}" if code < 0 else f"exit code {code}: {last}"

    def _write(self, line: str) -> None:
        with suppress(OSError):  # the process is gone; the end of its output says so
            self._stdin.write(line.encode() + b"\n")
            self._stdin.flush()

    def _pump(self) -> None:
        """Queues the output until the process ends."""
        for line in self._stdout:
            self._lines.put(line)
        self._process.wait()
        self._lines.put(None)


def _pipe(stream: IO[bytes] | None) -> IO[bytes]:
    assert stream is not None
    return stream
