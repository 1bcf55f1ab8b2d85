"""The explorer as a process beside the roles of a stage: the page of the demo, and of campaigns."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from testbed.children import end
from testbed.processes import Stage

_STOP_TIMEOUT_S = 10.0


@dataclass
class ExplorerProcess:
    """Its log lies beside those of the roles."""

    built: Stage
    port: int
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    @property
    def home(self) -> Path:
        return self.built.folder / "explorer"

    @property
    def options(self) -> list[str]:
        """What every command of the explorer is given here."""
        return ["--deployment", str(self.built.deployment), "--home", str(self.home)]

    def start(self) -> None:
        """Once the contracts are deployed."""
        command = [sys.executable, "-m", "explorer", *self.options, "--port", str(self.port), "--poll-interval", "0.5"]
        with (self.built.folder / "explorer.log").open("ab") as log:
            self.process = subprocess.Popen(
                [*command, "--store", self.built.store("dataclient")],
                cwd=self.built.folder,
                env=self.built.environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C reaches the caller only
            )

    def stop(self) -> None:
        if self.process is not None:
            end(self.process, _STOP_TIMEOUT_S)
