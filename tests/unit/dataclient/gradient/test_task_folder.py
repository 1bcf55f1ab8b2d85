"""Gradient tasks on the client's side: networks, first threshold, bounds, and what is refused before money moves."""

from pathlib import Path
from typing import Any

import pytest
import torch

from dataclient.gradient.network import propose_network
from dataclient.gradient.prepare import prepare
from dataclient.gradient.task_folder import GradientOrder, find_order_home, open_order_home
from dataclient.sources.load import SourceOptions
from pole.chain.gradient_structs import Rules
from pole.chain.profiles import LOCAL
from pole.errors import BadInput, ManifestInvalid
from pole.gradient.difficulty import MAX_THRESHOLD
from pole.gradient.manifest import fetch_gradient_manifest
from pole.storage.cid import Cid
from pole.storage.store import Store, open_store
from pole.task.model import build_model


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "store"))


def digits(**changes: Any) -> GradientOrder:
    given = {
        "name": "digits",
        "data": SourceOptions(source="sklearn:digits", max_training_rows=200, max_test_rows=50),
        "block_count": 3,
        "block_reward_wei": 10**16,
        "target_interval_s": 2,
        "steps_per_block": 64,
        "check_steps": 50,
    }
    return GradientOrder.model_validate({**given, **changes})


@pytest.mark.parametrize(
    ("shape", "has_columns"), [((64,), False), ((13,), True), ((1, 28, 28), False), ((3, 32, 32), False)]
)
def test_propose_network__rows_of_all_kinds__one_output_per_class(shape: tuple[int, ...], has_columns: bool) -> None:
    model = build_model(propose_network("small", shape, 10, has_columns), shape, 10).eval()
    assert model(torch.zeros(2, *shape)).shape == (2, 10)


def test_open_order_home__same_name_other_options__refused(tmp_path: Path) -> None:
    open_order_home(tmp_path, digits())
    with pytest.raises(BadInput, match="another --name"):
        open_order_home(tmp_path, digits(block_count=4))


def test_find_order_home__unknown__lists_the_known(tmp_path: Path) -> None:
    open_order_home(tmp_path, digits())
    with pytest.raises(BadInput, match="known are: digits"):
        find_order_home(tmp_path, "7")


@pytest.mark.slow
def test_prepare__network_that_stands_still__refused_naming_the_layer(tmp_path: Path, store: Store) -> None:
    """The last layers' maps are of one pixel, so that most of their weights only ever meet padding."""
    order = digits(model="resnet18", check_steps=1)
    with pytest.raises(ManifestInvalid, match="layer4"):
        prepare(order, open_order_home(tmp_path, order), store, LOCAL.gradient)


def test_prepare__digits__terms_follow_from_the_steps_wanted(tmp_path: Path, store: Store) -> None:
    order = digits(miners=2)
    terms = prepare(order, open_order_home(tmp_path, order), store, LOCAL.gradient).terms(order)
    manifest = fetch_gradient_manifest(store, terms.manifest)
    assert terms.initial_threshold == MAX_THRESHOLD // (48 * 2)
    assert (terms.min_step, terms.max_step) == (17, min(17 + 64 * 64, 256 * manifest.checkpoint_interval))
    assert (manifest.checkpoint_interval, manifest.data.training_rows, manifest.test_set.rows) == (16, 200, 50)
    assert (terms.rules, terms.block_time_limit_s) == (Rules.HARDENED, 60)
    assert all(store.has(cid) for cid in (terms.genesis_weights, Cid.parse(manifest.test_set.cid)))


def test_prepare__network_that_can_be_foretold__segments_are_longer_until_it_cannot(
    tmp_path: Path, store: Store
) -> None:
    """Columns get no batch normalisation, and at this rate gradients hardly change within a short segment."""
    order = digits(data=SourceOptions(source="sklearn:iris"), learning_rate=0.001)
    manifest = fetch_gradient_manifest(
        store, Cid.parse(prepare(order, open_order_home(tmp_path, order), store, LOCAL.gradient).manifest)
    )
    assert 16 < manifest.checkpoint_interval <= 1024
    short = order.model_copy(update={"name": "short", "checkpoint_interval": 16})
    with pytest.raises(ManifestInvalid, match="can be foretold but for"):
        prepare(short, open_order_home(tmp_path, short), store, LOCAL.gradient)


def test_prepare__more_steps_than_a_proof_can_hold__refused(tmp_path: Path, store: Store) -> None:
    order = digits(steps_per_block=1 << 12, checkpoint_interval=8)
    with pytest.raises(BadInput, match="--checkpoint-interval"):
        prepare(order, open_order_home(tmp_path, order), store, LOCAL.gradient)


def test_prepare__again__nothing_is_measured_anew(tmp_path: Path, store: Store) -> None:
    order = digits()
    home = open_order_home(tmp_path, order)
    first = prepare(order, home, store, LOCAL.gradient)
    assert prepare(order, open_order_home(tmp_path, order), store, LOCAL.gradient) == first


def test_prepare__paper_rules__a_requirement_per_halving(tmp_path: Path, store: Store) -> None:
    order = digits(rules="paper", miners=2)
    prepared = prepare(order, open_order_home(tmp_path, order), store, LOCAL.gradient)
    assert (prepared.min_step, prepared.max_step, prepared.initial_threshold) == (0, 0, 1)
    assert fetch_gradient_manifest(store, Cid.parse(prepared.manifest)).requirement_count == 7  # 2^7 steps of both
