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


def make_private(folder: Path) -> None:
    """Make a folder and what is missing above it, all for their owner only: `mkdir(parents=True)` would open those."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    for each in reversed(missing):
        each.mkdir(mode=0o700, exist_ok=True)
