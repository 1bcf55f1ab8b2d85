"""The recipes for containers name commands, figures and files that exist, and give nobody more than it needs."""

import json
import re
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from pole.__main__ import cli
from pole.errors import BadInput
from tests.paths import ROOT
from tools import chroot_image, site_pages

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
ROLES = sorted(name for name, service in SERVICES.items() if service.get("image") == "pole-roles")
DOCKERFILE = list(chroot_image.instructions((ROOT / "Dockerfile").read_text()))
BOARD = json.loads((ROOT / "containers" / "grafana" / "boards" / "pole.json").read_text())


def options_of(words: list[str]) -> tuple[set[str], list[str]]:
    """The options that a command of `pole` knows, and the words after its name."""
    command: click.Command = cli
    context = click.Context(cli)
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        found = command.get_command(context, words[0])
        assert found is not None, words
        command, words = found, words[1:]
    return {option for parameter in command.params for option in parameter.opts}, words


def test_services__are_the_market_and_its_watchers() -> None:
    kinds = [
        "accounts",
        "chain",
        "client",
        "deployer",
        "explorer",
        "grafana",
        "miner-1",
        "miner-2",
        "prometheus",
        "store",
    ]
    assert sorted(SERVICES) == sorted([*kinds, "verifier-1", "verifier-2", "verifier-3"])


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_service__read_only_without_rights_and_pinned(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service.get("user") != "root"
    assert "build" in service or re.search(r":v?\d+\.\d+\.\d+$", service["image"])
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))


@pytest.mark.parametrize("name", [name for name in ROLES if name != "accounts"])
def test_role__command_and_health_check__exist(name: str) -> None:
    options, words = options_of(SERVICES[name]["command"])
    assert {word for word in words if word.startswith("--")} <= options
    program, *check = SERVICES[name]["healthcheck"]["test"][1:]
    options, words = options_of(check)
    assert (program, check[0]) == ("pole", "doctor")
    assert {word for word in words if word.startswith("--")} <= options


@pytest.mark.parametrize("name", [name for name in ROLES if name not in ("accounts", "explorer")])
def test_role__its_own_key_and_home__and_no_password_in_sight(name: str) -> None:
    service = SERVICES[name]
    assert f"/keys/{name}.json" in service["command"]
    assert f"{name}:/var/lib/pole" in service["volumes"]
    assert "keys:/keys:ro" in service["volumes"]
    assert not [variable for variable in service["environment"] if "PASSWORD" in variable]
    assert service["secrets"] == ["password"]


def test_explorer__holds_no_key_and_no_password() -> None:
    assert SERVICES["explorer"]["secrets"] == []
    assert not [volume for volume in SERVICES["explorer"]["volumes"] if volume.startswith("keys")]


def test_prometheus__asks_every_role_where_it_answers() -> None:
    jobs = yaml.safe_load((ROOT / "containers" / "prometheus.yml").read_text())["scrape_configs"]
    asked = {target for job in jobs for config in job["static_configs"] for target in config["targets"]}
    answering = {f"{name}:9100" for name in ROLES if "--metrics-port" in SERVICES[name].get("command", [])}
    assert asked == answering | {"explorer:8080"}


def test_board__shows_figures_that_exist() -> None:
    figures = set(re.findall(r"^\| `(pole_\w+)`", site_pages.metrics_page(), re.MULTILINE))
    expressions = [target["expr"] for panel in BOARD["panels"] for target in panel["targets"]]
    named = {name for each in expressions for name in re.findall(r"\bpole_[a-z_]+", each)} - {"pole_phase_name"}
    labels = {"pole_phase"}  # also the label of the figure of that name
    assert named - labels <= figures
    assert {"pole_seconds_since_poll", "pole_balance_wei", "pole_errors_total"} <= named


def test_images__hold_no_secret_of_compose() -> None:
    ignored = (ROOT / ".dockerignore").read_text().split()
    assert {secret["file"] for secret in COMPOSE["secrets"].values()} <= set(ignored)


def test_images__end_as_a_user_without_rights() -> None:
    users: dict[str, str] = {}
    for keyword, rest in DOCKERFILE:
        if keyword == "FROM":
            stage = rest.partition(" AS ")[2]
        elif keyword == "USER":
            users[stage] = rest
    assert users == {"workshop": "pole", "roles": "pole"}


def test_dockerfile__what_it_copies_and_installs__is_here_and_locked() -> None:
    for keyword, rest in DOCKERFILE:
        if keyword == "COPY" and "--from" not in rest:
            *sources, _ = rest.split()
            assert all((ROOT / source).exists() for source in sources), rest
        for installed in re.findall(r"pip (?:install|sync) [^&]*", rest):
            assert "--require-hashes" in installed or "--no-deps" in installed, rest
        assert "npm install" not in rest


@pytest.mark.parametrize("text", ["RUN true", "FROM scratch AS roles", "FROM debian:12-slim AS other\nADD a b"])
def test_chroot_image__recipe_that_it_cannot_follow__refused(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "Dockerfile").write_text(text)
    monkeypatch.setattr(chroot_image, "ROOT", tmp_path)
    monkeypatch.setattr("tools.chroot_image.subprocess.run", lambda *_, **__: None)
    with pytest.raises(BadInput):
        chroot_image.build("roles", tmp_path / "images", "http://127.0.0.1:1", [], {})
