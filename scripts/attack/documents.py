"""Manifests, content identifiers and names that a stranger could publish."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dataclient.taskfile import parse_task
from pole.cid import Cid, cid_of
from pole.errors import BadInput, ContentTooLarge, ManifestInvalid, PoleError
from pole.manifest import MAX_MANIFEST_BYTES, Manifest
from pole.mapping import output_shape
from pole.modelfile import save_model
from pole.modelspec import measure_model
from pole.roundfiles import fetch_manifest
from scripts.attack import rounds
from scripts.attack.chain import Chain
from scripts.attack.commission import Commission, commission
from scripts.attack.examiner import judge
from scripts.attack.ground import Ground
from scripts.attack.record import Attack, Outcome, Weakening
from scripts.compiled import Edit

_GIGABYTE, _LESS_WHEN_WEAK = 1 << 30, 1 << 24
_READ_AT_MOST = 1 << 20


def _linear(name: str, size: int = 65_536, **more: Any) -> dict[str, Any]:
    return {"type": "linear", "name": name, "size": size, **more}


def _with_layers(made: Commission, *layers: dict[str, Any]) -> bytes:
    """The manifest with another model; not built with the schema's types, which would refuse it here already."""
    document = json.loads(made.manifest.to_bytes())
    document["model"] = {"kind": "graph", "layers": list(layers)}
    return json.dumps(document).encode()


def _graphs(made: Commission) -> dict[str, bytes]:
    last = _linear("last", 2)
    doubled = [{"type": "concat", "name": f"c{i}", "inputs": [f"c{i - 1}" if i else "input"] * 2} for i in range(60)]
    return {
        "137 billion weights": _with_layers(made, *(_linear(f"l{i}") for i in range(33)), last),
        "size 2^63": _with_layers(made, _linear("wide", 1 << 63), last),
        "negative size": _with_layers(made, _linear("wide", -1), last),
        "size 0": _with_layers(made, _linear("wide", 0), last),
        "60 doublings": _with_layers(made, *doubled, last),
        "cycle": _with_layers(made, _linear("a", 2, inputs=["b"]), _linear("b", 2, inputs=["a"])),
        "layer that feeds itself": _with_layers(made, _linear("a", 2, inputs=["a"])),
        "one name twice": _with_layers(made, _linear("a", 2), _linear("a", 2)),
        "5,000 layers": _with_layers(made, *(_linear(f"l{i}", 2) for i in range(5_000))),
        "unknown layer": _with_layers(made, {"type": "python", "name": "a", "code": "import os"}),
    }


def graphs(ground: Ground) -> Outcome:
    """Models that cannot be built, or that nobody could hold: huge, negative, cyclic, exploding."""
    made = commission(ground.folder)
    said = {name: _measured(content) for name, content in _graphs(made).items()}
    if not ground.is_weakened:
        said |= {name: _judged(ground, made, content) for name, content in _graphs(made).items()}
    found = [f"{name}: {what}" for name, what in said.items() if not what.startswith("ManifestInvalid")]
    evidence = f"ManifestInvalid for all: {', '.join(said)}; a verifier's process says the same and goes on"
    return Outcome(not found, "; ".join(found) if found else evidence, said)


def _measured(content: bytes) -> str:
    """What miners and clients find before anything is allocated."""
    try:
        manifest = Manifest.from_bytes(content)
        shape = output_shape(manifest.mapping, tuple(manifest.data.shape))
        size = measure_model(manifest.model, shape, len(manifest.data.class_names))
    except PoleError as exc:
        return f"{type(exc).__name__}: {exc}"
    except Exception as exc:
        return f"broke with {type(exc).__name__}"
    return f"accepted, with {size.parameters:,} weights"


def _judged(ground: Ground, made: Commission, content: bytes) -> str:
    """What a verifier says of an honest model of such a task."""
    model = made.store.put(save_model(made.new_model()))
    return judge(ground, made.case(ground.folder, str(made.store.put(content))), {0: model})[0]


def nesting(ground: Ground) -> Outcome:
    """Manifests as deep as a manifest may be long."""
    half = MAX_MANIFEST_BYTES // 2 - 64
    contents = {
        "lists": b"[" * half + b"]" * half,
        "objects": b'{"model":' * (half // 8),
        "lists in a field": b'{"version":1,"name":' + b"[" * half + b"]" * half + b"}",
        "numbers": b'{"version":' + b"9" * half + b"}",
    }
    said = {name: _measured(content) for name, content in contents.items()}
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
        error = judge(ground, made.case(ground.folder, str(cid)), {0: model})[0].partition(":")[0]
    evidence = f"{error}; {read:,} of {size:,} bytes were read"
    is_defended = error == ContentTooLarge.__name__ and read < _READ_AT_MOST
    return Outcome(is_defended, evidence, {"error": error, "read": read})


def _bytes_read() -> int:
    """By this process, since it started."""
    fields = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(fields["rchar"])


_CIDS = {
    "version 0": "QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG",
    "dag-cbor": "bafyreigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi",
    "identity hash": "bafkqaddimvwgy3zao5xxe3debi",
    "blake3": "bafkr4ietfqg3hm7ljoh2k5y3uskzfmdt3vbvzf4lfgmh4zxq5hx3dzfkuy",
    "base58": "zb2rhe5P4gXftAwvA4eXQ5HJwsER2owDyS9sKaQRRVQPn93bA",
    "upper case": str(cid_of(b"x")).upper(),
    "spaces": f" {cid_of(b'x')} ",
    "too short": str(cid_of(b"x"))[:-1],
    "loose bits": str(cid_of(b"x"))[:-1] + "b",
    "a path": "../../../../etc/passwd",
    "a path behind a CID": f"{cid_of(b'x')}/../../etc/passwd",
    "NUL": f"{cid_of(b'x')}\0",
    "nothing": "",
}


def other_cids(ground: Ground) -> Outcome:
    """Identifiers of other versions, codecs, hashes and spellings; on chain, the codec of dag-cbor."""
    said = {name: _refusal(Cid.parse, text) for name, text in _CIDS.items()}
    chain = ground.chain
    said["dag-cbor on chain, task"] = _submitted(chain, (0x71, bytes([1] * 32)))
    said["no digest on chain, task"] = _submitted(chain, (0x55, bytes(32)))
    rounds.stake(chain, chain.verifier(0))
    rounds.submit(chain)
    current = rounds.open_round(chain)
    rounds.to_reveal(chain, current, chain.miner(0))
    model: Any = (0x71, bytes([1] * 32))
    said["dag-cbor on chain, model"] = rounds.reveal(chain, current, chain.miner(0), model).said
    found = [f"{name}: {what}" for name, what in said.items() if what in ("accepted", "CommitmentMismatch")]
    errors = ", ".join(sorted(set(said.values())))
    return Outcome(not found, "; ".join(found) if found else f"{len(said)} refused: {errors}", said)


def _submitted(chain: Chain, manifest: Any) -> str:
    terms = rounds.terms(chain, chain.attacker, manifest=manifest)
    return chain.attempt(chain.attacker, "TaskMarket", "submit", terms, value_wei=10**18).said


def _refusal(call: Callable[..., object], *arguments: Any) -> str:
    try:
        call(*arguments)
    except (BadInput, ManifestInvalid) as exc:
        return type(exc).__name__
    except Exception as exc:
        return f"broke with {type(exc).__name__}"
    return "accepted"


_NAMES = {
    "of two lines": "task\nname",
    "climbing": "../../outside",
    "absolute": "/tmp/outside",  # noqa: S108 - never opened
    "hidden": ".ssh",
    "NUL": "task\0.toml",
    "terminal": "\x1b]0;owned\x07\x1b[2J",
    "too long": "x" * 5_000,
}
_HARMLESS = {"class climbing", "class absolute", "class hidden"}  # a class is shown, and never a path


def path_tricks(ground: Ground) -> Outcome:
    """Names that lead out of a folder or into a terminal: of tasks, classes, layers, and in a shared store."""
    made = commission(ground.folder)
    before = _files(ground.folder)
    plain = _tried(made, "fine")
    if set(plain.values()) != {"accepted"}:
        raise BadInput(f"a plain name was refused: {plain}")
    said = {f"{what} {name}": error for name, text in _NAMES.items() for what, error in _tried(made, text).items()}
    said = {what: error for what, error in said.items() if what not in _HARMLESS}
    said["training set's CID"] = _changed(made, ["data", "training_set", 0, "cid"], _CIDS["a path"])
    said["link in the store"] = _through_link(made)
    is_untouched = _files(ground.folder) == before | {ground.folder / "store" / _LINKED}
    found = [f"{name}: {what}" for name, what in said.items() if what.startswith(("accepted", "broke"))]
    evidence = f"{len(said)} refused ({', '.join(sorted(set(said.values())))}); no file appeared anywhere"
    return Outcome(not found and is_untouched, "; ".join(found) if found else evidence, said)


_LINKED = str(cid_of(b"what the attacker may not read"))


def _through_link(made: Commission) -> str:
    """Who may write to a shared folder plants a link to a file of the verifier's, under the name of its content."""
    secret = made.home.folder / "secret"
    secret.write_bytes(b"what the attacker may not read")
    (Path(made.store.location) / _LINKED).symlink_to(secret)
    try:
        made.store.get(Cid.parse(_LINKED), 1 << 20)
    except PoleError as exc:
        return type(exc).__name__
    finally:
        secret.unlink()
    return "accepted"


def _tried(made: Commission, name: str) -> dict[str, str]:
    """What becomes of a task, a layer and a class of this name; all else stays as it was."""
    task = made.task.model_dump() | {"name": name}
    layer = _measured(_with_layers(made, _linear(name, 2))).partition(":")[0].partition(",")[0]
    return {
        "task": _refusal(parse_task, task, made.home.task_file),
        "layer": layer,
        "class": _changed(made, ["data", "class_names", 0], name),
    }


def _changed(made: Commission, where: list[str | int], value: str) -> str:
    """What becomes of the manifest with one text in it replaced."""
    document = json.loads(made.manifest.to_bytes())
    part = document
    for key in where[:-1]:
        part = part[key]
    part[where[-1]] = value
    return _refusal(Manifest.from_bytes, json.dumps(document).encode())


def _files(folder: Path) -> set[Path]:
    """Everything in a folder and beside it."""
    return {Path(root) / name for root, _, names in os.walk(folder) for name in names}


ATTACKS: list[Attack[Ground]] = [
    Attack(
        "hostile-graphs",
        "content",
        "commission models that cannot be built",
        graphs,
        Weakening("sizes are not capped", patches={"pole.modelspec._check_caps": lambda *_: None}),
    ),
    Attack(
        "deep-nesting",
        "content",
        "commission with nested manifests",
        nesting,
        Weakening(
            "manifests are read with the standard library",
            patches={"pole.manifest.Manifest.model_validate_json": json.loads},
        ),
    ),
    Attack(
        "manifest-of-1-gb",
        "content",
        "commission with a manifest of 1 GB",
        huge_manifest,
        Weakening(
            "no size is too large", patches={"pole.directory._size_within": lambda _path, status, _max: status.st_size}
        ),
    ),
    Attack(
        "other-cids",
        "content",
        "name content in other ways",
        other_cids,
        Weakening(
            "any codec will do",
            (
                Edit(
                    "libraries/Cids.sol",
                    "if (cid.codec != RAW && cid.codec != DAG_PB) revert UnsupportedCodec(cid.codec);",
                    "",
                ),
            ),
        ),
    ),
    Attack(
        "path-tricks",
        "content",
        "give names that are paths or terminal codes",
        path_tricks,
        Weakening("links are followed", patches={"os.O_NOFOLLOW": 0}),
    ),
]
