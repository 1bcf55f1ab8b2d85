"""Writes the reference pages that follow from the code: `python -m tools.site_pages`, before the site is built.

They are not in git: what they say would be out of date with the next change.
"""

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from prometheus_client.metrics_core import Metric

from pole import errors, metrics
from pole.__main__ import cli
from pole.chain.artifacts import artifact
from pole.chain.deployment import CONTRACT_NAMES
from pole.node import figures  # noqa: F401  (registers its figures)

FOLDER = Path(__file__).parent.parent / "docs" / "reference"


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for name, text in pages().items():
        (FOLDER / name).write_text(text)
        print(FOLDER / name)


def pages() -> dict[str, str]:
    """File name and text of each page."""
    return {
        "cli.md": commands_page(),
        "contracts.md": contracts_page(),
        "errors.md": errors_page(),
        "metrics.md": metrics_page(),
    }


def commands_page() -> str:
    intro = "# Commands\n\nAs `pole ... --help` says it, for every command.\n"
    parts = [f"## {path}\n\n```text\n{text.strip()}\n```\n" for path, text in _help(cli, None, "pole")]
    return "\n".join([intro, *parts])


def _help(command: click.Command, parent: click.Context | None, name: str) -> Iterator[tuple[str, str]]:
    with click.Context(command, parent, info_name=name, max_content_width=100) as context:
        yield context.command_path, command.get_help(context)
        if isinstance(command, click.Group):
            for each in command.list_commands(context):
                child = command.get_command(context, each)
                if child is not None and not child.hidden:
                    yield from _help(child, context, each)


def contracts_page() -> str:
    parts = [
        "# Events and errors of the contracts\n",
        "From the compiled contracts. `indexed` parameters can be searched by. What each means stands in the "
        "interfaces, `contracts/interfaces/`.\n",
    ]
    for name in CONTRACT_NAMES:
        abi = artifact(name).abi
        parts.append(f"## {name}\n")
        for kind in ("event", "error"):
            rows = sorted(_signature(entry) for entry in abi if entry["type"] == kind)
            parts += [f"### {kind.capitalize()}s of {name}\n", *(f"- `{row}`" for row in rows), ""]
    return "\n".join(parts)


def _signature(entry: dict[str, Any]) -> str:
    inputs = (
        " ".join(filter(None, [_type(each), "indexed" if each.get("indexed") else "", each["name"]]))
        for each in entry["inputs"]
    )
    return f"{entry['name']}({', '.join(inputs)})"


def _type(parameter: dict[str, Any]) -> str:
    """As Solidity says it: `enum ILearningChain.Phase`, not `uint8`."""
    said = str(parameter.get("internalType", parameter["type"]))
    return said.rpartition(".")[2].removeprefix("struct ").removeprefix("enum ")


def errors_page() -> str:
    parts = [
        "# Errors and exit statuses\n",
        "Every command ends with one line that says what is wrong and what to do. Behind it stands one of these "
        "errors; with `--log-json` its name is in the field `kind`. [Exit statuses](../operations.md#exit-statuses) "
        "say whether trying again helps.\n",
        *_tree(errors.PoleError, 0),
    ]
    return "\n".join(parts) + "\n"


def _tree(error: type[BaseException], depth: int) -> Iterator[str]:
    text = " ".join((inspect.getdoc(error) or "").split("\n\n")[0].split())
    yield f"{'    ' * depth}- `{error.__name__}`: {text}"
    for child in sorted(error.__subclasses__(), key=lambda each: each.__name__):
        if child.__module__ == errors.__name__:
            yield from _tree(child, depth + 1)


def metrics_page() -> str:
    rows = sorted(f"| `{_label(each)}` | {each.type} | {each.documentation} |" for each in _metrics())
    intro = "# Metrics\n\nWhat `GET /metrics` of a role answers with `--metrics-port`; how to use it stands in"
    table = "| name | kind | meaning |\n| --- | --- | --- |\n"
    return f"{intro} [Running a role](../operations.md#figures-for-prometheus).\n\n{table}" + "\n".join(rows) + "\n"


def _metrics() -> list[Metric]:
    return [metric for metric in metrics.REGISTRY.collect() if metric.name.startswith("pole_")]


def _label(metric: Metric) -> str:
    return metric.name + {"counter": "_total", "info": "_info"}.get(metric.type, "")


if __name__ == "__main__":
    main()
