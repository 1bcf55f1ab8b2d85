"""Manifests that a stranger could publish."""

import json
from pathlib import Path
from typing import Any

from attacks.learning.commission import Commission, commission
from attacks.learning.examiner import judge
from attacks.learning.ground import Ground
from attacks.record import Attack, Outcome, Weakening
from pole.errors import ContentTooLarge, PoleError
from pole.learning.round_files import fetch_manifest
from pole.storage.cid import cid_of
from pole.task.manifest import MAX_MANIFEST_BYTES, Manifest
from pole.task.model import measure_model
from pole.task.weights import save_model

_GIGABYTE, _LESS_WHEN_WEAK = 1 << 30, 1 << 24
_READ_AT_MOST = 1 << 20


def linear(name: str, size: int = 65_536, **more: Any) -> dict[str, Any]:
    return {"type": "linear", "name": name, "size": size, **more}


def with_layers(made: Commission, *layers: dict[str, Any]) -> bytes:
    """The manifest with another model; not built with the schema's types, which would refuse it here already."""
    document = json.loads(made.manifest.to_bytes())
    document["model"] = {"kind": "graph", "layers": list(layers)}
    return json.dumps(document).encode()


def _graphs(made: Commission) -> dict[str, bytes]:
    last = linear("last", 2)
    doubled = [{"type": "concat", "name": f"c{i}", "inputs": [f"c{i - 1}" if i else "input"] * 2} for i in range(60)]
    return {
        "137 billion weights": with_layers(made, *(linear(f"l{i}") for i in range(33)), last),
        "size 2^63": with_layers(made, linear("wide", 1 << 63), last),
        "negative size": with_layers(made, linear("wide", -1), last),
        "size 0": with_layers(made, linear("wide", 0), last),
        "60 doublings": with_layers(made, *doubled, last),
        "cycle": with_layers(made, linear("a", 2, inputs=["b"]), linear("b", 2, inputs=["a"])),
        "layer that feeds itself": with_layers(made, linear("a", 2, inputs=["a"])),
        "one name twice": with_layers(made, linear("a", 2), linear("a", 2)),
        "5,000 layers": with_layers(made, *(linear(f"l{i}", 2) for i in range(5_000))),
        "unknown layer": with_layers(made, {"type": "python", "name": "a", "code": "import os"}),
    }


def graphs(ground: Ground) -> Outcome:
    """Models that cannot be built, or that nobody could hold: huge, negative, cyclic, exploding."""
    made = commission(ground.folder)
    said = {name: measured(content) for name, content in _graphs(made).items()}
    if not ground.is_weakened:
        said |= {name: _judged(ground, made, content) for name, content in _graphs(made).items()}
    found = [f"{name}: {what}" for name, what in said.items() if not what.startswith("ManifestInvalid")]
    evidence = f"ManifestInvalid for all: {', '.join(said)}; a verifier's process says the same and goes on"
    return Outcome(not found, "; ".join(found) if found else evidence, said)


def measured(content: bytes) -> str:
    """What miners and clients find before anything is allocated."""
    try:
        manifest = Manifest.from_bytes(content)
        size = measure_model(manifest.model, manifest.feature_shape, manifest.outputs)
    except PoleError as exc:
        return f"{type(exc).__name__}: {exc}"
    except Exception as exc:
        return f"broke with {type(exc).__name__}"
    return f"accepted, with {size.parameters:,} weights"


def _judged(ground: Ground, made: Commission, content: bytes) -> str:
    """What a verifier says of an honest model of such a task."""
    model = made.store.put(save_model(made.new_model()))
    return judge(ground, made.inputs(ground.folder, str(made.store.put(content))), {0: model})[0]


def nesting(ground: Ground) -> Outcome:
    """Manifests as deep as a manifest may be long."""
    half = MAX_MANIFEST_BYTES // 2 - 64
    contents = {
        "lists": b"[" * half + b"]" * half,
        "objects": b'{"model":' * (half // 8),
        "lists in a field": b'{"version":2,"name":' + b"[" * half + b"]" * half + b"}",
        "numbers": b'{"version":' + b"9" * half + b"}",
    }
    said = {name: measured(content) for name, content in contents.items()}
    if not ground.is_weakened:
        made = commission(ground.folder)
        said |= {name: _judged(ground, made, content) for name, content in contents.items()}
    found = [f"{name}: {what}" for name, what in said.items() if not what.startswith("ManifestInvalid")]
    evidence = f"ManifestInvalid for 1 MiB of nested {', '.join(said)}; a verifier's process goes on"
    return Outcome(not found, "; ".join(found) if found else evidence, {"found": len(found)})


def huge_manifest(ground: Ground) -> Outcome:
    """A manifest of 1 GB, which takes no room on the attacker's disk."""
    made = commission(ground.folder)
    cid, size = cid_of(b"the name of something large"), _LESS_WHEN_WEAK if ground.is_weakened else _GIGABYTE
    with (Path(made.store.location) / str(cid)).open("wb") as file:
        file.truncate(size)
    before = _bytes_read()
    try:
        fetch_manifest(made.store, cid)
        error = "accepted"
    except PoleError as exc:
        error = type(exc).__name__
    read = _bytes_read() - before
    if not ground.is_weakened:
        model = made.store.put(save_model(made.new_model()))
        error = judge(ground, made.inputs(ground.folder, str(cid)), {0: model})[0].partition(":")[0]
    evidence = f"{error}; {read:,} of {size:,} bytes were read"
    is_defended = error == ContentTooLarge.__name__ and read < _READ_AT_MOST
    return Outcome(is_defended, evidence, {"error": error, "read": read})


def _bytes_read() -> int:
    """By this process, since it started."""
    fields = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(fields["rchar"])


ATTACKS: list[Attack[Ground]] = [
    Attack(
        "hostile-graphs",
        "content",
        "commission models that cannot be built",
        graphs,
        Weakening("sizes are not capped", patches={"pole.task.model.check_caps": lambda *_: None}),
    ),
    Attack(
        "deep-nesting",
        "content",
        "commission with nested manifests",
        nesting,
        Weakening(
            "manifests are read with the standard library",
            patches={"pole.task.manifest.Manifest.model_validate_json": json.loads},
        ),
    ),
    Attack(
        "manifest-of-1-gb",
        "content",
        "commission with a manifest of 1 GB",
        huge_manifest,
        Weakening(
            "no size is too large",
            patches={"pole.storage.folder._size_within": lambda _path, status, _max: status.st_size},
        ),
    ),
]
