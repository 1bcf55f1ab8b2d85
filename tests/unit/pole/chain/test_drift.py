"""Python's names, argument counts, structs and enums of the contracts equal those of the compiler."""

import ast
import dataclasses
import re
import typing
from collections.abc import Iterator
from enum import IntEnum
from pathlib import Path
from typing import Any

import pytest

from pole.chain import gradient_structs
from pole.chain import structs as python_structs
from pole.chain.deployment import CONTRACT_NAMES
from pole.storage.cid import Cid
from tests.paths import ROOT

SOURCES = sorted(
    path
    for folder in ("pole", "dataclient", "miner", "verifier", "scripts", "attacks", "benchmarks", "testbed")
    for path in (ROOT / folder).rglob("*.py")
)
ADDED_BY_PYTHON = {"task_id", "round_id", "ballot_id"}


@dataclasses.dataclass(frozen=True)
class Use:
    """A contract's function or event that some Python line names; `count` of arguments, None where unknown."""

    where: str
    kind: str
    contract: str
    name: str
    count: int | None


def uses_in(path: Path) -> Iterator[Use]:
    """What a file says to any contract, and what a contract class says to its own."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and (contract := _name_of(node)):
            yield from _own_uses(node, contract, path)
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        method = node.func.attr
        skipped = {"call": 0, "logs": 0, "transact": 1, "events_of": 1}.get(method)
        if skipped is None or len(node.args) < skipped + 2:
            continue
        for contract in _texts(node.args[skipped], tree) & set(CONTRACT_NAMES):
            kind = "event" if method in ("logs", "events_of") else "function"
            rest = node.args[skipped + 2 :]
            count = None if kind == "event" or any(isinstance(arg, ast.Starred) for arg in rest) else len(rest)
            names = _texts(node.args[skipped + 1], tree)
            where = f"{path.relative_to(ROOT)}:{node.lineno}"
            assert names, f"{where}: name the function or event with literals, so that this test can check it"
            yield from (Use(where, kind, contract, name, count) for name in names)


def _name_of(node: ast.ClassDef) -> str | None:
    """Of the contract that a class stands for, None for any other class."""
    for statement in node.body:
        if isinstance(statement, ast.Assign) and any(_is("name", target) for target in statement.targets):
            return next(iter(_texts(statement.value, ast.Module([], [])) & set(CONTRACT_NAMES)), None)
    return None


def _own_uses(node: ast.ClassDef, contract: str, path: Path) -> Iterator[Use]:
    for call in ast.walk(node):
        if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute)):
            continue
        skipped = {"_read": 0, "_read_once": 1, "_write": 1, "logs": 1}.get(call.func.attr)
        if skipped is None:
            continue
        where = f"{path.relative_to(ROOT)}:{call.lineno}"
        if call.func.attr == "logs":
            assert isinstance(call.args[1], ast.Constant), where
            yield Use(where, "event", contract, str(call.args[1].value), None)
            continue
        if call.func.attr == "_read_once" and len(call.args) == 1:
            yield Use(where, "function", contract, "parameters", 0)
            continue
        name = call.args[skipped]
        assert isinstance(name, ast.Constant), f"{where}: name the function literally, so that this test can check it"
        yield Use(where, "function", contract, str(name.value), len(call.args) - skipped - 1)


def _texts(node: ast.expr, tree: ast.Module) -> set[str]:
    """String literals that an expression can be, also through one local variable."""
    if isinstance(node, ast.Name):
        return {text for value in _values_of(node.id, tree) for text in _texts(value, tree)}
    if isinstance(node, ast.IfExp):
        return _texts(node.body, tree) | _texts(node.orelse, tree)
    return {node.value} if isinstance(node, ast.Constant) and isinstance(node.value, str) else set()


def _values_of(name: str, tree: ast.Module) -> Iterator[ast.expr]:
    """What is assigned to a variable, what a loop over a tuple lets it be, what is passed for a parameter."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and name in (parameters := [argument.arg for argument in node.args.args]):
            yield from _passed(node.name, parameters.index(name), tree)
        if isinstance(node, ast.Assign) and any(_is(name, target) for target in node.targets):
            yield node.value
        if isinstance(node, ast.For | ast.comprehension) and isinstance(node.iter, ast.Tuple | ast.List):
            for element in node.iter.elts:
                if _is(name, node.target):
                    yield element
                elif isinstance(node.target, ast.Tuple) and isinstance(element, ast.Tuple):
                    yield from (
                        part for target, part in zip(node.target.elts, element.elts, strict=True) if _is(name, target)
                    )


def _passed(function: str, position: int, tree: ast.Module) -> Iterator[ast.expr]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == function:
            yield from node.args[position : position + 1]


def _is(name: str, target: ast.expr) -> bool:
    return isinstance(target, ast.Name) and target.id == name


USES = sorted(
    (use for path in SOURCES for use in uses_in(path)), key=lambda use: (use.where, use.contract, use.kind, use.name)
)


def test_uses__are_found__in_contract_classes_and_elsewhere() -> None:
    """The scan itself must not go blind."""
    found = {dataclasses.replace(use, where=use.where.split(":")[0]) for use in USES}
    classes = "pole/chain/contracts"
    assert {
        Use(f"{classes}/learning_chain.py", "function", "LearningChain", "advance", 1),
        Use(f"{classes}/learning_chain.py", "function", "LearningChain", "parameters", 0),
        Use(f"{classes}/verifier_committee.py", "function", "VerifierCommittee", "stake", 0),
        Use(f"{classes}/gradient_chain.py", "event", "GradientChain", "SegmentsReported", None),
        Use("dataclient/submit.py", "event", "TaskMarket", "TaskSubmitted", None),
    } <= found
    assert len({(use.contract, use.name) for use in USES}) > 60


@pytest.mark.parametrize("use", USES, ids=lambda use: f"{use.contract}.{use.name}@{use.where}")
def test_use__in_python__exists_in_the_abi(use: Use, artifacts: dict[str, dict[str, Any]]) -> None:
    entries = [
        entry for entry in artifacts[use.contract]["abi"] if entry["type"] == use.kind and entry["name"] == use.name
    ]
    assert entries, f"{use.where}: {use.contract} has no {use.kind} {use.name}"
    if use.count is not None:
        assert use.count in {len(entry["inputs"]) for entry in entries}, f"{use.where}: wrong number of arguments"


# --- structs ---------------------------------------------------------------------------------------------------------


def structs(artifacts: dict[str, dict[str, Any]]) -> dict[str, list[tuple[str, str]]]:
    """(name, Solidity type) of the fields of every struct that an ABI mentions."""
    found: dict[str, list[tuple[str, str]]] = {}

    def visit(part: dict[str, Any]) -> None:
        for component in part.get("components", []):
            visit(component)
        if "components" in part:
            name = re.sub(r"\[\]$", "", part["internalType"]).split(" ")[1].split(".")[-1]
            found[name] = [(field["name"], field["internalType"]) for field in part["components"]]

    for contract in CONTRACT_NAMES:
        for entry in artifacts[contract]["abi"]:
            for part in [*entry.get("inputs", []), *entry.get("outputs", [])]:
                visit(part)
    return found


MIRRORS = [*vars(python_structs).values(), *vars(gradient_structs).values()]
# `Verdict` travels packed, see `pole.chain.verdicts`.
RECORDS = [each for each in MIRRORS if dataclasses.is_dataclass(each) and each not in (Cid, python_structs.Verdict)]
ENUMS = [each for each in MIRRORS if isinstance(each, type) and issubclass(each, IntEnum) and each is not IntEnum]


def snake(name: str) -> str:
    return re.sub(r"([A-Z])", r"_\1", name).lower().removeprefix("_")


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: str(record.__name__))
def test_record__fields__are_the_structs_in_its_order(record: Any, artifacts: dict[str, dict[str, Any]]) -> None:
    fields = structs(artifacts)[record.__name__]
    names = [field.name for field in dataclasses.fields(record)]
    own = names[0] in ADDED_BY_PYTHON and names[0] != snake(fields[0][0])
    assert names[own:] == [snake(name) for name, _ in fields]
    hints = typing.get_type_hints(record)
    for name, solidity in fields:
        assert fits(hints[snake(name)], solidity), (
            f"{record.__name__}.{snake(name)} is {hints[snake(name)]}, {solidity}"
        )


def fits(hint: Any, solidity: str) -> bool:
    """Whether a Python type is the right one for a Solidity type."""
    if solidity.startswith(("enum ", "struct ")):
        name = solidity.split(" ")[1].split(".")[-1]
        return name in {getattr(part, "__name__", "") for part in (hint, *typing.get_args(hint))}
    wanted = {"bool": bool, "address": str, "bytes32": bytes}.get(solidity, int)
    return hint is wanted


@pytest.mark.parametrize("enum", ENUMS, ids=lambda enum: str(enum.__name__))
def test_enum__members__are_soliditys_in_its_order(enum: type[IntEnum]) -> None:
    text = "\n".join(path.read_text() for path in (ROOT / "contracts").rglob("*.sol"))
    declared = re.search(rf"enum {enum.__name__} \{{([^}}]*)\}}", text)
    assert declared, f"no enum {enum.__name__} in the contracts"
    members = [name.strip() for name in declared[1].split(",") if name.strip()]
    assert [member.name.lower() for member in enum] == [snake(name) for name in members]
    assert [int(member) for member in enum] == list(range(len(members)))
