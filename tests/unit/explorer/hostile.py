"""What strangers may write: names, class names and manifests that would run, hide, turn or stretch a page."""

import json
from collections.abc import Iterator

from pole.storage.cid import Cid, cid_of
from pole.storage.folder import FolderStore
from pole.task.layers import Activation, AnyLayer, GraphModel, Linear
from pole.task.manifest import DataSet, DenseMapping, Discretisation, Manifest, NoEncryption, RowFile

SCRIPTS = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '"><svg onload=alert(1)>',
    "javascript:alert(1)",
    "{{ 7 * 7 }}{% raw %}",
    "</title><script>alert(1)</script>",
    "' onmouseover='alert(1)",
    "&lt;script&gt;",
    '=HYPERLINK("http://example.org")',
)
"""Printable: a manifest may carry them."""
HIDDEN = (
    "\x1b[31mred\x1b[0m\x07",
    "\u202egnp.exe",
    "\u2066\u2067\u2068mixed\u2069",
    "a\u200bb\ufeff",
    "line\nbreak\r\ttab",
    "\x00nul",
    "Z" + "\u0301" * 500,
    "\ud7ff\U0010ffff",
)
"""Not printable: our manifests refuse them, pages must not show them even so."""


def manifest(name: str, classes: list[str]) -> Manifest:
    layers: list[AnyLayer] = [
        Linear(name="hidden", size=8),
        Activation(name="active", type="relu"),
        Linear(name="out", size=len(classes)),
    ]
    data = DataSet(
        shape=[4],
        class_names=classes,
        discretisation=Discretisation(bits=4, minimum=[0.0], maximum=[1.0]),
        training_set=[RowFile(cid=str(cid_of(b"rows")), rows=10, size_bytes=100)],
        test_rows=5,
        test_size_bytes=50,
    )
    return Manifest(
        name=name,
        model=GraphModel(layers=layers),
        data=data,
        mapping=DenseMapping(vectors=2),
        encryption=NoEncryption(),
        max_model_bytes=1 << 16,
    )


def documents() -> Iterator[bytes]:
    """Manifests as strangers may publish them, most of which are none."""
    good = json.loads(manifest("good", ["a", "b"]).to_bytes())
    for name in SCRIPTS:
        yield manifest(name[:100], [f"{name[:80]} {i}" for i in range(3)]).to_bytes()
    for name in (*HIDDEN[:-1], "w" * (1 << 20), "m" * 2_000):
        yield json.dumps({**good, "name": name}).encode()
        yield json.dumps({**good, name: 1}).encode()
    yield b""
    yield b"\xff\xfe not UTF-8"
    yield b"[" * 100_000
    yield b"{" + b'"a":{' * 50_000
    yield json.dumps({**good, "data": {**good["data"], "shape": [1e999]}}).encode()
    yield json.dumps({**good, "version": 1}).encode()
    yield json.dumps(
        {**good, "model": {"kind": "graph", "layers": [{"type": "linear", "name": "<b>", "size": 1}]}}
    ).encode()
    yield manifest("W" * 100, ["M" * 99 + str(i) for i in range(9)]).to_bytes()


def contents(store: FolderStore) -> list[Cid]:
    """All of them in a store, and one that nobody has."""
    return [*map(store.put, documents()), cid_of(b"nobody has this")]
