"""Task files: what is refused, and that what init writes reads back as it was meant."""

import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataclient.drafting.proposal import (
    Wishes,
    propose,
    propose_discretisation,
    propose_mappings,
    propose_name,
    threshold_ppm,
)
from dataclient.drafting.template import render, write_task_file
from dataclient.sources.load import SourceOptions, load_source, training_and_test
from dataclient.sources.plain import PlainData
from dataclient.task_file import TaskFile, parse_task, read_task_file
from pole.errors import BadInput
from pole.money import ether_to_wei, wei_to_ether
from pole.task.manifest import ConvolutionalMapping, DenseMapping, TorchvisionModel


@pytest.fixture(scope="module")
def iris() -> TaskFile:
    options = SourceOptions(source="sklearn:iris")
    training, _ = training_and_test(load_source(options), options)
    return propose(training, options, Wishes()).task


def reparsed(text: str, folder: Path) -> TaskFile:
    return parse_task(tomllib.loads(text), folder / "task.toml")


@pytest.mark.parametrize(
    ("section", "field", "value", "message"),
    [
        ("terms", "reward_ether", "lots", "'lots' is not an amount of ether"),
        ("terms", "reward_ether", "0", "not a positive amount"),
        ("terms", "reward_ether", "-1", "not a positive amount"),
        ("terms", "reward_ether", "0.0000000000000000001", "not a positive amount of whole wei"),
        ("terms", "reward_ether", "NaN", "not a positive amount"),
        ("terms", "time_limit_s", 0, "terms.time_limit_s: Input should be greater than or equal to 1"),
        ("terms", "required_train_ppm", 1_000_001, "less than or equal to 1000000"),
        ("terms", "required_train_ppm", 0.9, "required_train_ppm: Input should be a valid integer"),
        ("terms", "solutions_wanted", 65, "less than or equal to 64"),
        ("terms", "solutions", 1, "terms.solutions: Extra inputs are not permitted"),
        ("encryption", "scheme", "rot13", "encryption.scheme: Input should be 'none' or 'ipfe-secp256k1'"),
        ("data", "test_fraction", 1.0, "data.test_fraction"),
        ("discretisation", "bits", 9, "discretisation.bits"),
    ],
)
def test_parse_task__wrong_field__is_named(
    iris: TaskFile, tmp_path: Path, section: str, field: str, value: object, message: str
) -> None:
    document: dict[str, Any] = tomllib.loads(render(iris, []))
    document[section][field] = value
    with pytest.raises(BadInput, match=message):
        parse_task(document, tmp_path / "task.toml")


def test_read_task_file__not_toml__names_the_line(tmp_path: Path) -> None:
    (tmp_path / "task.toml").write_text("name = \n")
    with pytest.raises(BadInput, match=r"is not valid TOML: .*line 1"):
        read_task_file(tmp_path / "task.toml")


def test_read_task_file__missing__says_how_to_write_one(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="No such file or directory; write one with `init`"):
        read_task_file(tmp_path / "task.toml")


def test_write_task_file__existing__is_kept_unless_forced(tmp_path: Path) -> None:
    path = tmp_path / "task.toml"
    write_task_file(path, "one", is_overwriting=False)
    with pytest.raises(BadInput, match="exists already; choose another --out, or say --force"):
        write_task_file(path, "two", is_overwriting=False)
    assert path.read_text() == "one"
    write_task_file(path, "three", is_overwriting=True)
    assert path.read_text() == "three"


def test_render__reads_back_the_same(iris: TaskFile, tmp_path: Path) -> None:
    assert reparsed(render(iris, ["a remark"]), tmp_path) == iris


def test_render__says_timed_release_not_privacy(iris: TaskFile) -> None:
    assert "timed release, NOT privacy" in render(iris, [])


@given(text=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20))
def test_render__any_text__reads_back(text: str) -> None:
    options = SourceOptions(source="sklearn:iris", label=text, drop=[text, "b"])
    task = TaskFile.model_validate({**MINIMAL, "data": options})
    assert reparsed(render(task, []), Path("/")).data == options


def test_render__torchvision_model__reads_back(iris: TaskFile, tmp_path: Path) -> None:
    task = iris.model_copy(
        update={
            "model": TorchvisionModel(architecture="resnet18", stem="cifar"),
            "mapping": ConvolutionalMapping(filters=2, kernel=3),
        }
    )
    assert reparsed(render(task, []), tmp_path) == task


def test_parse_task__relative_source__is_found_beside_the_file(iris: TaskFile, tmp_path: Path) -> None:
    task = iris.model_copy(update={"data": SourceOptions(source="rows.csv", label="a", data_dir="more")})
    parsed = reparsed(render(task, []), tmp_path)
    assert (parsed.data.source, parsed.data.data_dir) == (str(tmp_path / "rows.csv"), str(tmp_path / "more"))


@given(amount_wei=st.integers(1, (1 << 128) - 1))
def test_ether__is_exact_both_ways(amount_wei: int) -> None:
    assert ether_to_wei(wei_to_ether(amount_wei)) == amount_wei


# --- proposals ---

MINIMAL: dict[str, Any] = {
    "name": "task",
    "data": {"source": "sklearn:iris"},
    "discretisation": {"bits": 4, "minimum": [0.0], "maximum": [1.0]},
    "mapping": {"kind": "dense", "vectors": 3},
    "model": {"kind": "graph", "layers": [{"name": "classes", "type": "linear", "size": 3}]},
    "encryption": {"scheme": "none"},
    "terms": {"reward_ether": "1", "time_limit_s": 60, "required_train_ppm": 900_000},
}


def table(columns: int, rows: int = 40) -> PlainData:
    generator = np.random.default_rng(0)
    return PlainData(generator.normal(size=(rows, columns)), np.arange(rows) % 2, ("a", "b"), has_columns=True)


@pytest.mark.parametrize(
    ("shape", "vectors", "segments"),
    [((4,), 3, 1), ((2,), 1, 1), ((13,), 3, 1), ((64,), 16, 1), ((1, 28, 28), 16, 8), ((300,), 18, 4), ((255,), 63, 1)],
)
def test_propose_mapping__stays_under_what_opens_the_data(shape: tuple[int, ...], vectors: int, segments: int) -> None:
    assert propose_mappings(shape, Wishes())[0] == DenseMapping(vectors=vectors, segments=segments)


def test_propose_mapping__colour_images__are_convolved() -> None:
    assert propose_mappings((3, 32, 32), Wishes()) == [ConvolutionalMapping(filters=4, kernel=3)]


@pytest.mark.parametrize(
    ("wishes", "message"),
    [
        (Wishes(vectors=4), "4 query vectors on 4 features per segment would give the data away outright"),
        (Wishes(segments=3), "3 segments do not divide 4 features"),
        (Wishes(mapping="convolutional"), "needs images; these rows have 4 features"),
    ],
)
def test_propose_mapping__impossible_wish__is_refused(wishes: Wishes, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        propose_mappings((4,), wishes)


def test_propose__one_feature_encrypted__is_refused() -> None:
    with pytest.raises(BadInput, match="single feature per segment cannot be encrypted"):
        propose(table(1), SourceOptions(source="x"), Wishes())


def test_propose__bad_reward__is_refused() -> None:
    with pytest.raises(BadInput, match="reward: 'x' is not an amount"):
        propose(table(4), SourceOptions(source="x"), Wishes(reward_ether="x"))


def test_propose__rank_limit__allows_a_second_round_only_under_three_eighths(iris: TaskFile) -> None:
    assert iris.encryption.rank_limit == 3
    assert propose(table(64), SourceOptions(source="x"), Wishes(protect="rows")).task.encryption.rank_limit == 24
    assert propose(table(64), SourceOptions(source="x"), Wishes(vectors=8)).task.encryption.rank_limit == 16


def test_propose_discretisation__table__has_the_range_of_each_column() -> None:
    data = PlainData(np.array([[1.0, -2], [3, 5]]), np.array([0, 1]), ("a", "b"), has_columns=True)
    assert propose_discretisation(data, None).minimum == [1.0, -2.0]
    assert propose_discretisation(data, None).maximum == [3.0, 5.0]


def test_propose_discretisation__blank_images__are_refused() -> None:
    data = PlainData(np.zeros((2, 4)), np.array([0, 1]), ("a", "b"))
    with pytest.raises(BadInput, match=r"every feature of every row is 0\.0"):
        propose_discretisation(data, None)


@pytest.mark.parametrize(
    ("measured_ppm", "classes", "expected_ppm"), [(975_000, 10, 940_000), (600_000, 2, 570_000), (510_000, 2, 500_000)]
)
def test_threshold_ppm__is_the_baseline_less_a_margin(measured_ppm: int, classes: int, expected_ppm: int) -> None:
    assert threshold_ppm(measured_ppm, classes) == expected_ppm


@pytest.mark.parametrize(
    ("source", "name"),
    [("sklearn:iris", "iris"), ("/data/My flowers.csv", "My-flowers"), ("/.csv", "csv"), ("/ü", "task")],
)
def test_propose_name__is_a_valid_name(source: str, name: str) -> None:
    assert propose_name(source) == name
