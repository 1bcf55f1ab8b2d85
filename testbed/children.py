"""Ends a child process that was started in a session of its own."""

import os
import signal
import subprocess


def end(process: subprocess.Popen[bytes], timeout_s: float) -> None:
    """Asks it to stop; after that time, makes it and whatever it started in its session."""
    process.terminate()
    try:
        process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)  # a launcher alone would leave what it started behind
        process.wait()
