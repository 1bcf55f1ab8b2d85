"""The comparing part of `make exact`: what counts as evidence, and what speaks against it."""

from typing import Any

from rich.console import Console

from tools.exact_evidence import Hashes, complaints, samples, settings, table_of, values_of

MODELS = ["mlp", "cnn"]


def hashes(**exact: list[str]) -> Hashes:
    return {model: {"exact": values, "float32": ["f", "g"]} for model, values in exact.items()}


def shown(found: dict[str, Any]) -> str:
    console = Console(width=200, record=True, quiet=True)
    console.quiet = False
    with console.capture() as captured:
        console.print(table_of(found, MODELS))
    return captured.get()


def test_complaints__one_value_per_model__none() -> None:
    found = {"torch": hashes(mlp=["a", "a"], cnn=["b", "b"]), "numpy": hashes(mlp=["a"], cnn=["b"])}
    assert list(complaints(found, MODELS)) == []
    assert values_of(found, "mlp", "float32") == {"f", "g"}


def test_complaints__chunks_of_one_setting_differ__model_named() -> None:
    found = {"torch": hashes(mlp=["a", "x"], cnn=["b"])}
    assert list(complaints(found, MODELS)) == ["the exact logits of mlp have 2 values; one was expected"]


def test_complaints__settings_differ__model_named() -> None:
    found = {"torch": hashes(mlp=["a"], cnn=["b"]), "numpy": hashes(mlp=["a"], cnn=["c"])}
    assert list(complaints(found, MODELS)) == ["the exact logits of cnn have 2 values; one was expected"]


def test_complaints__setting_without_a_model__said() -> None:
    found = {"torch": hashes(mlp=["a"], cnn=["b"]), "numpy": hashes(mlp=["a"])}
    assert list(complaints(found, MODELS)) == ["numpy yielded nothing for cnn"]


def test_table_of__differing_chunks__counted_in_the_last_line() -> None:
    text = shown({"torch": hashes(mlp=["a" * 64], cnn=["b" * 64, "c" * 64])})
    assert "a" * 12 in text
    assert "a" * 13 not in text
    assert text.count("2 values") == 3
    assert [cell.strip() for cell in text.splitlines()[-2].split("│")[1:-1]] == ["different values", "1", "2", "2", "2"]


def test_settings__all__have_names_of_their_own() -> None:
    names = [setting.name for setting in settings()]
    assert len(set(names)) == len(names)
    assert {sample.name for sample in samples()} >= {"mlp", "cnn", "resnet18"}
