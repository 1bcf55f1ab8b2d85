"""Collecting the model of a task, and what the client sees of its tasks."""

from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from dataclient.audit import audit
from dataclient.bundle import read_bundle
from dataclient.collect import fetch_model
from dataclient.delivery.check import check_folder
from dataclient.delivery.deliver import FILES
from dataclient.delivery.proof import check_proof
from dataclient.serve import NOTHING_OPEN, ClientNode, Server
from dataclient.status import status_table
from dataclient.submit import read_orders
from dataclient.task_folder import Submitted, TaskHome
from pole.chain.structs import Phase, Verdict, VerdictKind
from pole.chain.verdicts import Part, pack_verdict, unpack_verdict
from pole.errors import BadInput, PoleError
from pole.exact.published import EntryRows, PublishedPredictions, pack_rows
from pole.exact.roots import RowPart, predictions_root
from pole.exact.task import model_of, task_score_ppm
from pole.learning.conditioning import rank
from pole.learning.mapping import mapping_matrix
from pole.learning.round_files import fetch_manifest
from pole.money import wei_to_ether
from pole.node.context import RoleContext
from pole.storage.cid import Cid
from tests.unit.client_round import BOND_WEI, FEE_WEI, Hand, act, acted, commissioned, write_small_task
from tests.unit.local_nodes import ETHER, LocalNodes

# --- collect ---


def test_fetch_model__task_not_submitted__says_so(client: RoleContext, tmp_path: Path) -> None:
    [order] = read_orders(client, [write_small_task(tmp_path)], is_new=False)
    with pytest.raises(BadInput, match="'small' is not on the market yet"):
        fetch_model(client, order.home, tmp_path / "model")


def test_fetch_model__pending_then_cancelled__says_what_to_do(
    client: RoleContext, context: RoleContext, tmp_path: Path
) -> None:
    home = commissioned(client, tmp_path)
    with pytest.raises(BadInput, match="waiting for a round; keep `serve` running"):
        fetch_model(client, home, tmp_path / "model")
    submitted = home.submitted()
    assert submitted is not None
    client.contracts.task_market.cancel(submitted.task_id, key="cancel")
    with pytest.raises(BadInput, match="it was cancelled; collect the money with `withdraw`"):
        fetch_model(client, home, tmp_path / "model")
    assert ClientNode(context).act() == NOTHING_OPEN


def solved(
    client: RoleContext,
    hand: Hand,
    local_nodes: LocalNodes,
    home: TaskHome,
    added_ppm: int = 0,
    wrong_row: int | None = None,
) -> tuple[Cid, Verdict]:
    """Plays a round of the client's only task to its block; the verdict is what a node measures, or more.

    `wrong_row`: predicted as another class than the model does, in both parts; then the predictions are published.
    """
    hand.send("VerifierCommittee", "stake", value_wei=ETHER)
    hand.open_round()
    server = Server(client)
    act(server)
    model_cid = hand.commit()
    acted(server, local_nodes, Phase.REVEAL)
    hand.reveal(model_cid)
    acted(server, local_nodes, Phase.VOTING)
    features = hand.features(hand.current().test_set)
    content, (manifest, _) = client.store.get(model_cid, 1 << 20), hand.manifest()
    model, previous_hash = model_of(manifest, content), hand.current().previous_hash
    assert features.test_x is not None
    assert features.test_y is not None
    parts, published = [], {}
    for part, x, y in (
        (RowPart.TRAIN, features.train_x, features.train_y),
        (RowPart.TEST, features.test_x, features.test_y),
    ):
        predictions = model.predict(x)
        if wrong_row is not None:
            predictions[wrong_row] = (predictions[wrong_row] + 1) % len(manifest.data.class_names)
        published[part.name.lower()] = pack_rows(predictions)
        root = predictions_root(previous_hash, model_cid, part, predictions)
        parts.append(Part(VerdictKind.SCORED, task_score_ppm(manifest, predictions, y) + added_ppm, root))
    word = pack_verdict(*parts)
    document = PublishedPredictions(ballot_id=hand.current().ballot_id, entries=[EntryRows(**published)])
    hand.vote(word, None if wrong_row is None else client.store.put(document.to_bytes()))
    for _ in range(12):  # a stranger's turn comes at most eight blocks after that of the only verifier
        if server.act() is None:
            break
        local_nodes.rpc("evm_mine")
    hand.send("VerifierCommittee", "requestUnstake")
    return model_cid, unpack_verdict(word)


def test_fetch_model__solved__scores_as_the_verifiers_did_and_predicts(
    client: RoleContext, hand: Hand, local_nodes: LocalNodes, tmp_path: Path
) -> None:
    home = commissioned(client, tmp_path)
    model_cid, verdict = solved(client, hand, local_nodes, home)
    delivery = fetch_model(client, home, tmp_path / "model")
    bundle = delivery.bundle
    assert bundle.description.model == str(model_cid)
    assert (bundle.description.own_train_ppm, bundle.description.own_test_ppm) == (verdict.train_ppm, verdict.test_ppm)
    assert bundle.description.origin.voted_test_ppm == verdict.test_ppm
    assert bundle.description.origin.winner == hand.context.address
    assert read_bundle(tmp_path / "model") == bundle
    again = fetch_model(client, home, tmp_path / "model")
    assert (again.files, again.remarks[-1]) == (
        delivery.files,
        "the folder held exactly this already; nothing was written",
    )
    (tmp_path / "model" / "README.md").write_text("changed")
    with pytest.raises(BadInput, match="holds another model already; say --force"):
        fetch_model(client, home, tmp_path / "model")
    fetch_model(client, home, tmp_path / "model", is_overwriting=True)
    assert {path.name for path in (tmp_path / "model").iterdir()} == FILES - {"residuals.png"}
    proof = check_proof((tmp_path / "model" / "block.json").read_bytes(), header_hash(client))
    assert (proof.header.model, proof.header.winner) == (str(model_cid), hand.context.address)
    assert [part.what for part in proof.body] == ["manifest", "test set"]
    assert check_folder(tmp_path / "model", header_hash(client).hex())[0].startswith(f"{model_cid} is the model of")
    assert client.contracts.reward_reservoir.credit_wei(client.address) == BOND_WEI


def header_hash(client: RoleContext) -> bytes:
    ledger = client.contracts.block_ledger
    return ledger.header_hash(ledger.height())


def test_fetch_model__task_of_another_chain__is_refused(client: RoleContext, tmp_path: Path) -> None:
    [order] = read_orders(client, [write_small_task(tmp_path)], is_new=False)
    order.home.keep_submitted(Submitted(task_id=1, deployment="elsewhere", client="0x"))
    with pytest.raises(PoleError, match="is on another chain"):
        fetch_model(client, order.home, tmp_path / "model")


# --- status ---


def shown(client: RoleContext) -> str:
    console = Console(width=240, record=True, file=StringIO())
    console.print(status_table(client))
    return " ".join(console.export_text().split())


def test_status_table__says_what_is_awaited_until_when_and_what_leaked(
    client: RoleContext, hand: Hand, tmp_path: Path
) -> None:
    home = commissioned(client, tmp_path)
    submitted = home.submitted()
    assert submitted is not None
    held = f"{wei_to_ether(ETHER + FEE_WEI + BOND_WEI)} │ rank 0 of at most 2"
    assert f"small │ {submitted.task_id} │ pending │ - │ a round to open │ - │ {held}" in shown(client)
    opened = hand.open_round()
    act(Server(client))
    left_s = hand.current().deadline - client.chain.block_time()
    manifest = fetch_manifest(client.store, client.contracts.task_market.task(submitted.task_id).terms.manifest)
    keyed = mapping_matrix(manifest.mapping, opened.previous_hash, tuple(manifest.data.shape))
    leaked = rank(keyed)  # two short vectors of one hash may be parallel
    assert (
        f"in round │ {opened.round_id}: training │ miners of small (0 qualified) │ in {left_s} s │ "
        f"{wei_to_ether(ETHER + FEE_WEI + BOND_WEI)} │ rank {leaked} of at most 2; above 0, recovery" in shown(client)
    )


def test_audit__honest_committee__both_parts_equal_to_the_last_prediction(
    client: RoleContext, hand: Hand, local_nodes: LocalNodes, tmp_path: Path
) -> None:
    home = commissioned(client, tmp_path)
    solved(client, hand, local_nodes, home)
    found = audit(client, home)
    assert [part.is_equal for part in found] == [True, True]
    assert "every prediction is as the committee found it" in str(found[0])


def test_audit__committee_that_decided_otherwise__names_the_part_and_both_scores(
    client: RoleContext, hand: Hand, local_nodes: LocalNodes, tmp_path: Path
) -> None:
    home = commissioned(client, tmp_path)
    _, verdict = solved(client, hand, local_nodes, home, added_ppm=1)
    found = audit(client, home)
    assert [part.is_wrong for part in found] == [True, True]
    assert str(found[0]) == (
        f"train: {verdict.train_ppm - 1} ppm on your rows, {verdict.train_ppm} ppm was decided; no verifier published "
        "predictions that hash to what was decided"
    )


def test_audit__a_prediction_that_the_model_does_not_make__names_the_row_and_both_classes(
    client: RoleContext, hand: Hand, local_nodes: LocalNodes, tmp_path: Path
) -> None:
    home = commissioned(client, tmp_path)
    solved(client, hand, local_nodes, home, wrong_row=3)
    for part in audit(client, home):
        assert part.is_wrong
        assert part.difference is not None
        assert part.difference.row == 3
        assert part.difference.decided != part.difference.found
        assert "the first difference is in row 3: class" in str(part)
