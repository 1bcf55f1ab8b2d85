"""The command-line options that say which rows to read, shared by all commands that read rows."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from pole.errors import BadInput
from pole.paths import expanded

if TYPE_CHECKING:
    from dataclient.sources.load import SourceOptions

Command = Callable[..., Any]


def source_arguments(command: Command) -> Command:
    """SOURCE and its options; `source_options` makes what they mean of what click collects."""
    arguments = [
        click.argument("source"),
        click.option("--label", help="Column of a CSV that holds the class, the labels (a|b) or the quantity."),
        click.option(
            "--target",
            type=click.Choice(["class", "labels", "quantity"]),
            help="What is to be predicted: one class, any of some labels, or a number.  [default: class]",
        ),
        click.option("--unit", default="", help="Of the quantity, such as EUR; predictions are shown with it."),
        click.option("--drop", multiple=True, help="Column of a CSV to leave out; may be given several times."),
        click.option(
            "--data-dir", type=click.Path(exists=True, file_okay=False), help="Where torchvision's files lie."
        ),
        click.option("--image-size", type=click.IntRange(1, 1024), nargs=2, help="Resize images to HEIGHT WIDTH."),
        click.option("--max-training-rows", type=click.IntRange(2)),
        click.option("--max-test-rows", type=click.IntRange(2)),
        click.option(
            "--test-fraction",
            type=click.FloatRange(0, 1, min_open=True, max_open=True),
            default=0.2,
            show_default=True,
        ),
        click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="Of the split."),
    ]
    for argument in reversed(arguments):
        command = argument(command)
    return command


def source_options(source: str, given: dict[str, Any]) -> "SourceOptions":
    """Paths become absolute: what is written down may be read from another folder than the command ran in."""
    from dataclient.sources.load import SourceOptions
    from dataclient.task_file import is_named_set

    if not source.strip():
        raise BadInput("SOURCE is empty; give a file, a folder, sklearn:NAME or torchvision:NAME")
    data_dir = given["data_dir"]
    return SourceOptions(
        source=source if is_named_set(source) else str(expanded(source).absolute()),
        label=given["label"],
        target=given["target"],
        unit=given["unit"],
        drop=list(given["drop"]),
        data_dir=None if data_dir is None else str(expanded(data_dir).absolute()),
        image_size=list(given["image_size"]) if given["image_size"] else None,
        max_training_rows=given["max_training_rows"],
        max_test_rows=given["max_test_rows"],
        test_fraction=given["test_fraction"],
        seed=given["seed"],
    )
