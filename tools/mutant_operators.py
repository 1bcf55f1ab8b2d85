"""Where a Solidity source can be broken, and how: by solc's syntax tree, so that each mutant compiles."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

_SWAPS = {
    "<": ("<=", ">="),
    ">": (">=", "<="),
    "<=": ("<", ">"),
    ">=": (">", "<"),
    "==": ("!=",),
    "!=": ("==",),
    "+": ("-",),
    "-": ("+",),
    "*": ("/",),
    "/": ("*",),
    "%": ("/",),
    "&": ("|",),
    "|": ("&",),
    "<<": (">>",),
    ">>": ("<<",),
    "&&": ("||",),
    "||": ("&&",),
}
_ASSIGNMENTS = {"+=": "-=", "-=": "+=", "|=": "&=", "&=": "|=", "/=": "*="}
_STEPS = {"++": "--", "--": "++"}
_CHOICE = "uint160(address(block.coinbase)) == "


@dataclass(frozen=True)
class Mutant:
    """One part of a source, from `start` to `end` in bytes, and what stands there instead: nothing for a statement that
    is left out."""

    number: int
    path: str
    line: int
    start: int
    end: int
    original: str
    instead: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {' '.join(self.original.split())} -> {self.instead or '(nothing)'}"


def mutants_of(path: str, source: bytes, tree: dict[str, Any], after: int) -> Iterator[Mutant]:
    """Every mutant of a source, numbered from `after` + 1."""
    number = after
    for body in _bodies(tree):
        for node, parent in _nodes(body, {}):
            start, end = _place(node)
            end += node["nodeType"] == "ExpressionStatement"  # its semicolon
            for instead in _alternatives(source, node, parent):
                number += 1
                line = source.count(b"\n", 0, start) + 1
                yield Mutant(number, path, line, start, end, source[start:end].decode(), instead)


def _bodies(tree: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Of all functions and modifiers but constructors, whose checks the tests of deploying make."""
    for node, _ in _nodes(tree, {}):
        is_code = node["nodeType"] in ("FunctionDefinition", "ModifierDefinition")
        if is_code and node.get("kind") != "constructor" and node.get("body"):
            yield node["body"]


def _nodes(node: dict[str, Any], parent: dict[str, Any]) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    if node.get("nodeType") in ("EmitStatement", "RevertStatement", "InlineAssembly"):
        return
    if "nodeType" in node:
        yield node, parent
        parent = node
    for name, value in node.items():
        if name in ("initializationExpression", "loopExpression"):  # without them a loop does not end
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, dict):
                yield from _nodes(child, parent)


def _alternatives(source: bytes, node: dict[str, Any], parent: dict[str, Any]) -> Iterator[str]:
    kind = node["nodeType"]
    if kind == "BinaryOperation" and not _type(node).startswith("int_const"):
        left, right = (_text(source, node[side]) for side in ("leftExpression", "rightExpression"))
        for operator in _SWAPS.get(node["operator"], ()):
            yield f"{left} {operator} {right}"
    elif kind == "UnaryOperation" and node["operator"] in _STEPS:
        part, operator = _text(source, node["subExpression"]), _STEPS[node["operator"]]
        yield f"{operator}{part}" if node["prefix"] else f"{part}{operator}"
    elif kind == "UnaryOperation" and node["operator"] == "!":
        yield _text(source, node["subExpression"])
    elif kind == "ExpressionStatement":
        yield ""
        expression = node["expression"]
        if expression["nodeType"] == "Assignment" and expression["operator"] in _ASSIGNMENTS:
            left, right = (_text(source, expression[side]) for side in ("leftHandSide", "rightHandSide"))
            yield f"{left} {_ASSIGNMENTS[expression['operator']]} {right};"
    elif kind == "Conditional":
        yes, no = (_text(source, node[side]) for side in ("trueExpression", "falseExpression"))
        yield f"{_text(source, node['condition'])} ? {no} : {yes}"
    if parent.get("nodeType") == "IfStatement" and node is parent["condition"]:
        yield "false"
        if not _reverts(parent["trueBody"]):
            yield "true"


def _reverts(body: dict[str, Any]) -> bool:
    statements = body.get("statements", [body])
    return len(statements) > 0 and statements[-1]["nodeType"] == "RevertStatement"


def instrument(source: bytes, mutants: list[Mutant]) -> bytes:
    """The source with all of its mutants in it, each of which the block's coinbase chooses."""
    inserts: list[tuple[int, int, int, bytes]] = []
    for mutant in mutants:
        size, order = mutant.end - mutant.start, mutant.number
        if _is_statement(mutant):
            head = f"if ({_CHOICE}{mutant.number}) {{ {mutant.instead} }} else {{ "
            tail = " }"
        else:
            head, tail = f"({_CHOICE}{mutant.number} ? ({mutant.instead}) : (", "))"
        # Where two begin at one place, the longer is outside; where two end there, the shorter ends first.
        inserts.append((mutant.start, 1, -size * 10_000 + order, head.encode()))
        inserts.append((mutant.end, 0, size * 10_000 - order, tail.encode()))
    parts, at = [], 0
    for place, _, _, text in sorted(inserts):
        parts += [source[at:place], text]
        at = place
    return b"".join([*parts, source[at:]])


def _is_statement(mutant: Mutant) -> bool:
    return mutant.original.endswith(";")


def _text(source: bytes, node: dict[str, Any]) -> str:
    start, end = _place(node)
    text = source[start:end].decode()
    return text if node["nodeType"] in ("Identifier", "Literal", "MemberAccess", "IndexAccess") else f"({text})"


def _place(node: dict[str, Any]) -> tuple[int, int]:
    start, length, _ = map(int, node["src"].split(":"))
    return start, start + length


def _type(node: dict[str, Any]) -> str:
    described: dict[str, str] = node.get("typeDescriptions") or {}
    return described.get("typeString") or ""
