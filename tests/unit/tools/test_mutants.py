"""How sources are broken: where, how, and that everything else stays as it was."""

from typing import Any

import pytest

from tools.mutant_operators import Mutant, instrument, mutants_of

HEAD = b"contract C { function f() public { "


def _node(kind: str, source: bytes, text: bytes, **others: Any) -> dict[str, Any]:
    return {"nodeType": kind, "src": f"{source.index(text)}:{len(text)}:0", **others}


def _tree(source: bytes, *statements: dict[str, Any], kind: str = "function") -> dict[str, Any]:
    body = {"nodeType": "Block", "src": "0:0:0", "statements": list(statements)}
    function = {"nodeType": "FunctionDefinition", "src": "0:0:0", "kind": kind, "body": body}
    return {"nodeType": "SourceUnit", "src": "0:0:0", "nodes": [function]}


def _sum(source: bytes, of: str = "uint256") -> dict[str, Any]:
    sides = {"leftExpression": b"a", "rightExpression": b"b"}
    return _node(
        "BinaryOperation",
        source,
        b"a + b",
        operator="+",
        typeDescriptions={"typeString": of},
        **{
            name: {"nodeType": "Identifier", "src": f"{source.index(b'a + b') + 4 * (text == b'b')}:1:0"}
            for name, text in sides.items()
        },
    )


def _found(source: bytes, tree: dict[str, Any], after: int = 0) -> list[tuple[int, str, str]]:
    return [(each.number, each.original, each.instead) for each in mutants_of("C.sol", source, tree, after)]


def test_mutants_of__constructor__none() -> None:
    source = HEAD + b"g(a + b); }"
    assert _found(source, _tree(source, _sum(source), kind="constructor")) == []


@pytest.mark.parametrize("kind", ["EmitStatement", "RevertStatement"])
def test_mutants_of__event_or_error__none(kind: str) -> None:
    source = HEAD + b"emit E(a + b); }"
    assert _found(source, _tree(source, _node(kind, source, b"emit E(a + b)", eventCall=_sum(source)))) == []


def test_mutants_of__constant_of_the_compiler__none() -> None:
    source = HEAD + b"x = a + b; }"
    assert _found(source, _tree(source, _sum(source, "int_const 3"))) == []


def test_mutants_of__step_of_a_loop__none() -> None:
    source = HEAD + b"for (;; x = a + b) {} }"
    loop = _node("ForStatement", source, b"for (;; x = a + b) {}", loopExpression=_sum(source))
    assert _found(source, _tree(source, loop)) == []


def test_mutants_of__sum__is_a_difference_and_numbers_go_on() -> None:
    source = HEAD + b"return a + b; }"
    assert _found(source, _tree(source, _sum(source)), after=7) == [(8, "a + b", "a - b")]


def test_mutants_of__statement__is_left_out_with_its_semicolon() -> None:
    source = HEAD + b"total -= paid; }"
    sides = {"leftHandSide": b"total", "rightHandSide": b"paid"}
    assignment = _node("Assignment", source, b"total -= paid", operator="-=") | {
        name: _node("Identifier", source, text) for name, text in sides.items()
    }
    statement = _node("ExpressionStatement", source, b"total -= paid", expression=assignment)
    assert _found(source, _tree(source, statement)) == [
        (1, "total -= paid;", ""),
        (2, "total -= paid;", "total += paid;"),
    ]


def test_mutants_of__guard__is_never_closed_but_not_always() -> None:
    source = HEAD + b"if (isBad) revert E(); }"
    guard = _node("IfStatement", source, b"if (isBad) revert E();") | {
        "condition": _node("Identifier", source, b"isBad"),
        "trueBody": _node("RevertStatement", source, b"revert E()"),
    }
    assert _found(source, _tree(source, guard)) == [(1, "isBad", "false")]


def test_instrument__inner_and_outer_part__each_has_its_choice() -> None:
    source = b"x = a + b;"
    mutants = [
        Mutant(1, "C.sol", 1, 0, 10, "x = a + b;", ""),
        Mutant(2, "C.sol", 1, 4, 9, "a + b", "a - b"),
        Mutant(3, "C.sol", 1, 4, 9, "a + b", "a * b"),
    ]
    choice = "uint160(address(block.coinbase)) =="
    assert instrument(source, mutants).decode() == (
        f"if ({choice} 1) {{  }} else {{ x = ({choice} 2 ? (a - b) : (({choice} 3 ? (a * b) : (a + b)))); }}"
    )


def test_instrument__nothing__is_the_source() -> None:
    assert instrument(b"contract C {}", []) == b"contract C {}"
