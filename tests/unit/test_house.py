"""Every import of the tree against the rules of the house: arrows point downwards, and nothing turns in a circle.

Imports inside functions and under TYPE_CHECKING count too: they tie modules together just as much.
"""

import ast
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.paths import ROOT

FLOORS = ("gradient", "learning", "node", "exact", "task", "chain", "encryption", "journal", "storage")
ROLES = ("dataclient", "miner", "verifier")
EXPLORER = "explorer"
PRODUCT = ("pole", *ROLES, EXPLORER)
AROUND = ("testbed", "attacks", "benchmarks", "scripts", "tools", "experiments", "tests")
PROTOCOLS = ("gradient", "learning")
FORBIDDEN = {
    "exact": ("chain", "exact knows no network: nothing of the chain"),
    "task": ("chain", "task knows no network: nothing of the chain"),
    "chain": ("encryption", "chain and encryption know nothing of each other"),
    "encryption": ("task", "encryption knows nothing of tasks"),
}
TORCH = ("torch", "torchmetrics", "torchvision")
STORAGE_OF_TASKS = ("pole.storage.cid", "pole.storage.tensorfile")
JOINING = ("__main__", "cli", "node")
"""The modules of a role, beside its packages, in which the two protocols may meet."""


class Arrow(NamedTuple):
    """One import: who, in which line, of what."""

    importer: str
    line: int
    imported: str


class Violation(NamedTuple):
    arrow: Arrow
    rule: str

    def __str__(self) -> str:
        return f"{self.arrow.importer}:{self.arrow.line} imports {self.arrow.imported}: {self.rule}"


def modules_of(root: Path) -> dict[str, str]:
    """The source of every Python module that belongs to the house, by dotted name."""
    found = {}
    for top in (*PRODUCT, *AROUND):
        for path in sorted((root / top).rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            found[".".join(parts).removesuffix(".__init__")] = path.read_text()
    return found


def arrows_of(sources: Mapping[str, str], packages: Iterable[str] = ()) -> list[Arrow]:
    """All imports in these modules, ours and others'; `from a import b` is of `a.b` where that is a module."""
    found = []
    for importer, source in sources.items():
        for node in ast.walk(ast.parse(source, importer)):
            if isinstance(node, ast.Import):
                found += [Arrow(importer, node.lineno, alias.name) for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                base = _base(node, importer, is_package=importer in packages)
                named = (f"{base}.{alias.name}" for alias in node.names)
                found += [Arrow(importer, node.lineno, name if name in sources else base) for name in named]
    return found


def _base(node: ast.ImportFrom, importer: str, is_package: bool) -> str:
    if not node.level:
        return node.module or ""
    parts = importer.split(".")
    kept = parts[: len(parts) - node.level + is_package]
    return ".".join([*kept, *([node.module] if node.module else [])])


def violations(arrows: Iterable[Arrow]) -> Iterator[Violation]:
    """What breaks a rule, arrow by arrow; the second protocol that one module imports is one too many."""
    first: dict[str, str] = {}
    for arrow in arrows:
        protocol = _protocol(arrow.imported)
        if protocol and _must_keep_to_one(arrow.importer) and first.setdefault(arrow.importer, protocol) != protocol:
            yield Violation(arrow, f"the two protocols meet in {', '.join(JOINING)} of a role only")
        for rule in (_top_rule(arrow), _floor_rule(arrow), _protocol_rule(arrow), _library_rule(arrow)):
            if rule:
                yield Violation(arrow, rule)


def _top_rule(arrow: Arrow) -> str:
    importer, imported = _top(arrow.importer), _top(arrow.imported)
    if importer == "pole" and imported in ROLES:
        return "nothing in pole imports a role"
    if importer in ROLES and imported in ROLES and importer != imported:
        return "roles do not import each other"
    if EXPLORER in (importer, imported) and importer in PRODUCT and imported in PRODUCT:
        if imported == EXPLORER != importer:
            return "nothing else in the product imports the explorer"
        if imported in ROLES:
            return "the explorer imports no role"
    if importer in PRODUCT and imported in AROUND:
        return "nothing in the product imports what stands around it"
    return ""


def _floor_rule(arrow: Arrow) -> str:
    above, below = _floor(arrow.importer), _floor(arrow.imported)
    if above is None or below is None or above == below or {above, below} == set(PROTOCOLS):
        return ""
    if above == "":
        return f"the ground imports nothing of pole.{below}"
    if below == "":
        return ""
    if above in FORBIDDEN and below == FORBIDDEN[above][0]:
        return FORBIDDEN[above][1]
    if above in ("task", "exact") and below == "storage" and arrow.imported not in STORAGE_OF_TASKS:
        return f"{above} knows no network: of storage only {' and '.join(STORAGE_OF_TASKS)}"
    if FLOORS.index(above) > FLOORS.index(below):
        return f"pole.{above} lies below pole.{below}"
    return ""


def _protocol_rule(arrow: Arrow) -> str:
    ours, theirs = _protocol(arrow.importer), _protocol(arrow.imported)
    return "the two protocols never import each other" if ours and theirs and ours != theirs else ""


def _protocol(module: str) -> str:
    """Which of the two protocols a package of the product belongs to; empty for neither."""
    parts = module.split(".")
    return parts[1] if parts[0] in PRODUCT and len(parts) > 1 and parts[1] in PROTOCOLS else ""


def _must_keep_to_one(module: str) -> bool:
    """Whether the two protocols would meet in this module of a role, and have no business to."""
    parts = module.split(".")
    return parts[0] in ROLES and not _protocol(module) and parts[1:] not in [[name] for name in JOINING]


def _library_rule(arrow: Arrow) -> str:
    if _floor(arrow.importer) == "exact" and not _is_fast(arrow.importer) and _top(arrow.imported) in TORCH:
        return "the reference of exact evaluation needs no torch"
    is_inside = _floor(arrow.importer) == _floor(arrow.imported) == "exact"
    if is_inside and _is_fast(arrow.importer) != _is_fast(arrow.imported):
        return "the two exact evaluations share no code"
    if _top(arrow.importer) in PRODUCT and _top(arrow.imported) == "ape":
        return "the product never imports ape, a tool of the tests"
    return ""


def _is_fast(module: str) -> bool:
    return f"{module}.".startswith("pole.exact.fast.")


def _top(module: str) -> str:
    return module.partition(".")[0]


def _floor(module: str) -> str | None:
    """The package of `pole` that holds this module; empty for its ground; None outside of it and for its roots."""
    parts = module.split(".")
    if parts[0] != "pole" or module in ("pole", "pole.__main__"):
        return None
    return parts[1] if parts[1] in FLOORS else ""


def circles(arrows: Iterable[Arrow], modules: Iterable[str]) -> list[list[Arrow]]:
    """One circle of imports for every knot of modules that reach each other."""
    ours = set(modules)
    below: dict[str, dict[str, Arrow]] = {module: {} for module in sorted(ours)}
    for arrow in arrows:
        if arrow.imported in ours:
            below[arrow.importer].setdefault(arrow.imported, arrow)
    found, seen = [], set[str]()
    for start in below:
        way = None if start in seen else _way_back(start, below)
        if way:
            found.append(way)
            seen.update(arrow.importer for arrow in way)
    return found


def _way_back(start: str, below: Mapping[str, Mapping[str, Arrow]]) -> list[Arrow] | None:
    """The shortest way from a module to itself."""
    ways: list[list[Arrow]] = [[arrow] for arrow in below[start].values()]
    reached = set[str]()
    for way in ways:
        last = way[-1].imported
        if last == start:
            return way
        if last not in reached:
            reached.add(last)
            ways.extend([*way, arrow] for arrow in below[last].values())
    return None


def test_violations__one_of_each_kind__all_found_with_line_and_rule() -> None:
    for importer, source, rule in (
        ("pole.storage.cid", "from pole.chain import client", "pole.storage lies below pole.chain"),
        ("pole.journal.locks", "import pole.chain.deployment", "pole.journal lies below pole.chain"),
        ("pole.storage.store", "import pole.journal.locks", "pole.storage lies below pole.journal"),
        ("pole.chain.fees", "import pole.node.cli", "pole.chain lies below pole.node"),
        ("pole.node.cli", "import pole.learning.idle", "pole.node lies below pole.learning"),
        ("pole.chain.fees", "import pole.encryption.keys", "chain and encryption know nothing of each other"),
        ("pole.encryption.keys", "import pole.chain.fees", "pole.encryption lies below pole.chain"),
        ("pole.encryption.keys", "import pole.task.manifest", "encryption knows nothing of tasks"),
        ("pole.task.rows", "import pole.chain.client", "task knows no network: nothing of the chain"),
        ("pole.task.rows", "import pole.storage.ipfs", "task knows no network: of storage only"),
        ("pole.task.graph", "import pole.exact.plan", "pole.task lies below pole.exact"),
        ("pole.exact.plan", "import pole.node.cli", "pole.exact lies below pole.node"),
        ("pole.exact.plan", "import pole.chain.client", "exact knows no network: nothing of the chain"),
        ("pole.exact.model", "import pole.storage.ipfs", "exact knows no network: of storage only"),
        ("pole.exact.model", "import torch", "the reference of exact evaluation needs no torch"),
        ("pole.exact.layers", "import pole.exact.fast.layers", "the two exact evaluations share no code"),
        ("pole.exact.fast.layers", "import pole.exact.tables", "the two exact evaluations share no code"),
        ("pole.money", "import pole.storage.cid", "the ground imports nothing of pole.storage"),
        ("pole.learning.idle", "import pole.gradient.pace", "the two protocols never import each other"),
        ("pole.gradient.pace", "import pole.learning.idle", "the two protocols never import each other"),
        ("miner.gradient.node", "import miner.learning.node", "the two protocols never import each other"),
        ("verifier.learning.judge", "import pole.gradient.pace", "the two protocols never import each other"),
        ("verifier.votes", "import verifier.learning.judge, pole.gradient.pace", "the two protocols meet in"),
        ("pole.node.cli", "import miner.display", "nothing in pole imports a role"),
        ("miner.display", "import verifier.votes", "roles do not import each other"),
        ("explorer.site", "import miner.display", "the explorer imports no role"),
        ("miner.display", "import explorer.site", "nothing else in the product imports the explorer"),
        ("pole.node.cli", "import explorer.site", "nothing else in the product imports the explorer"),
        *((top, f"import {around}.x", "nothing in the product imports") for top in PRODUCT for around in AROUND),
        ("dataclient.serve", "import ape", "the product never imports ape"),
    ):
        [found] = violations(arrows_of({importer: f"'''Text'''\n{source}"}))
        assert str(found).startswith(f"{importer}:2 imports ")
        assert rule in found.rule


@pytest.mark.parametrize(
    "source",
    [
        "def work():\n    import pole.chain.client",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from pole.chain import client",
        "try:\n    from ..chain.client import ChainClient\nexcept ImportError:\n    pass",
    ],
)
def test_violations__import_hidden_in_a_block__found(source: str) -> None:
    [found] = violations(arrows_of({"pole.storage.cid": source, "pole.chain.client": ""}))
    assert found.arrow.imported == "pole.chain.client"


def test_violations__arrows_downwards__none() -> None:
    sources = {
        "pole.learning.advance": "import pole.chain.turns, pole.encryption, pole.errors\nfrom pole.task import rows",
        "pole.task.rows": "import pole.encryption.points, pole.storage.cid, pole.storage.tensorfile, numpy",
        "pole.money": "import pole.errors",
        "pole.exact.fast.layers": "import torch, pole.exact.fast.weights, pole.task.network",
        "miner.node": "import miner.learning.node, miner.gradient.node",
        "explorer.site": "import pole.chain.deployment, pole.gradient.rules, pole.learning.idle, explorer.fold.rounds",
        "dataclient.drafting.costs": "import pole.learning.mapping, pole.learning.features",
        "tests.unit.test_x": "import ape, pole.chain.client, miner.node, testbed.chain",
    }
    assert list(violations(arrows_of(sources))) == []


@pytest.mark.parametrize("length", [1, 2, 3])
def test_circles__modules_in_a_ring__found_once(length: int) -> None:
    sources = {f"pole.m{i}": f"def later():\n    import pole.m{(i + 1) % length}" for i in range(length)}
    sources |= {"pole.beside": "import pole.m0", "pole.end": ""}
    [circle] = circles(arrows_of(sources), sources)
    assert [arrow.importer for arrow in circle] == [f"pole.m{i}" for i in range(length)]
    assert {arrow.line for arrow in circle} == {2}


def test_circles__diamond__none() -> None:
    sources = {"a": "import b, c", "b": "import d", "c": "import d", "d": ""}
    assert circles(arrows_of(sources), sources) == []


def test_arrows_of__relative_import_in_a_package__resolved() -> None:
    sources = {"pole.storage": "from . import cid", "pole.storage.cid": "from .store import x\nfrom ..errors import y"}
    found = arrows_of(sources, packages={"pole.storage"})
    assert [arrow.imported for arrow in found] == ["pole.storage.cid", "pole.storage.store", "pole.errors"]


@pytest.fixture(scope="module")
def house() -> tuple[dict[str, str], list[Arrow]]:
    sources = modules_of(ROOT)
    packages = {".".join(path.parent.relative_to(ROOT).parts) for path in ROOT.glob("*/**/__init__.py")}
    return sources, arrows_of(sources, packages)


def test_house__every_import__keeps_the_rules(house: tuple[dict[str, str], list[Arrow]]) -> None:
    sources, arrows = house
    assert {_top(module) for module in sources} == {*PRODUCT, *AROUND}
    assert len(arrows) > 1000
    assert not (broken := list(violations(arrows))), "\n".join(map(str, broken))


def test_house__all_modules__no_circle(house: tuple[dict[str, str], list[Arrow]]) -> None:
    sources, arrows = house
    assert not (found := circles(arrows, sources)), "\n\n".join(
        "\n".join(f"{arrow.importer}:{arrow.line} imports {arrow.imported}" for arrow in circle) for circle in found
    )
