"""The data client's commands for the gradient chain. Slow modules are imported inside the commands that need them."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dataclient.sources.options import source_arguments, source_options
from pole.atomicfile import write_atomically
from pole.errors import BadInput
from pole.money import ether_to_wei
from pole.node.cli import role_options
from pole.node.context import RoleContext
from pole.node.terminal import Fitted, console

if TYPE_CHECKING:
    from dataclient.gradient.task_folder import GradientOrder

_AS_THEY_ARE = (
    *("rules", "model", "block_count", "target_interval_s", "block_time_limit_s", "target_test_ppm", "batch_size"),
    *("learning_rate", "steps_per_block", "requirement_count", "checkpoint_interval", "segments", "redundancy"),
    *("devices", "miners", "check_steps", "seed"),
)


@click.group()
def gradient() -> None:
    """Commission training blocks on the gradient chain."""


def _terms(command: Callable[..., Any]) -> Callable[..., Any]:
    """What the chain is told."""
    options = [
        click.option("--blocks", "block_count", type=click.IntRange(1), default=30, show_default=True),
        click.option(
            "--block-reward", "reward_ether", default="0.01", show_default=True, help="In ether; a fee on top."
        ),
        click.option(
            "--interval",
            "target_interval_s",
            type=click.IntRange(1),
            default=30,
            show_default=True,
            help="Seconds that the search for a block should take.",
        ),
        click.option(
            "--time-limit",
            "block_time_limit_s",
            type=click.IntRange(1),
            help="Seconds without a block that stop the task.  [default: 30 intervals, at least a minute]",
        ),
        click.option(
            "--target-test-ppm",
            type=click.IntRange(0, 1_000_000),
            default=0,
            show_default=True,
            help="Test accuracy that completes the task early.",
        ),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def _training(command: Callable[..., Any]) -> Callable[..., Any]:
    """What the manifest says."""
    options = [
        click.option("--rules", type=click.Choice(["hardened", "paper"]), default="hardened", show_default=True),
        click.option("--model", type=click.Choice(["small", "resnet18"]), default="small", show_default=True),
        click.option("--batch-size", type=click.IntRange(1, 4096), default=4, show_default=True),
        click.option(
            "--learning-rate",
            type=click.FloatRange(0, 10, min_open=True),
            default=0.001,
            show_default=True,
        ),
        click.option(
            "--steps-per-block",
            type=click.IntRange(1),
            help="That a miner should need at first.  [default: what this machine does in an interval]",
        ),
        click.option("--miners", type=click.IntRange(1), default=1, show_default=True, help="Expected at first."),
        click.option("--requirement-count", type=click.IntRange(1, 256), help="|R| of the paper's rules."),
        click.option("--checkpoint-interval", type=click.IntRange(1, 10_000), help="Steps between checkpoints."),
        click.option(
            "--segments",
            type=click.Choice(["all", "divided", "sampled"]),
            help="What each verifier replays.  [default: all; sampled where blocks have 64 segments or more]",
        ),
        click.option("--redundancy", type=click.IntRange(1, 16), default=2, show_default=True),
        click.option(
            "--devices",
            type=click.Choice(["any", "alike"]),
            help="alike: all nodes have the same kind of processor.  [default: any; for resnet18, alike]",
        ),
        click.option(
            "--check-steps", type=click.IntRange(1), default=300, show_default=True, help="Of the first check."
        ),
    ]
    for option in reversed(options):
        command = option(command)
    return command


@gradient.command("submit")
@source_arguments
@click.option("--name", help="Of the task.  [default: from SOURCE]")
@_terms
@_training
@role_options("dataclient", is_exclusive=False)
def submit_command(context: RoleContext, *, source: str, **given: Any) -> None:
    """Commission training blocks on SOURCE (see init), whose rows become public.

    Publishes rows, network and first weights, checks that the network can be mined, and escrows reward and fee of all
    blocks. If it is killed, call it again: it continues and never pays twice. There is nothing else to do; over IPFS,
    `serve` keeps the trained weights until you fetch them.
    """
    from dataclient.gradient.prepare import describe
    from dataclient.gradient.submit import submit_order

    order = _order(source, given)
    submitted, prepared = submit_order(context, order)
    click.echo(describe(order, prepared))
    click.echo(f"{order.name} is gradient task {submitted.task_id}, {order.block_count} blocks")


@gradient.command("status")
@role_options("dataclient", is_exclusive=False)
def status_command(context: RoleContext) -> None:
    """Show every gradient task: its state and blocks, the accuracy so far, and what is left in escrow."""
    from dataclient.gradient.status import status_table

    console().print(Fitted(status_table(context)))


@gradient.command("cancel")
@click.argument("task")
@role_options("dataclient", is_exclusive=False)
def cancel_command(context: RoleContext, *, task: str) -> None:
    """Take TASK (name or number) off the list, while nobody works on it; everything paid becomes a credit."""
    from dataclient.gradient.submit import require_submitted
    from dataclient.gradient.task_folder import find_order_home

    home = find_order_home(context.home, task)
    task_id = require_submitted(context, home).task_id
    context.contracts.gradient_chain.cancel(task_id)
    click.echo(f"{home.name} is cancelled; python -m dataclient withdraw sends the money back")


@gradient.command("fetch")
@click.argument("task")
@role_options("dataclient", is_exclusive=False)
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="A folder.  [default: TASK-model]")
def fetch_command(context: RoleContext, *, task: str, out: Path | None) -> None:
    """Fetch the newest weights of TASK (name or number) as a safetensors file, with its manifest."""
    from dataclient.gradient.pins import note_fetched
    from dataclient.gradient.status import newest_weights
    from dataclient.gradient.submit import require_submitted
    from dataclient.gradient.task_folder import find_order_home
    from pole.gradient.manifest import fetch_gradient_manifest
    from pole.gradient.network import model_file_cap

    home = find_order_home(context.home, task)
    gradient_chain = context.contracts.gradient_chain
    on_chain = gradient_chain.task(require_submitted(context, home).task_id)
    header, weights = newest_weights(gradient_chain, on_chain)
    manifest = fetch_gradient_manifest(context.store, on_chain.terms.manifest)
    folder = out or Path(f"{home.name}-model")
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / "manifest.json", manifest.to_bytes())
    write_atomically(folder / "weights.safetensors", context.store.get(weights, model_file_cap(manifest)))
    note_fetched(context, on_chain)
    click.echo(f"wrote {folder}: block {header.height}, test accuracy {header.test_ppm / 10_000:.2f} %")


def _order(source: str, given: dict[str, Any]) -> "GradientOrder":
    from pydantic import ValidationError

    from dataclient.drafting.proposal import propose_name
    from dataclient.gradient.task_folder import GradientOrder
    from pole.document import first_problem

    try:
        reward_wei = ether_to_wei(given["reward_ether"])
    except ValueError as exc:
        raise BadInput(f"--block-reward: {exc}") from exc
    try:
        return GradientOrder(
            name=given["name"] or propose_name(source),
            data=source_options(source, given),
            block_reward_wei=reward_wei,
            **{name: given[name] for name in _AS_THEY_ARE},
        )
    except ValidationError as exc:
        raise BadInput(f"this cannot be commissioned: {first_problem(exc)}") from exc
