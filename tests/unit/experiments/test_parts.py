"""The experiments' own parts on known values; what they measure is measured by running them."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save

from experiments import block_time, features, networks, report, transplant
from experiments.cells import Cell, Result, Tell, run_cells
from experiments.data import load
from experiments.hardening import xof_vectors
from experiments.settings import Settings
from experiments.training import Training, accuracy_of
from experiments.unfinished import train_in_turns
from miner.training.whitening import whitening_of
from pole.errors import BadInput
from pole.learning.mapping import mapping_matrix

HASH, OTHER_HASH = (features.previous_hash(1, name) for name in ("one", "other"))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(is_full=False, seed=1, data_dir=None, results=tmp_path, device="cpu")


# --- cells ------------------------------------------------------------------------------------------------------------


def test_run_cells__damaged_result__named_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(BadInput, match=r"a\.json is damaged .* delete it"):
        run_cells(tmp_path, [Cell("a", lambda _: {})], is_quiet=True)


def test_cell__key_that_is_no_file_name__refused() -> None:
    with pytest.raises(BadInput, match=r"'\.\./a' must be"):
        Cell("../a", lambda _: {})


def test_run_cells__interrupted__computes_only_what_is_missing(tmp_path: Path) -> None:
    seen: list[str] = []

    def cell(key: str, is_failing: bool = False) -> Cell:
        def run(_: Tell) -> Result:
            if is_failing:
                raise KeyboardInterrupt
            seen.append(key)
            return {"value": key}

        return Cell(key, run)

    with pytest.raises(KeyboardInterrupt):
        run_cells(tmp_path, [cell("a"), cell("b", is_failing=True)], is_quiet=True)
    results = run_cells(tmp_path, [cell("a"), cell("b")], is_quiet=True)
    assert seen == ["a", "b"]
    assert [result["value"] for result in results.values()] == ["a", "b"]


# --- data and training ------------------------------------------------------------------------------------------------


def test_load__unknown_set__refused(settings: Settings) -> None:
    with pytest.raises(BadInput, match="no data set 'svhn'"):
        load("svhn", settings, bits=4)


def test_load__no_folder__digits_stand_in_and_say_so(settings: Settings) -> None:
    data = load("mnist", settings, bits=4, rows=100)
    assert (data.name, data.shape, len(data.train_y), data.classes) == ("digits", (1, 8, 8), 100, 10)
    assert (int(data.train_x.min()), int(data.train_x.max())) == (0, 15)


def test_training__same_seed__same_numbers(settings: Settings) -> None:
    data = load("iris", settings, bits=4)
    rows = features.white(features.secure(data, features.dense(4, 1), HASH))
    curves = []
    for _ in range(2):
        torch.manual_seed(3)
        training = Training(networks.build(networks.mlp(3), rows.shape, 3), rows, torch.device("cpu"), seed=3, batch=16)
        for _ in range(5):
            training.epoch()
        curves.append((training.curve.train, training.curve.test))
    assert curves[0] == curves[1]
    assert curves[0][0][-1] > curves[0][0][0]


# --- trainings that are interrupted -----------------------------------------------------------------------------------


def _pair(settings: Settings) -> dict[str, Training]:
    data = load("iris", settings, bits=4)
    rows, pair = features.original(data), {}
    for name, seed in (("one", 3), ("two", 4)):
        torch.manual_seed(seed)
        model = networks.build(networks.mlp(3, (16,), dropout=0.2), rows.shape, 3)
        pair[name] = Training(model, rows, torch.device("cpu"), seed=seed, batch=16, epochs=6)
    return pair


def _stop_after(epochs: int) -> Tell:
    def tell(done: int, _: int) -> None:
        if done == epochs:
            raise KeyboardInterrupt

    return tell


def _curves(pair: dict[str, Training]) -> list[tuple[list[float], list[float]]]:
    return [(training.curve.train, training.curve.test) for training in pair.values()]


def _weights(pair: dict[str, Training]) -> list[torch.Tensor]:
    return [tensor for training in pair.values() for tensor in training.model.state_dict().values()]


@pytest.mark.parametrize("content", [b"", b"damaged", save({"one/steps": torch.tensor(3)})])
def test_train_in_turns__unusable_state__starts_anew(settings: Settings, tmp_path: Path, content: bytes) -> None:
    whole, again = _pair(settings), _pair(settings)
    torch.manual_seed(5)
    train_in_turns(whole, 3, tmp_path / "state", lambda *_: None)
    (tmp_path / "state").write_bytes(content)
    torch.manual_seed(5)
    train_in_turns(again, 3, tmp_path / "state", lambda *_: None)
    assert _curves(again) == _curves(whole)
    assert not (tmp_path / "state").exists()


def test_train_in_turns__second_training_damaged__the_first_starts_anew_too(settings: Settings, tmp_path: Path) -> None:
    whole, broken, again = _pair(settings), _pair(settings), _pair(settings)
    torch.manual_seed(5)
    train_in_turns(whole, 6, tmp_path / "whole", lambda *_: None)
    with pytest.raises(KeyboardInterrupt):
        train_in_turns(broken, 6, tmp_path / "state", _stop_after(4), keep_every_s=0)
    kept = load_file(tmp_path / "state")
    (tmp_path / "state").write_bytes(save({name: each for name, each in kept.items() if name != "two/order"}))
    torch.manual_seed(5)
    train_in_turns(again, 6, tmp_path / "state", lambda *_: None)
    assert _curves(again) == _curves(whole)


def test_train_in_turns__interrupted__goes_on_to_the_same_weights(settings: Settings, tmp_path: Path) -> None:
    """Dropout, optimizer, rate and order included: six epochs are the same six, whether in one go or in two."""
    whole, broken, resumed = _pair(settings), _pair(settings), _pair(settings)
    torch.manual_seed(5)
    train_in_turns(whole, 6, tmp_path / "whole", lambda *_: None)
    torch.manual_seed(5)
    with pytest.raises(KeyboardInterrupt):
        train_in_turns(broken, 6, tmp_path / "state", _stop_after(4), keep_every_s=0)
    seen: list[int] = []
    train_in_turns(resumed, 6, tmp_path / "state", lambda done, _: seen.append(done), keep_every_s=0)
    assert seen == [4, 5, 6]
    assert _curves(resumed) == _curves(whole)
    assert all(torch.equal(a, b) for a, b in zip(_weights(resumed), _weights(whole), strict=True))


# --- transplants ------------------------------------------------------------------------------------------------------


def test_from_mappings__as_many_vectors_as_features__exact(settings: Settings) -> None:
    data = load("mnist", settings, bits=4, rows=50)
    mapping = features.dense(64, 4, normalise=False)
    old, new = (mapping_matrix(mapping, phs, data.shape) for phs in (HASH, OTHER_HASH))
    ported = features.raw(mapping, OTHER_HASH, data.test_x) @ transplant.from_mappings(old, new, 4)
    assert np.abs(ported - features.raw(mapping, HASH, data.test_x)).max() < 1e-3


def test_from_rows__linear_relation__found_with_its_offset() -> None:
    rng = np.random.default_rng(1)
    new, matrix, offset = rng.standard_normal((200, 6)), rng.standard_normal((6, 4)), rng.standard_normal(4)
    found, found_offset = transplant.from_rows((new @ matrix + offset).astype(np.float32), new.astype(np.float32))
    assert np.abs(found - matrix).max() < 1e-4
    assert np.abs(found_offset - offset).max() < 1e-4


def test_fold__any_port__same_outputs_as_porting_first(settings: Settings) -> None:
    rng = np.random.default_rng(2)
    torch.manual_seed(1)
    model = networks.build(networks.mlp(3, (8,)), (4,), 3)
    matrix, offset, x = rng.standard_normal((6, 4)), rng.standard_normal(4), rng.standard_normal((50, 6))
    folded = transplant.fold(model, "hidden0", matrix, offset)
    with torch.inference_mode():
        expected = model(torch.from_numpy((x @ matrix + offset).astype(np.float32)))
        assert torch.allclose(folded(torch.from_numpy(x.astype(np.float32))), expected, atol=1e-5)


def test_port__digits_as_many_outputs_as_pixels__the_stolen_model_works_again(settings: Settings) -> None:
    """What the paper says cannot be done: the swap ruins the model, a label-free linear port brings it back."""
    data = load("mnist", settings, bits=4)
    old, new = (features.secure(data, features.dense(64, 4), phs) for phs in (HASH, OTHER_HASH))
    whitening = whitening_of(old.train_x, has_bias=True)
    torch.manual_seed(1)
    model = networks.build(networks.mlp(10), old.shape, 10)
    training = Training(model, features.white(old), torch.device("cpu"), seed=1)
    for _ in range(4):
        training.epoch()
    stolen = whitening.fold(model, "hidden0")
    honest = accuracy_of(stolen, old.test_x, data.test_y)
    ported = transplant.fold(stolen, "hidden0", *transplant.from_rows(old.train_x, new.train_x))
    assert honest > 85
    assert accuracy_of(stolen, new.test_x, data.test_y) < 50
    assert accuracy_of(ported, new.test_x, data.test_y) > honest - 3


# --- hardened candidates ----------------------------------------------------------------------------------------------


def test_xof_vectors__known_values__and_another_hash_other_vectors() -> None:
    """SHAKE-256 of 32 zero bytes and 00000001, as binary digits three at a time."""
    vectors = xof_vectors(bytes(32), 3, 20, 3)
    digits = "".join(f"{byte:08b}" for byte in hashlib.shake_256(bytes(32) + bytes([0, 0, 0, 1])).digest(8))
    assert vectors[0].tolist() == [int(digits[3 * j : 3 * j + 3], 2) for j in range(20)]
    assert vectors.shape == (3, 20)
    assert (int(vectors.min()), int(vectors.max())) == (0, 7)
    assert not np.array_equal(vectors, xof_vectors(HASH, 3, 20, 3))
    assert np.array_equal(vectors[:2], xof_vectors(bytes(32), 2, 20, 3))


# --- block times ------------------------------------------------------------------------------------------------------


def test_waits__known_blocks__to_the_next_one() -> None:
    """Blocks of 10 and 30 s: the mean wait is (100 + 900) / 2 / 40 = 12.5 s."""
    mean, most = block_time._waits([10.0, 30.0])
    assert mean == pytest.approx(12.5, abs=0.01)
    assert most == pytest.approx(28.0, abs=0.01)


def test_figures__papers_moments__its_coefficient_of_variation() -> None:
    assert block_time._figures(block_time.PAPER["PoLe"])[-1] == "0.053"
    assert block_time._figures(block_time.PAPER["PoW"])[-1] == "1.230"


# --- the page ---------------------------------------------------------------------------------------------------------


def test_page__nothing_run__says_what_to_do(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="run an experiment first"):
        report.page(["accuracy"], settings, tmp_path / "results.md")


def test_page__one_of_two_run__table_command_and_picture_of_it(settings: Settings, tmp_path: Path) -> None:
    claim = report.Claim("it is as accurate", "99.9", "97.5", "no, 1 point behind")
    made = report.Report("accuracy", "Accuracy", "| a |\n| - |\n| 1 |", ["curves"], ["A note."], [claim])
    text = report.keep(made, settings)
    (settings.folder("accuracy") / "curves.svg").write_text("<svg/>")
    page = report.page(["accuracy", "block-time"], settings, tmp_path / "docs" / "results.md")
    assert "`python -m experiments accuracy --quick --seed 1`" in text
    assert "| 1 |" in page
    assert "| it is as accurate | 99.9  | 97.5 | no, 1 point behind |" in page
    assert "Not run yet at this scale: `python -m experiments block-time --quick --seed 1`" in page
    assert (tmp_path / "docs" / "results" / "accuracy-curves.svg").read_text() == "<svg/>"
    assert json.loads((settings.folder("accuracy") / "summary.json").read_bytes())["notes"] == ["A note."]
