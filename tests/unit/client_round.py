"""What the data client's tests share: a small task on rows in a CSV, and a miner and a verifier played by hand."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from web3.types import RPCEndpoint

from dataclient.drafting.template import render
from dataclient.serve import Server
from dataclient.submit import read_orders, submit
from dataclient.task_file import parse_task
from dataclient.task_folder import TaskHome
from pole.chain.commitments import ballot_digest, solution_commitment, vote_commitment
from pole.chain.sender import Sender
from pole.chain.structs import Phase, Round
from pole.learning.features import Features, load_features
from pole.learning.round_files import fetch_keys, fetch_manifest
from pole.node.context import RoleContext
from pole.node.loop import Waiting
from pole.storage.cid import Cid
from pole.task.manifest import Manifest
from pole.task.model import new_model
from pole.task.weights import load_model, save_model
from tests.unit.local_nodes import ETHER, LocalNodes

ROWS = 24
BOND_WEI = ETHER // 10
FEE_WEI = -(-ETHER // 9)  # a tenth of what reward and fee are together, rounded up
SALT = b"\7" * 32


def write_small_task(folder: Path, name: str = "small", **changes: dict[str, Any]) -> Path:
    """A CSV of 24 rows of two classes and a task file on it; `changes` replace fields of the default's sections."""
    generator = np.random.default_rng(5)
    lines = [f"{a:.3f},{b:.3f},{c:.3f},{i % 2}" for i, (a, b, c) in enumerate(generator.normal(size=(ROWS, 3)))]
    (folder / "rows.csv").write_text("\n".join(["a,b,c,kind", *lines]) + "\n")
    document: dict[str, Any] = {
        "name": name,
        "data": {"source": "rows.csv", "label": "kind", "test_fraction": 0.25},
        "discretisation": {"bits": 4, "minimum": [-3.0], "maximum": [3.0]},
        "mapping": {"kind": "dense", "vectors": 2},
        "model": {"kind": "graph", "layers": [{"name": "classes", "type": "linear", "size": 2}]},
        "encryption": {"scheme": "ipfe-secp256k1", "rank_limit": 2, "encrypt_test_set": True},
        "terms": {"reward_ether": "1", "time_limit_s": 60, "required_train_ppm": 1},
    }
    for section, fields in changes.items():
        document[section] = {**document[section], **fields}
    path = folder / f"{name}.toml"
    path.write_text(render(parse_task(document, path), []))
    return path


@dataclass
class Hand:
    """A miner or verifier of one account whose every step the test takes itself."""

    context: RoleContext

    @property
    def sender(self) -> Sender:
        assert self.context.account is not None
        return Sender(self.context.chain, self.context.account, self.context.journal.transactions)

    def send(self, contract: Any, function: str, *arguments: Any, value_wei: int = 0) -> None:
        key = f"{function}/{self.context.chain.block_number()}"
        self.sender.transact(key, contract, function, *arguments, value_wei=value_wei)

    def open_round(self) -> Round:
        """Opens it, and mines the block that its previous hash comes from."""
        self.send("LearningChain", "openRound")
        for _ in range(2):
            self.context.chain.web3.provider.make_request(RPCEndpoint("evm_mine"), [])
        return self.current()

    def current(self) -> Round:
        latest = self.context.contracts.learning_chain.latest_round()
        assert latest is not None
        return latest

    def manifest(self) -> tuple[Manifest, Cid]:
        cid = self.context.contracts.manifest_of(self.current())
        return fetch_manifest(self.context.store, cid), cid

    def features(self, test_set: Cid | None = None) -> Features:
        """What the published keys open, as every node computes it."""
        (manifest, cid), current = self.manifest(), self.current()
        keys = fetch_keys(self.context.store, manifest, current.keys)
        cache = self.context.home / "features"
        return load_features(self.context.store, manifest, cid, current.previous_hash, keys, test_set, cache)

    def model(self, content: bytes | None = None) -> torch.nn.Module:
        manifest, _ = self.manifest()
        model = new_model(manifest)
        if content is not None:
            load_model(content, model)
        return model

    def commit(self, claimed_train_ppm: int = 1) -> Cid:
        """Commits to an untrained model and puts it into the store."""
        current, deployment = self.current(), self.context.chain.deployment
        torch.manual_seed(0)
        model = self.context.store.put(save_model(self.model()))
        commitment = solution_commitment(
            deployment.chain_id,
            deployment.address("LearningChain"),
            current.round_id,
            self.context.address,
            current.previous_hash,
            model,
            SALT,
        )
        chain = self.context.contracts.learning_chain
        value_wei = chain.parameters().miner_bond_wei + chain.judging_fee_wei(current.round_id)
        arguments = (current.round_id, current.previous_hash, commitment, claimed_train_ppm, 0)
        self.send("LearningChain", "commit", *arguments, value_wei=value_wei)
        return model

    def reveal(self, model: Cid) -> None:
        round_id = self.current().round_id
        place = self.context.contracts.learning_chain.place_of(round_id, self.context.address)
        self.send("LearningChain", "reveal", round_id, place, model, SALT)

    def vote(self, word: int, predictions: Cid | None = None) -> None:
        """Commits and reveals one packed verdict; the only verifier's vote is the outcome."""
        ballot_id, deployment = self.current().ballot_id, self.context.chain.deployment
        where = (deployment.chain_id, deployment.address("VerifierCommittee"), ballot_id)
        digest = ballot_digest(*where, [word])
        commitment = vote_commitment(*where, self.context.address, digest, SALT)
        self.send("VerifierCommittee", "commitVote", ballot_id, 0, commitment)
        if self.context.contracts.verifier_committee.is_due(ballot_id):
            self.send("VerifierCommittee", "advance", ballot_id)
        self.send("VerifierCommittee", "revealVote", ballot_id, 0, digest, SALT, predictions)
        self.send("VerifierCommittee", "tally", ballot_id, [[word]])


class Killed(BaseException):
    """Stands for SIGKILL: nothing on the way may handle it."""


def commissioned(client: RoleContext, folder: Path, name: str = "small", **changes: dict[str, Any]) -> TaskHome:
    """A task that is on the market."""
    [order] = read_orders(client, [write_small_task(folder, name, **changes)], is_new=False)
    submit(client, order)
    return order.home


def act(server: Server) -> Waiting:
    waiting = server.act()
    assert waiting is not None
    return waiting


def acted(server: Server, local_nodes: LocalNodes, phase: Phase) -> Waiting:
    """Acts, a block at a time, until the round is in a phase."""
    for _ in range(10):
        waiting = act(server)
        latest = server._client.contracts.learning_chain.latest_round()
        if latest is not None and latest.phase is phase:
            return waiting
        local_nodes.pass_time(1)  # two blocks may share a second, and a release needs a later one
    raise AssertionError(f"not in {phase.name}: {latest}")
