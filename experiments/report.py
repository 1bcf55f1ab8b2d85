"""What an experiment prints and keeps, and the page that collects the results of all."""

import json
import platform
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch

from experiments.settings import Settings
from pole.atomicfile import write_atomically
from pole.encryption.simd.backend import all_cores
from pole.errors import BadInput
from testbed.markdown import markdown_table


@dataclass(frozen=True)
class Claim:
    """What a paper says, what was found here, and whether that bears it out: `verdict` begins with yes or no."""

    claim: str
    paper: str
    here: str
    verdict: str


@dataclass(frozen=True)
class Report:
    """`figures`: names of pictures in the experiment's folder, without the ending; `notes`: a sentence or two each."""

    name: str
    title: str
    table: str
    figures: list[str]
    notes: list[str]
    claims: list[Claim] = field(default_factory=list)


def command(name: str, settings: Settings) -> str:
    data = " --data-dir DIR" if settings.data_dir else ""
    return f"python -m experiments {name} --{settings.scale} --seed {settings.seed}{data}"


def hardware(settings: Settings) -> str:
    if settings.torch_device.type == "cuda":
        return torch.cuda.get_device_name(0)
    return f"{all_cores()} CPU cores ({platform.machine()}), {torch.get_num_threads()} thread(s) in training"


def keep(report: Report, settings: Settings) -> str:
    """Writes report.md and summary.json beside the cells; returns the Markdown."""
    lines = [
        f"## {report.title}",
        "",
        f"`{command(report.name, settings)}`, {hardware(settings)}.",
        "",
        report.table,
        "",
    ]
    lines += [f"- {note}" for note in report.notes] + [""]
    lines += [f"![{report.title}]({name}.png)" for name in report.figures]
    text = "\n".join(lines).rstrip() + "\n"
    folder = settings.folder(report.name)
    folder.mkdir(parents=True, exist_ok=True)
    summary = {
        "name": report.name,
        "title": report.title,
        "command": command(report.name, settings),
        "hardware": hardware(settings),
        "torch": torch.__version__,
        "table": report.table,
        "notes": report.notes,
        "figures": report.figures,
        "claims": [asdict(claim) for claim in report.claims],
    }
    write_atomically(folder / "report.md", text.encode())
    write_atomically(folder / "summary.json", json.dumps(summary, indent=1).encode())
    return text


def page(names: list[str], settings: Settings, target: Path) -> str:
    """docs/results.md from what the experiments kept; pictures are copied beside it."""
    parts = [_HEAD.format(scale=settings.scale)]
    target.parent.mkdir(parents=True, exist_ok=True)
    missing = [name for name in names if not (settings.folder(name) / "summary.json").is_file()]
    if len(missing) == len(names):
        raise BadInput(
            f"no results in {settings.results} for --{settings.scale} and this seed; run an experiment first"
        )
    summaries = {
        name: json.loads((settings.folder(name) / "summary.json").read_bytes()) for name in names if name not in missing
    }
    parts.append(_claims([Claim(**claim) for summary in summaries.values() for claim in summary["claims"]]))
    for name in names:
        if name in missing:
            parts.append(f"## {name}\n\nNot run yet at this scale: `{command(name, settings)}`.\n")
            continue
        summary = summaries[name]
        pictures = [_copied(settings.folder(name) / f"{each}.svg", target, name) for each in summary["figures"]]
        body = [
            f"## {summary['title']}",
            "",
            f"`{summary['command']}`, {summary['hardware']}.",
            "",
            summary["table"],
            "",
        ]
        body += [*(f"- {note}" for note in summary["notes"]), "", *pictures, ""]
        parts.append("\n".join(body))
    text = "\n".join(parts)
    write_atomically(target, text.encode())
    return text


_HEAD = """# Results

The papers' tables and figures, run with this code. This page is generated: `python -m experiments report --{scale}`.
Every table says how it was made, on what, and where and why it differs from the paper.
"""


def _claims(claims: list[Claim]) -> str:
    lines = [[each.claim, each.paper, each.here, each.verdict] for each in claims]
    return f"## What the papers claim\n\n{markdown_table(['claim', 'paper', 'here', 'holds'], lines)}\n"


def _copied(picture: Path, target: Path, name: str) -> str:
    copy = target.parent / "results" / f"{name}-{picture.name}"
    copy.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(copy, picture.read_bytes())
    return f"![{name}](results/{copy.name})"
