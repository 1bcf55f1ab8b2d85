"""The command-line options that say which rows to read, shared by all commands that read rows."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from pole.errors import BadInput
from pole.paths import expanded

if TYPE_CHECKING:
    from dataclient.sources.load import SourceOptions

Command = Callable[..., Any]

_LISTS = ("drop", "keep", "category", "number", "missing")
_ALIKE = (
    *("label", "target", "unit", "encoding", "fold_case", "na_is_a_class", "background", "skip_broken"),
    *("max_training_rows", "max_test_rows", "test_fraction", "seed"),
)
_DELIMITERS = {"\\t": "\t", "tab": "\t"}  # as people can type them


def source_arguments(command: Command) -> Command:
    """SOURCE and its options; `source_options` makes what they mean of what click collects."""
    arguments = [
        click.argument("source"),
        click.option("--label", help="Column of a table that holds the class, the labels (a|b) or the quantity."),
        click.option(
            "--target",
            type=click.Choice(["class", "labels", "quantity"]),
            help="What is to be predicted: one class, any of some labels, or a number.  [default: class]",
        ),
        click.option("--unit", default="", help="Of the quantity, such as EUR; predictions are shown with it."),
        click.option("--drop", multiple=True, help="Column of a table to leave out; this and the next four repeat."),
        click.option("--keep", multiple=True, help="Column to keep that looks like a numbering or free text."),
        click.option("--category", multiple=True, help="Column to read as categories, whatever it looks like."),
        click.option("--number", multiple=True, help="Column to read as numbers, whatever it looks like."),
        click.option("--missing", multiple=True, help="Text that stands for a missing value, beside NA, ?, null, ..."),
        click.option("--encoding", help="Of a text file, such as latin-1.  [default: found out]"),
        click.option("--delimiter", help="Between the columns of a text file.  [default: found out]"),
        click.option("--fold-case", is_flag=True, help="Classes that differ by case or spaces only are one."),
        click.option("--na-is-a-class", is_flag=True, help="NA, None, ... in the label column are names of classes."),
        click.option(
            "--data-dir", type=click.Path(exists=True, file_okay=False), help="Where torchvision's files lie."
        ),
        click.option("--image-size", type=click.IntRange(1, 1024), nargs=2, help="Resize images to HEIGHT WIDTH."),
        click.option(
            "--background", type=click.IntRange(0, 255), help="Grey behind transparent images.  [default: 255]"
        ),
        click.option("--skip-broken", is_flag=True, help="Leave out images that cannot be read, and say which."),
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
    if not source.strip():
        raise BadInput("SOURCE is empty; give a file, a folder, sklearn:NAME or torchvision:NAME")
    data_dir = given["data_dir"]
    with _problems():
        return _options(source, given, data_dir)


@contextmanager
def _problems() -> Iterator[None]:
    from pydantic import ValidationError

    from pole.document import first_problem

    try:
        yield
    except ValidationError as exc:
        raise BadInput(f"the options of the source cannot be used: {first_problem(exc)}") from exc


def _options(source: str, given: dict[str, Any], data_dir: str | None) -> "SourceOptions":
    from dataclient.sources.load import SourceOptions
    from dataclient.task_file import is_named_set

    return SourceOptions.model_validate(
        {
            **{name: given[name] for name in _ALIKE},
            **{name: list(given[name]) for name in _LISTS},
            "source": source if is_named_set(source) else str(expanded(source).absolute()),
            "delimiter": _DELIMITERS.get(given["delimiter"], given["delimiter"]),
            "data_dir": None if data_dir is None else str(expanded(data_dir).absolute()),
            "image_size": list(given["image_size"]) if given["image_size"] else None,
        }
    )
