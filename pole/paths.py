"""Paths as people write them."""

from pathlib import Path

from pole.errors import BadInput


def expanded(path: str | Path) -> Path:
    """With `~` and `~NAME` replaced by the home folder; BadInput where there is none."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise BadInput(
            f"cannot tell which folder {str(path)!r} means: that user has no home folder here; set HOME, or give the "
            "path in full"
        ) from None
