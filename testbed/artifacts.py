"""ABIs and bytecode of the contracts without ape, cached by the content of the sources: for tests and measurements."""

import fcntl
import hashlib
import json
import os
import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import solcx

from pole.atomicfile import write_atomically
from pole.chain.deployment import CONTRACT_NAMES
from pole.errors import BadInput

ROOT = Path(__file__).parent.parent
CONTRACTS = ROOT / "contracts"
_PROFILE: dict[str, Any] = tomllib.loads((ROOT / "foundry.toml").read_text())["profile"]["default"]
VERSION = str(_PROFILE["solc"]).rpartition("solc-v")[2]
SETTINGS: dict[str, Any] = {
    "evmVersion": _PROFILE["evm_version"],
    "optimizer": {"enabled": _PROFILE["optimizer"], "runs": _PROFILE["optimizer_runs"]},
    "remappings": _PROFILE["remappings"],
}
_OUTPUTS = ["abi", "evm.bytecode.object", "evm.deployedBytecode.object"]
_IMPORT = re.compile(r'from "(\.[^"]+)"')


@dataclass(frozen=True)
class Edit:
    """One passage of a file in contracts/ changed, to see what happens without it; it must occur exactly once."""

    file: str
    passage: str
    replacement: str


def compiled(folder: Path = CONTRACTS) -> dict[str, dict[str, Any]]:
    """ABI, bytecode that creates, and runtime code of every contract in `folder`, which may import from contracts/.

    As `{contract: {"abi": [...], "bytecode": "0x...", "runtime": "0x..."}}`.
    """
    sources = _sources(folder)
    return _cached({**_sources(CONTRACTS), **sources}, sources, folder.name)


def compiled_with(edits: tuple[Edit, ...], roots: Sequence[str] = CONTRACT_NAMES) -> dict[str, dict[str, Any]]:
    """The same of those `roots` that the edits change, and of what they import; raises BadInput."""
    edited, all_sources = {f"contracts/{edit.file}" for edit in edits}, _sources(CONTRACTS)
    sources = _needed(all_sources, [root for root in roots if edited & _needed(all_sources, [root]).keys()])
    for edit in edits:
        name = f"contracts/{edit.file}"
        if sources.get(name, "").count(edit.passage) != 1:
            raise BadInput(f"{name} must contain {edit.passage!r} once; update the edit")
        sources[name] = sources[name].replace(edit.passage, edit.replacement)
    return _cached(sources, sources, "edited")


def _needed(sources: dict[str, str], roots: Sequence[str]) -> dict[str, str]:
    """The roots and all that they import, directly or not."""
    needed: dict[str, str] = {}
    waiting = [f"contracts/{root}.sol" for root in roots]
    while waiting:
        name = waiting.pop()
        if name not in needed:
            needed[name] = sources[name]
            folder = Path(name).parent
            waiting += [os.path.normpath(folder / path) for path in _IMPORT.findall(sources[name])]
    return needed


def _cached(all_sources: dict[str, str], sources: dict[str, str], label: str) -> dict[str, dict[str, Any]]:
    cache = ROOT / ".build" / f"compiled-{_digest(all_sources)}-{label}.json"
    if not cache.is_file():
        cache.parent.mkdir(exist_ok=True)
        with (cache.parent / "compiling.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # several processes of the tests ask at once
            if not cache.is_file():
                write_atomically(cache, json.dumps(_compile(sources)).encode())
    found: dict[str, dict[str, Any]] = json.loads(cache.read_bytes())
    return found


def _sources(folder: Path) -> dict[str, str]:
    """Source text by the name under which the compiler sees it."""
    return {str(path.relative_to(ROOT)): path.read_text() for path in sorted(folder.rglob("*.sol"))}


def _digest(sources: dict[str, str]) -> str:
    return hashlib.sha256(json.dumps([VERSION, SETTINGS, _OUTPUTS, sources], sort_keys=True).encode()).hexdigest()[:16]


def _compile(sources: dict[str, str]) -> dict[str, dict[str, Any]]:
    return {
        name: {
            "abi": contract["abi"],
            "bytecode": f"0x{contract['evm']['bytecode']['object']}",
            "runtime": f"0x{contract['evm']['deployedBytecode']['object']}",
        }
        for file in compile_standard(sources, _OUTPUTS).values()
        for name, contract in file.items()
    }


def compile_standard(sources: dict[str, str], outputs: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The compiler's own answer, file by file, with the settings of foundry.toml."""
    os.environ.setdefault("SOLCX_BINARY_PATH", str(ROOT / "tools" / "solc"))
    request = {
        "language": "Solidity",
        "sources": {name: {"content": text} for name, text in sources.items()},
        "settings": {**SETTINGS, "outputSelection": {"*": {"*": list(outputs)}}},
    }
    output = solcx.compile_standard(request, solc_version=VERSION, base_path=str(ROOT), allow_paths=[str(ROOT)])
    found: dict[str, dict[str, Any]] = output["contracts"]
    return found


def contract_sources(contract: str) -> dict[str, str]:
    """The sources that a contract of contracts/ is compiled from, but for those of packages."""
    return _needed(_sources(CONTRACTS), [contract])
