"""Builds an image of the Dockerfile in a folder: `python -m tools.chroot_image TARGET FOLDER`.

No container engine is needed, but root, debootstrap and Linux. It knows the instructions that our Dockerfile uses, and
refuses others. What the machine needs to reach package registries (a proxy's certificate, pip.conf, a variable) goes
along with `--carry PATH` and `--set NAME=VALUE`.
"""

import argparse
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pole.errors import BadInput

ROOT = Path(__file__).parent.parent
_SUITES = {"debian:12-slim": "bookworm", "debian:13-slim": "trixie"}
# In a name space of their own, so nothing stays mounted.
_MOUNTS = 'mount -t proc proc "$0/proc" && mount --rbind /dev "$0/dev" && exec /usr/sbin/chroot "$@"'
_LEFT_TO_ENGINES = ("HEALTHCHECK", "ENTRYPOINT")


@dataclass
class Stage:
    """One image that is being built: its root folder and what its instructions have set."""

    root: Path
    environment: dict[str, str] = field(default_factory=lambda: {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"})
    folder: str = "/"
    user: str = "root"


def instructions(text: str) -> Iterator[tuple[str, str]]:
    """Keyword and arguments of each line."""
    for line in text.replace("\\\n", " ").splitlines():
        if line.strip() and not line.startswith("#"):
            keyword, _, rest = line.partition(" ")
            yield keyword.upper(), rest.strip()


def build(target: str, folder: Path, mirror: str, carried: Sequence[Path], settings: Mapping[str, str]) -> Stage:
    """The stage `target`, in `folder`/`target`; those that it needs stand beside it. Raises BadInput."""
    stages: dict[str, Stage] = {}
    current: Stage | None = None
    for keyword, rest in instructions((ROOT / "Dockerfile").read_text()):
        if keyword == "FROM":
            if current is not None and stages.get(target) is current:
                break
            base, _, name = rest.partition(" AS ")
            current = _begin(stages, base, folder / name, mirror, carried)
            current.environment |= settings
            stages[name] = current
        elif current is None:
            raise BadInput(f"the Dockerfile begins with {keyword}, not with FROM")
        else:
            print(f"{current.root.name}: {keyword} {rest[:100]}", flush=True)
            _carry_out(keyword, rest, current, stages)
    if target not in stages:
        raise BadInput(f"the Dockerfile has no stage {target!r}, but {', '.join(stages)}")
    return stages[target]


def _begin(stages: dict[str, Stage], base: str, root: Path, mirror: str, carried: Sequence[Path]) -> Stage:
    if root.exists():
        raise BadInput(f"{root} exists; give a new folder")
    if base in stages:
        before = stages[base]
        _copy(before.root, root)
        return Stage(root, dict(before.environment), before.folder, before.user)
    if base not in _SUITES:
        raise BadInput(f"base image {base} is unknown here; use one of {', '.join(_SUITES)}")
    subprocess.run(
        ["/usr/sbin/debootstrap", "--variant=minbase", _SUITES[base], str(root), mirror],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    for path in carried:
        inside = root / path.relative_to("/")
        inside.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, inside)
    return Stage(root)


def _carry_out(keyword: str, rest: str, stage: Stage, stages: dict[str, Stage]) -> None:
    if keyword == "RUN":
        run_in(stage, ["sh", "-ec", rest])
    elif keyword == "ENV":
        name, _, value = rest.partition("=")
        stage.environment[name] = value
    elif keyword == "WORKDIR":
        stage.folder = rest
        (stage.root / rest.lstrip("/")).mkdir(parents=True, exist_ok=True)
    elif keyword == "USER":
        stage.user = rest
    elif keyword == "COPY":
        _copy_in(shlex.split(rest), stage, stages)
    elif keyword not in _LEFT_TO_ENGINES:
        raise BadInput(f"{keyword} is not known here; add it to tools/chroot_image.py")


def _copy_in(words: list[str], stage: Stage, stages: dict[str, Stage]) -> None:
    *sources, to = [word for word in words if not word.startswith("--")]
    target = stage.root / stage.folder.lstrip("/") / to if not to.startswith("/") else stage.root / to.lstrip("/")
    [origin] = [word.removeprefix("--from=") for word in words if word.startswith("--from=")] or [""]
    for source in sources:
        if origin:
            _copy(stages[origin].root / source.lstrip("/"), target)
        elif source == ".":
            _copy_tracked(target)
        else:
            target.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / source, target)


def _copy_tracked(target: Path) -> None:
    """The files of this checkout: what .dockerignore leaves out is not in git either."""
    names = subprocess.run(
        ["/usr/bin/git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout
    for name in filter(None, names.split("\0")):
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).exists():
            shutil.copy(ROOT / name, target / name, follow_symlinks=False)


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["/bin/cp", "-a", "--reflink=auto", str(source), str(target)], check=True)


def run_in(stage: Stage, command: Sequence[str], **options: str) -> None:
    """Run a command as the stage's user, with its environment and nothing of this one's; raises if it fails."""
    variables = [f"{name}={value}" for name, value in {**stage.environment, **options}.items()]
    inside = f"cd {shlex.quote(stage.folder)} && exec {shlex.join(command)}"
    chroot = [f"--userspec={stage.user}", str(stage.root), "/usr/bin/env", "-i", *variables, "sh", "-ec", inside]
    subprocess.run(["/usr/bin/unshare", "--mount", "/bin/sh", "-ec", _MOUNTS, str(stage.root), *chroot], check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--mirror", default="http://deb.debian.org/debian")
    parser.add_argument("--set", action="append", default=[], dest="settings")
    parser.add_argument("--carry", type=Path, action="append", default=[])
    given = parser.parse_args()
    try:
        made = build(
            given.target,
            given.folder.resolve(),
            given.mirror,
            given.carry,
            dict(each.split("=", 1) for each in given.settings),
        )
    except BadInput as exc:
        sys.exit(f"error: {exc}")
    print(made.root)


if __name__ == "__main__":
    main()
