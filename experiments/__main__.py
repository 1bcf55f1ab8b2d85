"""The command line: `python -m experiments NAME [--quick | --full]`."""

import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import click
import torch

from experiments import report
from experiments.settings import Settings
from pole.encryption.simd.backend import all_cores
from pole.errors import BadInput
from pole.node.exit import exit_code

# Modules are imported when they are run: each needs its own part of the project.
NAMES = {
    "block-time": "Experiment 1: block times of PoLe and of proof of work (Table 1, Figure 4).",
    "accuracy": "Experiment 2: accuracy and time behind the mapping (Table 2, Figures 5-8).",
    "replaced-mapping": "Experiment 3: a stolen model under another mapping (Table 3), and attacks that port it.",
    "discretisation": "What bits, weights, segments and normalisation cost: behind the defaults.",
    "directed-gradients": "The second paper's Figure 1 under both sets of rules.",
}


@click.group()
def cli() -> None:
    """The papers' experiments, each with one command; what is computed once is kept and found again."""


def _options(command: Callable[..., None]) -> Callable[..., None]:
    for option in (
        click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True),
        click.option(
            "--threads",
            type=click.IntRange(1, 1024),
            help="CPU threads; part of what fixes the numbers.  [default: all cores]",
        ),
        click.option(
            "--results",
            type=click.Path(file_okay=False, path_type=Path),
            default="results",
            show_default=True,
            help="Folder for cells, tables and pictures.",
        ),
        click.option(
            "--data-dir",
            type=click.Path(exists=True, file_okay=False, path_type=Path),
            help="Folder with MNIST's and CIFAR-10's files.  [default: scikit-learn's digits stand in]",
        ),
        click.option("--seed", type=click.IntRange(0, 1 << 31), default=1, show_default=True),
        click.option(
            "--quick/--full", default=True, help="Minutes on two cores, or the papers' sizes (a GPU).  [default: quick]"
        ),
    ):
        command = option(command)
    return command


def _settings(
    quick: bool, seed: int, data_dir: Path | None, results: Path, threads: int | None, device: str
) -> Settings:
    torch.set_num_threads(threads or all_cores())
    if device == "cuda" and not torch.cuda.is_available():
        raise BadInput("--device cuda, but torch sees no GPU; use --device cpu")
    return Settings(not quick, seed, data_dir, results, device)


def _register(name: str, summary: str) -> None:
    @_options
    def run(quick: bool, seed: int, data_dir: Path | None, results: Path, threads: int | None, device: str) -> None:
        settings = _settings(quick, seed, data_dir, results, threads, device)
        experiment = import_module(f"experiments.{name.replace('-', '_')}")
        click.echo(report.keep(experiment.run(settings), settings))
        click.echo(f"Results and pictures: {settings.folder(name)}")

    cli.command(name, help=summary)(run)


for _name, _summary in NAMES.items():
    _register(_name, _summary)


@cli.command("report")
@_options
@click.option("--page", type=click.Path(dir_okay=False, path_type=Path), default="docs/results.md", show_default=True)
def _report(
    quick: bool, seed: int, data_dir: Path | None, results: Path, threads: int | None, device: str, page: Path
) -> None:
    """One page with all tables, from what was run before."""
    settings = _settings(quick, seed, data_dir, results, threads, device)
    report.page(list(NAMES), settings, page)
    click.echo(f"Wrote {page}")


if __name__ == "__main__":
    sys.exit(exit_code(cli))
