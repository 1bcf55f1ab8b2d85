"""The environment's variables: refused by name, listed in the documents, unknown ones noticed."""

from pathlib import Path

import pytest

from pole.errors import BadInput
from pole.node.doctor import machine
from pole.settings import Settings, read_settings, unknown_variables, variable
from tests.paths import ROOT
from tests.unit.checking import OK, PROBLEM, WARNING, says


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for field in Settings.model_fields:
        monkeypatch.delenv(variable(field), raising=False)


@pytest.mark.parametrize(
    ("name", "value", "needed"),
    [
        ("POLE_THREADS", "0", "greater than or equal to 1"),
        ("POLE_THREADS", "two", "valid integer"),
        ("POLE_ENCRYPTION_BACKEND", "gpu", "'auto', 'coincurve', 'numba' or 'torch'"),
        ("POLE_NO_IFMA", "perhaps", "valid boolean"),
        ("POLE_IPFS_PATIENCE_S", "soon", "valid number"),
        ("POLE_IPFS_PATIENCE_S", "nan", "finite number"),
        ("POLE_IPFS_PATIENCE_S", "-1", "greater than 0"),
        ("POLE_IPFS_PATIENCE_S", "3601", "less than or equal to 3600"),
    ],
)
def test_settings__unusable_value__refused_with_name_value_and_what_is_needed(
    name: str, value: str, needed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(BadInput) as refused:
        read_settings()
    assert f"{name} is '{value}'" in str(refused.value)
    assert needed in str(refused.value)
    says(machine.check_settings(), PROBLEM, name)


def test_settings__secret__is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    for field in ("password", "ipfs_gateway", "ipfs_authorization"):
        monkeypatch.setenv(variable(field), "hunter2")
    assert "hunter2" not in repr(read_settings())


def test_settings__empty_variables__are_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    unset = read_settings()
    for field in Settings.model_fields:
        monkeypatch.setenv(variable(field), "")
    assert read_settings() == unset


def test_settings__file_in_the_working_folder__is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text("POLE_RPC=http://somebody.else\n")
    monkeypatch.chdir(tmp_path)
    assert read_settings().rpc is None


def test_variable__unknown_field__is_a_mistake_of_ours() -> None:
    with pytest.raises(KeyError):
        variable("rcp")


def test_unknown_variables__misspelt__noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in unknown_variables() if name.startswith("POLE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("POLE_KUBO", "/usr/bin/ipfs")
    says(machine.check_settings(), OK, "")
    monkeypatch.setenv("POLE_IPFS_GATWAY", "hunter2")
    says(machine.check_settings(), WARNING, "POLE_IPFS_GATWAY", "docs/operations.md")
    assert "hunter2" not in str(machine.check_settings())


def test_documents__table_of_variables__is_the_class() -> None:
    document = (ROOT / "docs" / "operations.md").read_text()
    for name, field in Settings.model_fields.items():
        default = field.default
        shown = "" if default is None else f"`{str(default).lower() if isinstance(default, bool) else default}` "
        assert f"| `{variable(name)}` | {field.description} | {shown}|" in document
    listed = {line.split("`")[1] for line in document.splitlines() if line.startswith("| `POLE_")}
    assert listed == {variable(field) for field in Settings.model_fields}
