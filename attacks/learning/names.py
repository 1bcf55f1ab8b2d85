"""Content identifiers in other spellings, and names that are paths or terminal codes."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from attacks.learning.commission import Commission, commission
from attacks.learning.documents import linear, measured, with_layers
from attacks.learning.ground import Ground
from attacks.record import Attack, Outcome, Weakening
from dataclient.task_file import parse_task
from pole.errors import BadInput, ManifestInvalid, PoleError
from pole.storage.cid import Cid, cid_of
from pole.task.manifest import Manifest
from testbed import rounds
from testbed.artifacts import Edit
from testbed.contracts import Chain

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
    rounds.seat(chain, 3)
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
    return chain.attempt(chain.attacker, "TaskMarket", "submit", terms, 0, value_wei=10**18).said


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
    "absolute": "/etc/outside",
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
    layer = measured(with_layers(made, linear(name, 2))).partition(":")[0].partition(",")[0]
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
