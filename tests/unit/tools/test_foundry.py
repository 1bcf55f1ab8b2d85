"""anvil and forge are there with any Node, and are what the lock file pins."""

import json
import platform
import subprocess
from pathlib import Path

import pytest

from tools import foundry

NAME = "@foundry-rs/anvil-linux-amd64"
EMPTY = "sha512-z4PhNX7vuL3xVChQ1m2AB9Yg5AULVxXcg/SpIdNs6c5H0NE8XYXysP+DGNKHfuwvY7kxvUdBeoGlODJ6+SfaPg=="


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One that npm has been through, without the platform's packages."""
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    (tmp_path / "node_modules" / ".bin").mkdir(parents=True)
    return tmp_path


def lock(checkout: Path, **entry: str) -> None:
    packages = {f"node_modules/{NAME}": {"version": "1.7.1", **entry}}
    (checkout / "package-lock.json").write_text(json.dumps({"packages": packages}))


def packing(monkeypatch: pytest.MonkeyPatch, content: bytes) -> list[list[str]]:
    """Commands that were run; npm packs `content`."""
    ran: list[list[str]] = []

    def run(command: list[str], **_options: object) -> None:
        ran.append(command)
        if command[1] == "npm":
            (Path(command[command.index("--pack-destination") + 1]) / "it.tgz").write_bytes(content)

    monkeypatch.setattr(subprocess, "run", run)
    return ran


@pytest.mark.parametrize(
    ("system", "machine", "package"),
    [
        ("Linux", "x86_64", "linux-amd64"),
        ("Linux", "aarch64", "linux-arm64"),
        ("Darwin", "arm64", "darwin-arm64"),
        ("Linux", "riscv64", "linux-riscv64"),
    ],
)
def test_package_of__platform__as_npm_names_it(system: str, machine: str, package: str) -> None:
    assert foundry.package_of("forge", system, machine) == f"@foundry-rs/forge-{package}"


def test_install__platform_without_a_package__error(checkout: Path) -> None:
    (checkout / "package-lock.json").write_text('{"packages": {}}')
    with pytest.raises(ValueError, match="no anvil for Linux on x86_64"):
        foundry.install("anvil", checkout)


def test_install__other_content_than_locked__error_and_nothing_unpacked(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock(checkout, integrity=EMPTY)
    ran = packing(monkeypatch, b"something else")
    with pytest.raises(ValueError, match=f"{NAME}@1.7.1 is not what package-lock.json pins"):
        foundry.install("anvil", checkout)
    assert [command[1] for command in ran] == ["npm"]


def test_install__left_out_by_npm__fetched_unpacked_and_linked(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock(checkout, integrity=EMPTY)
    ran = packing(monkeypatch, b"")
    foundry.install("anvil", checkout)
    assert [command[1] for command in ran] == ["npm", "tar"]
    assert f"{NAME}@1.7.1" in ran[0]
    link = checkout / "node_modules" / ".bin" / "anvil"
    assert link.readlink() == Path("..", NAME, "bin", "anvil")


def test_install__already_there__nothing_fetched_and_npms_link_kept(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = packing(monkeypatch, b"")
    program = checkout / "node_modules" / NAME / "bin" / "anvil"
    program.parent.mkdir(parents=True)
    program.touch()
    link = checkout / "node_modules" / ".bin" / "anvil"
    link.symlink_to("launcher")
    (link.parent / "launcher").touch()
    foundry.install("anvil", checkout)
    assert (ran, link.readlink()) == ([], Path("launcher"))


def test_install__this_checkout__both_answer() -> None:
    for tool in foundry.TOOLS:
        foundry.install(tool)
        program = foundry.ROOT / "node_modules" / ".bin" / tool
        answer = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
        assert answer.stdout.startswith(f"{tool} Version: 1.7.1")
