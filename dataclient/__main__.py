"""The data client's command line: `python -m dataclient`.

Modules that compute with models or rows are imported inside the commands that need them: torch alone takes seconds.
"""

import json
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from dataclient.gradient.commands import gradient
from dataclient.newrows.command import predict_command
from dataclient.sources.options import source_arguments, source_options
from dataclient.task_folder import find_task_home
from pole.chain.deployment import Deployment
from pole.chain.profiles import PUBLIC
from pole.chain.structs import MAX_SUBMISSIONS, MarketParameters
from pole.errors import BadInput
from pole.money import wei_to_ether
from pole.node.cli import role_options, unpin_after_option
from pole.node.commands import last_status, withdraw_command
from pole.node.context import RoleContext
from pole.node.exit import exit_code
from pole.node.terminal import Fitted, console, say
from pole.shell import command

if TYPE_CHECKING:
    from dataclient.drafting.proposal import Wishes
    from dataclient.submit import TaskOrder

_FILE = click.Path(dir_okay=False, path_type=Path)


@click.group()
def cli() -> None:
    """Commission models: publish encrypted rows, escrow a reward, get the best model that miners train.

    A task goes through init (write a task file), submit (encrypt and escrow), serve (until it is solved) and
    fetch-model. The encryption is timed release, not privacy: it keeps miners from starting early, and whoever has the
    keys of enough rounds can recover the rows. Do not commission what must stay secret.
    """


@cli.command()
@source_arguments
@click.option("--name", help="Of the task.  [default: from SOURCE]")
@click.option("--metric", help="What models are scored by.  [default: accuracy, multilabel_accuracy or r2, by target]")
@click.option(
    "--model",
    type=click.Choice(["auto", "small", "wide", "conv", "transformer"]),
    default="auto",
    show_default=True,
    help="The network that is to be trained; edit the task file for any other.",
)
@click.option("--reward", "reward_ether", default="0.1", show_default=True, help="Of the winner, in ether.")
@click.option("--time-limit", "time_limit_s", type=click.IntRange(1), help="Seconds of training.  [default: estimated]")
@click.option("--required-train-ppm", type=click.IntRange(1, 1_000_000), help="[default: from what quick models reach]")
@click.option(
    "--close-after",
    type=click.IntRange(1, MAX_SUBMISSIONS),
    help="Close commits at so many qualified solutions.  [default: when time is up; the best test score wins]",
)
@click.option(
    "--protect",
    type=click.Choice(["accuracy", "balanced", "rows"]),
    default="balanced",
    show_default=True,
    help="Choose the mapping for the best score, the fewest vectors within a point of plain rows, or the rows.",
)
@click.option("--bits", type=click.IntRange(1, 8), help="Of a feature.  [default: 8 for columns, 4 for pixels]")
@click.option("--vectors", type=click.IntRange(1), help="Query vectors.  [default: as --protect says]")
@click.option("--segments", type=click.IntRange(1), help="Slices of a row.  [default: by width]")
@click.option("--mapping", type=click.Choice(["dense", "convolutional"]))
@click.option("--no-encryption", is_flag=True, help="Publish the rows in the clear; the mapping still applies.")
@click.option("--plain-test-set", is_flag=True, help="Release the test set in the clear.")
@click.option(
    "--points",
    type=click.Choice(["uncompressed", "compressed"]),
    default="uncompressed",
    show_default=True,
    help="Of encrypted rows; compressed, they take half the room, and everybody longer to open.",
)
@click.option("--deployment", type=_FILE, help="Deployment whose fees to count with.  [default: the public profile's]")
@click.option("--out", type=_FILE, help="The task file.  [default: NAME.toml]")
@click.option("--report", type=_FILE, help="Draw what was found, as one HTML file.")
@click.option("--force", is_flag=True, help="Replace an existing file.")
def init(
    source: str, *, out: Path | None, report: Path | None, force: bool, deployment: Path | None, **given: Any
) -> None:
    """Write a commented task file for SOURCE, and say what the task will cost.

    SOURCE is a table (CSV, TSV, Parquet, Feather, Excel) with a named --label column, an .npz with arrays x and y, a
    folder with one folder of images per class, sklearn:NAME (iris, digits, wine, breast_cancer, diabetes),
    torchvision:NAME (mnist, fashion_mnist, cifar10) or openml:ID.
    The test set is split off here and stays on this machine until it is released.
    """
    from dataclient.drafting.draft import draft
    from dataclient.drafting.report import check_report, write_report
    from dataclient.drafting.template import check_place, write_task_file

    if out is not None:
        check_place(out, is_overwriting=force)
    if report is not None:
        check_report(report, is_overwriting=force)
    drafted = draft(source_options(source, given), _wishes(given), _market(deployment), partial(click.echo, err=True))
    path = out or Path(f"{drafted.proposal.task.name}.toml")
    write_task_file(path, drafted.text, is_overwriting=force)
    if report is not None:
        write_report(report, drafted.report, is_overwriting=force)
    for remark in drafted.remarks:
        click.echo(remark)
    click.echo(f"wrote {path}; look it over, then: {command('python', '-m', 'dataclient', 'submit', path)}")


@cli.command("submit")
@click.argument("task_files", nargs=-1, required=True, type=_FILE)
@role_options("dataclient", is_exclusive=False)
@click.option("--again", is_flag=True, help="Commission the same files once more, as new tasks with new keys.")
def submit_command(context: RoleContext, *, task_files: tuple[Path, ...], again: bool) -> None:
    """Encrypt and store the rows of TASK_FILES, and escrow their rewards.

    Everything is checked before anything is spent. If it is killed, call it again: it continues and never pays
    twice. Run `serve` afterwards: without it the functional keys are not published and the bond is lost.
    """
    from dataclient.submit import read_orders

    orders = read_orders(context, task_files, is_new=again)
    for order in orders:
        was_there = order.submitted is not None
        submitted = _submit_with_progress(context, order)
        timing = order.home.encrypted()
        if timing is not None and not was_there:
            click.echo(f"{order.home.name}: encrypted {timing}")
        said = "is already" if was_there else "is now"
        click.echo(f"{order.home.name} {said} task {submitted.task_id}; paid {order.payment}")


@cli.command()
@role_options("dataclient")
@click.option("--until-idle", is_flag=True, help="Exit when no task of this client is open.")
@unpin_after_option("files and model so long after the model was collected, or the task ended without one")
def serve(context: RoleContext, *, until_idle: bool, unpin_after: int) -> None:
    """Serve the tasks: publish functional keys when a round opens, release the test set when commits have closed.

    Gradient tasks need no serving, but their trained weights are kept here until they are fetched.
    """
    from dataclient.gradient.pins import GradientKeeper
    from dataclient.serve import ClientNode

    node = ClientNode(context, unpin_after, GradientKeeper(context, unpin_after).act)
    node.run(lambda: until_idle and node.is_idle)


@cli.command()
@role_options("dataclient", is_exclusive=False)
def status(context: RoleContext) -> None:
    """Show every task: its state and round, its escrow, and how much of its data the keys have given away."""
    from dataclient.status import status_table

    console().print(Fitted(status_table(context)))
    say("process", last_status(context.home))


@cli.command()
@click.argument("task")
@role_options("dataclient", is_exclusive=False)
def cancel(context: RoleContext, *, task: str) -> None:
    """Take TASK (name or number) off the list, while no round has it; everything paid becomes a credit."""
    from dataclient.collect import require_submitted

    home = find_task_home(context.home, task)
    task_id = require_submitted(context, home).task_id
    context.contracts.task_market.cancel(task_id)
    click.echo(f"{home.name} is cancelled; python -m dataclient withdraw sends the money back")


@cli.command("raise-reward")
@click.argument("task")
@click.argument("reward_ether", metavar="REWARD")
@role_options("dataclient", is_exclusive=False)
def raise_reward_command(context: RoleContext, *, task: str, reward_ether: str) -> None:
    """Raise the reward of TASK (name or number) to REWARD ether, while no round has it; the verifiers' fee is added."""
    from dataclient.raising import raise_reward

    home = find_task_home(context.home, task)
    raised = raise_reward(context, home, reward_ether)
    fee = wei_to_ether(raised.verifier_fee_wei)
    click.echo(f"{home.name} pays {wei_to_ether(raised.reward_wei)} ether now, and {fee} to the verifiers")


@cli.command("fetch-model")
@click.argument("task")
@role_options("dataclient", is_exclusive=False)
@click.option("--out", "folder", type=click.Path(file_okay=False, path_type=Path), help="[default: TASK-model]")
@click.option("--force", is_flag=True, help="Replace the model in an existing folder.")
def fetch_model_command(context: RoleContext, *, task: str, folder: Path | None, force: bool) -> None:
    """Collect the model that won TASK (name or number), check it, and score it on the client's own rows.

    The folder holds the weights, an ONNX file that takes plain features, a report, a proof of the block that the model
    won, and a README with code that uses it without this project.
    """
    from dataclient.collect import fetch_model
    from dataclient.told import model_lines

    home = find_task_home(context.home, task)
    out = folder or Path(f"{home.name}-model")
    delivery = fetch_model(context, home, out, is_overwriting=force)
    holds = f"{out} holds {', '.join(sorted(delivery.files))}"
    use = f"use it with: {command('python', '-m', 'dataclient', 'predict', out)} NEW_ROWS.csv"
    click.echo("\n".join([*model_lines(delivery.bundle), *delivery.remarks, holds, use]))


@cli.command("check-proof")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.argument("header_hash", metavar="HASH")
def check_proof_command(folder: Path, header_hash: str) -> None:
    """Check that the model in a FOLDER from fetch-model won the block whose header has this HASH (64 hex digits).

    Needs no chain. Ask a node that you trust for the hash: `headerHash(HEIGHT)` of the lane's BlockLedger.
    """
    from dataclient.delivery.check import check_folder

    for line in check_folder(folder, header_hash):
        click.echo(line)


@cli.command("leaderboard")
@click.argument("task")
@role_options("dataclient", needs_account=False, is_exclusive=False)
@click.option("--json", "is_json", is_flag=True, help="One JSON document: wei, ppm, seconds of block time.")
def leaderboard_command(context: RoleContext, *, task: str, is_json: bool) -> None:
    """Show all submissions for TASK (a name of yours, or any number): scores, when, by whom, what each was paid."""
    from dataclient.leaderboard import leaderboard, leaderboard_table, title

    found = leaderboard(context, task)
    if is_json:
        click.echo(json.dumps(found.document(), indent=1))
    elif found.standings:
        console().print(Fitted(leaderboard_table(found)))
    else:
        click.echo(title(found))


@cli.command("audit")
@click.argument("task")
@role_options("dataclient", is_exclusive=False)
def audit_command(context: RoleContext, *, task: str) -> None:
    """Recompute what was decided about the model that won TASK, prediction by prediction, on the client's own rows."""
    from dataclient.audit import audit

    found = audit(context, find_task_home(context.home, task))
    for part in found:
        click.echo(str(part))
    if any(part.is_wrong for part in found):
        raise BadInput("the outcome is not what the model predicts; the committee decided against the protocol")


cli.add_command(withdraw_command("dataclient"))
cli.add_command(gradient)
cli.add_command(predict_command)


def _wishes(given: dict[str, Any]) -> "Wishes":
    from dataclient.drafting.proposal import Wishes

    scheme: Literal["none", "ipfe-secp256k1"] = "none" if given["no_encryption"] else "ipfe-secp256k1"
    alike = (
        *("name", "metric", "model", "reward_ether", "time_limit_s"),
        *("required_train_ppm", "close_after", "points", "protect"),
    )
    more = ("bits", "vectors", "segments", "mapping")
    return Wishes(
        scheme=scheme,
        is_test_set_encrypted=scheme != "none" and not given["plain_test_set"],
        **{name: given[name] for name in (*alike, *more)},
    )


def _market(deployment: Path | None) -> MarketParameters:
    if deployment is None:
        return PUBLIC.market
    return MarketParameters(**Deployment.load(deployment).parameters["market"])


def _submit_with_progress(client: RoleContext, order: "TaskOrder") -> Any:
    from dataclient.submit import submit

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total} rows"))
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(f"encrypting {order.home.name}", total=None)
        return submit(client, order, lambda done, total: bar.update(task, completed=done, total=total))


if __name__ == "__main__":
    sys.exit(exit_code(cli))
