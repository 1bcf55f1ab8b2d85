"""Tables and lines that can be read at any width: nothing is broken inside a word, a number or an address.

What is longer than a line by itself is cut in its middle, with three dots. A file or a pipe gets everything.
"""

import re
import shutil
import sys
import textwrap
from collections.abc import Iterator, Sequence

import click
from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

_UNWRAPPED = 100_000
_GAP, _DOTS = 2, "..."
_NUMBER_AND_UNIT = re.compile(r"(?<=\d) (?=(%|[a-zA-Z]+)(\W|$))")
_GLUE = "\N{NO-BREAK SPACE}"


def console() -> Console:
    """Standard output. In a file or a pipe nothing is folded, and there are no control codes."""
    if sys.stdout.isatty():
        return Console(markup=False, highlight=False)
    return Console(markup=False, highlight=False, width=_UNWRAPPED, force_terminal=False, no_color=True)


def say(label: str, value: str, label_width: int = 10) -> None:
    """One line of a status, folded on a terminal that is narrower."""
    is_terminal = sys.stdout.isatty()
    width = shutil.get_terminal_size().columns if is_terminal else _UNWRAPPED
    click.echo("\n".join(labelled(label, value, label_width, width)))


def fold(text: str, width: int) -> list[str]:
    """Lines of at most this width, broken between words only; a number stays with its unit."""
    lines = textwrap.wrap(
        _NUMBER_AND_UNIT.sub(_GLUE, text), max(1, width), break_long_words=False, break_on_hyphens=False
    )
    return [_cut(line.replace(_GLUE, " "), width) for line in lines] or [""]


def longest_word(text: str) -> int:
    """What it needs to be folded without a cut."""
    return max(map(len, _NUMBER_AND_UNIT.sub(_GLUE, text).split(" ")))


def _cut(word: str, width: int) -> str:
    kept = max(width - len(_DOTS), 0)
    head = (kept + 1) // 2
    return word if len(word) <= width else f"{word[:head]}{_DOTS[:width]}{word[len(word) - kept + head :]}"


def labelled(label: str, value: str, label_width: int, width: int) -> list[str]:
    """The value beside its label, or below it where one of its words would not fit."""
    if longest_word(value) + label_width <= width:
        first, *rest = fold(value, width - label_width)
        return [f"{label:<{label_width}}{first}".rstrip(), *(" " * label_width + line for line in rest)]
    return [label, *(" " * _GAP + line for line in fold(value, width - _GAP))]


class Fitted:
    """A table where there is room for it, and otherwise its rows one below the other, each cell beside its heading."""

    def __init__(self, table: Table) -> None:
        self.table = table

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        natural = Measurement.get(console, options.update(width=_UNWRAPPED), self.table).maximum
        if natural <= options.max_width and not self._has_wide_title(options.max_width):
            yield self.table
            return
        for line in self._lines(options.max_width):
            yield Text(line, no_wrap=True)

    def _has_wide_title(self, width: int) -> bool:
        texts = (self.table.title, self.table.caption)
        return any(isinstance(each, str) and len(each) > width for each in texts)

    def _lines(self, width: int) -> Iterator[str]:
        table = self.table
        headings = [_plain(column.header) for column in table.columns]
        label_width = max(map(len, headings), default=0) + _GAP
        if table.title:
            yield from fold(_plain(table.title), width)
        rows: Sequence[Sequence[str]] = list(
            zip(*([_plain(cell) for cell in column.cells] for column in table.columns), strict=True)
        )
        for row in rows:
            yield ""
            for heading, cell in zip(headings, row, strict=True):
                yield from labelled(heading, cell, label_width, width)
        if table.caption:
            yield ""
            yield from fold(_plain(table.caption), width)


def _plain(cell: object) -> str:
    return cell.plain if isinstance(cell, Text) else str(cell)
