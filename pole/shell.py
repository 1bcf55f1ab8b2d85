"""Commands to copy from a message into a shell."""

import shlex
from pathlib import Path


def command(*words: str | Path) -> str:
    """The words as one line, quoted where a shell would split or expand them."""
    return shlex.join(str(word) for word in words)
