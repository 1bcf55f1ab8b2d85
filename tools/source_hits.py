"""From executed instructions to the Solidity that they came from, through solc's source maps."""

import json
import subprocess
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# The CBOR tail names the compilation, not the code.
_METADATA_BYTES = 53
_PUSH1, _PUSH32 = 0x60, 0x7F
_OUTPUTS = ["evm.bytecode.object", "evm.bytecode.sourceMap", "evm.deployedBytecode"]

Span = tuple[int, int]
"""First character (byte) of a piece of source, and the one after its last."""


@dataclass(frozen=True)
class Code:
    """One contract's creation or runtime code, with the bytes masked that differ between deployments."""

    masked: bytes
    holes: tuple[Span, ...]
    is_creation: bool
    source_map: str

    def matches(self, executed: bytes) -> bool:
        compared = len(self.masked) - _METADATA_BYTES
        if compared <= 0 or len(executed) < len(self.masked):
            return False
        if not self.is_creation and len(executed) != len(self.masked):
            return False
        return _mask(executed[:compared], self.holes) == self.masked[:compared]

    def spans(self, counters: set[int]) -> Iterator[tuple[int, Span]]:
        """The source (file index, span) of each executed instruction."""
        indices = _instruction_indices(self.masked)
        places = list(_decompress(self.source_map))
        for counter in counters:
            index = indices.get(counter)
            if index is not None and index < len(places):
                start, length, file = places[index]
                if file >= 0:
                    yield file, (start, start + length)


def compile_unoptimised(project: Path) -> dict[str, Any]:
    """solc's answer for all contracts of a project, with the settings of ape-config.yaml but for the optimiser."""
    sources = {str(path.relative_to(project)): path for path in sorted((project / "contracts").rglob("*.sol"))}
    request = {
        "language": "Solidity",
        "sources": {name: {"content": path.read_text()} for name, path in sources.items()},
        "settings": {
            "optimizer": {"enabled": False, "runs": 200},
            "evmVersion": "shanghai",
            "remappings": ["@openzeppelin/contracts=node_modules/@openzeppelin/contracts"],
            "outputSelection": {"*": {"*": _OUTPUTS, "": ["ast"]}},
        },
    }
    command = [str(project / "tools" / "solc" / "solc-v0.8.37"), "--standard-json"]
    done = subprocess.run(
        command, input=json.dumps(request), cwd=project, capture_output=True, text=True, check=True, timeout=300
    )
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def source_hits(compiled: dict[str, Any], trace: dict[str, list[int]]) -> dict[str, set[Span]]:
    """Spans of each source file that were executed."""
    codes = list(_codes(compiled))
    names = {source["id"]: name for name, source in compiled["sources"].items()}
    hits: dict[str, set[Span]] = defaultdict(set)
    for executed, counters in trace.items():
        code = next((known for known in codes if known.matches(bytes.fromhex(executed))), None)
        for file, span in code.spans(set(counters)) if code else ():
            if file in names:
                hits[names[file]].add(span)
    return hits


def branches(syntax: dict[str, Any]) -> Iterator[tuple[int, list[Span]]]:
    """Every `if` of a file: where it begins, and the spans of what it does if so and, given an else, if not."""
    if syntax.get("nodeType") == "IfStatement":
        bodies = [syntax["trueBody"], syntax.get("falseBody")]
        yield _span(syntax)[0], [_span(body) for body in bodies if body]
    for value in syntax.values():
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, dict):
                yield from branches(child)


def _codes(compiled: dict[str, Any]) -> Iterator[Code]:
    for contracts in compiled["contracts"].values():
        for contract in contracts.values():
            evm = contract["evm"]
            for part, is_creation in ((evm["deployedBytecode"], False), (evm["bytecode"], True)):
                if not part["object"]:
                    continue
                places = [place for found in part.get("immutableReferences", {}).values() for place in found]
                holes = tuple((place["start"], place["start"] + place["length"]) for place in places)
                yield Code(_mask(bytes.fromhex(part["object"]), holes), holes, is_creation, part["sourceMap"])


def _mask(code: bytes, holes: tuple[Span, ...]) -> bytes:
    masked = bytearray(code)
    for start, end in holes:
        masked[start:end] = bytes(end - start)
    return bytes(masked)


def _instruction_indices(code: bytes) -> dict[int, int]:
    indices: dict[int, int] = {}
    counter = 0
    while counter < len(code):
        indices[counter] = len(indices)
        counter += 1 + (code[counter] - _PUSH1 + 1 if _PUSH1 <= code[counter] <= _PUSH32 else 0)
    return indices


def _decompress(source_map: str) -> Iterator[tuple[int, int, int]]:
    """Source: Solidity documentation, "Source Mappings": what is left out repeats."""
    current = [0, 0, -1]
    for entry in source_map.split(";"):
        for field, value in enumerate(entry.split(":")[:3]):
            if value:
                current[field] = int(value)
        yield current[0], current[1], current[2]


def _span(node: dict[str, Any]) -> Span:
    start, length, _file = (int(part) for part in node["src"].split(":"))
    return start, start + length
