"""Copies what the explorer's pages load out of the pinned npm packages; nothing of theirs is committed."""

import json
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
VENDOR = ROOT / "explorer" / "web" / "vendor"
FILES = {
    "htmx.min.js": ("htmx.org", "dist/htmx.min.js"),
    "hx-sse.min.js": ("htmx.org", "dist/ext/hx-sse.min.js"),
    "pico.min.css": ("@picocss/pico", "css/pico.classless.min.css"),
    "uplot.min.js": ("uplot", "dist/uPlot.iife.min.js"),
    "uplot.min.css": ("uplot", "dist/uPlot.min.css"),
}


def main() -> int:
    """Copy every file; a package of another version than package.json pins is an error."""
    pinned = json.loads((ROOT / "package.json").read_text())["dependencies"]
    VENDOR.mkdir(parents=True, exist_ok=True)
    for name, (package, path) in FILES.items():
        folder = ROOT / "node_modules" / package
        if not (folder / path).is_file():
            print(f"error: {package} is not installed; run `npm ci`", file=sys.stderr)
            return 1
        found = json.loads((folder / "package.json").read_text())["version"]
        if found != pinned[package]:
            print(f"error: {package} {found} is installed, {pinned[package]} is pinned; run `npm ci`", file=sys.stderr)
            return 1
        shutil.copyfile(folder / path, VENDOR / name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
