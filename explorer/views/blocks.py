"""A block of a learning chain: header, body, Merkle tree, ommers, and the inclusion proof of each leaf."""

from explorer.chain.calls import View
from explorer.chain.events import Event
from explorer.figures import Cell, Facts, Figure, InEvent, Page, Part, Picture, Said, Table
from explorer.site import Snapshot
from explorer.views.cells import NOTHING, arg, time_of, viewed, words_of
from pole.chain.commitments import body_leaf, body_proof, body_root

_UNITS = {
    "height": "count",
    "taskId": "task",
    "winner": "address",
    "previousHash": "hash",
    "model": "cid",
    "trainPpm": "ppm",
    "testPpm": "ppm",
    "ommerHash": "hash",
    "bodyRoot": "hash",
    "roundHash": "hash",
    "timestamp": "time",
}
_BODY = (
    "the list of tasks, as a hash chain",
    "tasks collected since the block before",
    "the manifest, which names the encrypted data",
    "the round's transactions, as a hash chain",
    "the test set",
)


def block_page(snapshot: Snapshot, value: str) -> Page | None:
    label, height = snapshot.site.kinds.lane(value)
    events = snapshot.read.events("block", value)
    block = next((event for event in events if event.name == "BlockAppended"), None)
    if block is None:
        return None
    parts: list[Part] = [
        _header(snapshot, block, label, height),
        *_body(block),
        _ommers(snapshot, events, label, height),
    ]
    return Page(f"Block {value}", "block", value, parts)


def _header(snapshot: Snapshot, block: Event, label: str, height: int) -> Facts:
    site, ledger = snapshot.site, snapshot.site.kinds.ledger_of(label)
    items: dict[str, Cell] = {
        "hash": viewed(
            site,
            block.args["headerHash"],
            "hash",
            View(ledger, "headerHash", (height,)),
            InEvent(block, ("headerHash",)),
        )
    }
    for name, value in block.args["header"].items():
        proof = View(ledger, "header", (height,), (name,))
        items[words_of(name)] = viewed(site, value, _UNITS.get(name, "text"), proof, InEvent(block, ("header", name)))
    if block.args["roundId"]:
        round_ = site.kinds.value(label, "round", block.args["roundId"])
        items["round"] = Figure(round_, "round", InEvent(block, ("roundId",)))
    items["appended"] = time_of(block)
    return Facts("Header", items)


def _body(block: Event) -> list[Part]:
    values = [bytes.fromhex(value[2:]) for value in block.args.get("body", ())]
    if not values:
        return []
    rows: list[list[Cell]] = [
        [Said(str(i)), Said(_BODY[i] if i < len(_BODY) else "another value"), arg(block, "body", i, unit="hash")]
        for i in range(len(values))
    ]
    root = block.args["header"].get("bodyRoot")
    proofs = [[f"0x{each.hex()}" for each in body_proof(values, i)] for i in range(len(values))]
    leaves = [f"0x{body_leaf(i, value).hex()}" for i, value in enumerate(values)]
    data = {"root": root, "values": block.args["body"], "proofs": proofs, "leaves": leaves}
    is_right = f"0x{body_root(values).hex()}" == root
    words = "The root of these values is the header's." if is_right else "These values do not have the header's root."
    tree = Picture(
        "Merkle tree", "merkle", data, words, "Check a value yourself: your browser hashes it up to the root."
    )
    return [Table("Body", ("leaf", "what", "value"), rows), tree]


def _ommers(snapshot: Snapshot, events: list[Event], label: str, height: int) -> Table:
    ledger = snapshot.site.kinds.ledger_of(label)
    added = [event for event in events if event.name == "OmmerAdded"]
    rows: list[list[Cell]] = []
    for index, event in enumerate(added):
        by_test = View(ledger, "ommers", (height,), (index, "testPpm"))
        rows.append(
            [
                arg(event, "miner", unit="address"),
                viewed(snapshot.site, event.args["testPpm"], "ppm", by_test, InEvent(event, ("testPpm",))),
                arg(event, "ommerHash", unit="hash"),
                NOTHING,
            ]
        )
    for event in (event for event in events if event.name == "OmmerReferenced"):
        said = Said(f"of height {event.args['ommerHeight']}, referenced here")
        rows.append([arg(event, "miner", unit="address"), said, NOTHING, arg(event, "ommerReward", unit="token")])
    return Table("Ommers", ("miner", "test", "hash", "reward"), rows, note="" if rows else "None.")
