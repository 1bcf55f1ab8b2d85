"""Models by one word: refused where they cannot be, and otherwise built, run and evaluated."""

import numpy as np
import pytest
import torch

from dataclient.drafting.models import ModelWord, named_model
from dataclient.drafting.proposal import Wishes, propose
from dataclient.sources.load import SourceOptions, load_source
from pole.errors import BadInput
from pole.exact.fast import prepare
from pole.task.model import build_model, measure_model

SHAPES = [(1,), (3,), (64,), (97,), (128,), (1000,), (1, 8, 8), (12, 32, 32), (1, 28, 28), (4, 9, 200), (2, 1, 5)]


@pytest.mark.parametrize("row", [(4099,), (65_537,)])
def test_named_model__features_without_equal_parts__refused(row: tuple[int, ...]) -> None:
    with pytest.raises(BadInput, match=f"{row[0]} mapped features have no equal parts"):
        named_model("transformer", row, 2)


def test_named_model__map_too_large_for_a_transformer__refused() -> None:
    with pytest.raises(BadInput, match="map of 600x600 makes 1369 patches"):
        named_model("transformer", (3, 600, 600), 2)


@pytest.mark.parametrize("row", SHAPES)
@pytest.mark.parametrize("word", ["small", "wide", "conv", "transformer"])
def test_named_model__any_row__runs_and_has_an_exact_evaluation(word: ModelWord, row: tuple[int, ...]) -> None:
    spec = named_model(word, row, 3)
    module = build_model(spec, row, 3).eval()
    x = np.random.default_rng(0).normal(size=(3, *row)).astype(np.float32)
    with torch.no_grad():
        expected = module(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(prepare(module).logits(x), expected, atol=0.02)
    assert measure_model(spec, row, 3).multiplications < 50_000_000


@pytest.mark.parametrize("word", ["small", "wide", "conv", "transformer"])
def test_propose__model_by_a_word__in_the_task(word: ModelWord) -> None:
    options = SourceOptions(source="sklearn:wine")
    task = propose(load_source(options), options, Wishes(model=word, required_train_ppm=900_000)).task
    outputs = task.mapping.output_shape((13,))
    assert task.model == named_model(word, outputs, 3)
    assert task.terms.time_limit_s >= 120
