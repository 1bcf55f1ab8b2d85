"""Collects the model that a task was solved with, and has the client check it on its own plain rows."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dataclient.answers import FORMS
from dataclient.bundle import Bundle, Description, Normalisation, Origin
from dataclient.delivery.deliver import FILES, Delivery, HeldOut, deliver
from dataclient.delivery.folder import write_folder
from dataclient.delivery.proof import prove
from dataclient.prepare import read_rows
from dataclient.task_folder import Submitted, TaskHome
from pole.chain.structs import Header, Task, TaskState
from pole.errors import BadInput
from pole.exact.task import form_of_task, model_of, task_score_ppm
from pole.learning.mapping import project, statistics
from pole.learning.round_files import fetch_manifest
from pole.node.context import RoleContext
from pole.task.manifest import Manifest

UNSOLVED = {
    TaskState.PENDING: "it is waiting for a round; keep `serve` running",
    TaskState.IN_ROUND: "its round is running; keep `serve` running",
    TaskState.REFUNDED: "it ended without a winner and the money was refunded; collect it with `withdraw`",
    TaskState.CANCELLED: "it was cancelled; collect the money with `withdraw`",
}


@dataclass(frozen=True)
class OwnFeatures:
    """Normalised features of the client's own plain rows under the winning round's mapping."""

    train_x: npt.NDArray[np.float32]
    train_y: npt.NDArray[np.int64]
    test_x: npt.NDArray[np.float32]
    test_y: npt.NDArray[np.int64]
    normalisation: Normalisation


def fetch_model(client: RoleContext, home: TaskHome, folder: Path, *, is_overwriting: bool = False) -> Delivery:
    """Gets the winning model by its CID, checks and scores it, and writes it with all that using it needs.

    Raises BadInput if the task is not solved or the folder is taken, and what the store and the model's checks raise.
    """
    submitted = require_submitted(client, home)
    task = client.contracts.task_market.task(submitted.task_id)
    if task.state is not TaskState.SOLVED:
        raise BadInput(f"task {home.name!r} has no model: {UNSOLVED.get(task.state, 'the market does not know it')}")
    client = client.on_lane(task.lane)
    header = winning_header(client, submitted.task_id)
    delivery = _delivery(client, home, task, header)
    if not write_folder(folder, delivery.files, is_overwriting=is_overwriting, known=FILES):
        delivery.remarks.append("the folder held exactly this already; nothing was written")
    client.journal.remember_once(f"collected/{submitted.task_id}", lambda: {"at_s": client.chain.block_time()})
    return delivery


def require_submitted(client: RoleContext, home: TaskHome) -> Submitted:
    """Where the task is on this chain. Raises BadInput if it is not."""
    submitted = home.submitted()
    if submitted is None:
        raise BadInput(f"task {home.name!r} is not on the market yet; run `submit` on its task file (again)")
    if submitted.deployment != client.chain.deployment.identity:
        raise BadInput(f"task {home.name!r} is on another chain; give the --rpc and --deployment it was submitted with")
    return submitted


def winning_header(client: RoleContext, task_id: int) -> Header:
    """The header of the block that solved a task, newest first. Raises BadInput."""
    ledger = client.contracts.of_task(task_id).block_ledger
    for height in range(ledger.height(), 0, -1):
        header = ledger.header(height)
        if header.task_id == task_id:
            return header
    raise BadInput(f"no block solved task {task_id}; if it was solved this moment, try again")


def _delivery(client: RoleContext, home: TaskHome, task: Task, header: Header) -> Delivery:
    manifest = fetch_manifest(client.store, task.terms.manifest)
    if header.model is None:
        raise BadInput(f"the block at height {header.height} names no model; this deployment is broken")
    weights = client.store.get(header.model, manifest.max_model_bytes)
    own = own_features(home, manifest, header.round_hash)
    model, form = model_of(manifest, weights), form_of_task(manifest)
    plain = home.plain()
    predictions = model.predict(own.test_x, FORMS[manifest.data.target])
    description = Description(
        model=str(header.model),
        manifest_cid=str(task.terms.manifest),
        manifest=manifest,
        previous_hash=header.round_hash.hex(),
        normalisation=own.normalisation,
        feature_names=None if plain is None else plain.feature_names,
        preprocessing=None if plain is None else plain.preprocessing,
        origin=_origin(client, header),
        own_train_ppm=task_score_ppm(manifest, model.predict(own.train_x, form), own.train_y),
        own_test_ppm=task_score_ppm(manifest, model.predict(own.test_x, form), own.test_y),
    )
    _, test = read_rows(home, manifest.data)
    proof = prove(client, header)
    return deliver(Bundle(description, weights), HeldOut(test.x, test.labels, predictions), proof)


def _origin(client: RoleContext, header: Header) -> Origin:
    return Origin(
        chain_id=client.chain.deployment.chain_id,
        task_id=header.task_id,
        height=header.height,
        header_hash=client.contracts.block_ledger.header_hash(header.height).hex(),
        winner=header.winner,
        voted_train_ppm=header.train_ppm,
        voted_test_ppm=header.test_ppm,
    )


def own_features(home: TaskHome, manifest: Manifest, previous_hash: bytes) -> OwnFeatures:
    """What miners decrypt, computed from the plain rows instead: the same integers, so the same floats."""
    training, test = read_rows(home, manifest.data)
    mapped = project(manifest.mapping, previous_hash, training.x)
    constants = statistics(manifest.mapping, [mapped])
    return OwnFeatures(
        constants.apply(mapped),
        training.labels,
        constants.apply(project(manifest.mapping, previous_hash, test.x)),
        test.labels,
        Normalisation(mean=constants.mean.astype(float).tolist(), scale=constants.scale.astype(float).tolist()),
    )
