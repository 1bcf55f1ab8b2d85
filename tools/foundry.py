"""Installs anvil and forge where `npm ci` leaves them out.

They are native programs in packages of their own, one for each platform. npm skips those with a Node that is older than
the packages name, Debian 12's for example, although the programs need no Node. What package-lock.json pins is fetched
then, checked by its hash, and put where npm would have put it.
"""

import base64
import hashlib
import json
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
TOOLS = ("anvil", "forge")
_CPUS = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}


def package_of(tool: str, system: str, machine: str) -> str:
    """Name of the package whose program runs here."""
    return f"@foundry-rs/{tool}-{system.lower()}-{_CPUS.get(machine.lower(), machine)}"


def install(tool: str, root: Path = ROOT) -> None:
    """Nothing happens where the program is already there. Raises ValueError and what subprocess raises."""
    name = package_of(tool, platform.system(), platform.machine())
    modules = root / "node_modules"
    program = modules / name / "bin" / tool
    if not program.exists():
        locked = json.loads((root / "package-lock.json").read_text())["packages"].get(f"node_modules/{name}", {})
        if "integrity" not in locked:
            raise ValueError(f"there is no {tool} for {platform.system()} on {platform.machine()}; use another machine")
        _fetch(f"{name}@{locked['version']}", locked["integrity"], modules / name)
    link = modules / ".bin" / tool
    if not link.exists():
        link.symlink_to(Path("..", name, "bin", tool))


def _fetch(package: str, integrity: str, folder: Path) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        subprocess.run(
            ["/usr/bin/env", "npm", "pack", "--silent", "--pack-destination", scratch, package],
            check=True,
            stdout=subprocess.DEVNULL,
            cwd=scratch,
        )
        [archive] = Path(scratch).glob("*.tgz")
        check(archive.read_bytes(), integrity, package)
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run(["/usr/bin/env", "tar", "-xzf", archive, "-C", folder, "--strip-components=1"], check=True)


def check(content: bytes, integrity: str, package: str) -> None:
    """Raises ValueError unless `content` has the hash that npm's lock file gives: `sha512-` and base64."""
    algorithm, _, expected = integrity.partition("-")
    found = base64.b64encode(hashlib.new(algorithm, content).digest()).decode()
    if found != expected:
        raise ValueError(f"{package} is not what package-lock.json pins: its {algorithm} is {found}, not {expected}")


def main() -> int:
    try:
        for tool in TOOLS:
            install(tool)
    except (ValueError, OSError, subprocess.CalledProcessError) as exc:
        print(f"error: {exc}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
