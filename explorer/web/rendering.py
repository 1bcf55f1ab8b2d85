"""Pages as HTML: each cell as text with its link and the link to its proof."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from explorer.figures import Cell, Facts, Figure, InEvent, Page, Picture, Said, Table, Words, slug
from explorer.pages import Place
from explorer.site import Site
from explorer.views.text import harmless, moment, short, written
from explorer.web.pictures import drawing_of

HERE = Path(__file__).parent
_PAGES_OF = {
    "address": "account",
    "task": "task",
    "round": "round",
    "block": "block",
    "gradient_block": "gradient-block",
    "gradient_task": "gradient-task",
    "cid": "cid",
}
_LONG = ("address", "cid", "hash")


@dataclass(frozen=True)
class Shown:
    """One cell: `full` is the whole value where the text is shortened, `time` where it is a moment."""

    text: str
    link: str = ""
    proof: str = ""
    full: str = ""
    time: str = ""


class Renderer:
    """Of the pages of one site."""

    def __init__(self, site: Site, place: Place) -> None:
        self.prefix = f"/{site.name}"
        self._place = place

    def link(self, path: str) -> str:
        path, question, query = path.partition("?")
        return f"{self.prefix}/{quote(path, safe='/@')}{question}{query}"

    def cell(self, cell: Cell, name: str) -> Shown:
        """`name`: of the figure on its page."""
        if isinstance(cell, Said):
            text = short(cell.text) if cell.link and len(cell.text) >= 42 and " " not in cell.text else cell.text
            full = cell.text if text != cell.text else ""
            return Shown(harmless(text, 600), self.link(cell.link) if cell.link else "", full=full)
        text = written(cell.value, cell.unit)
        link = ""
        if cell.unit in _PAGES_OF and isinstance(cell.value, str | int) and cell.value is not None:
            link = self.link(f"{_PAGES_OF[cell.unit]}/{cell.value}")
        is_long = cell.unit in _LONG or (isinstance(cell.value, str) and len(cell.value) >= 42 and " " not in text)
        full = text if is_long and short(text) != text else ""
        time = moment(cell.value).replace(" UTC", "Z").replace(" ", "T") if cell.unit == "time" else ""
        return Shown(short(text) if is_long else text, link, self._proof(cell, name), full, time)

    def _proof(self, figure: Figure, name: str) -> str:
        if isinstance(figure.proof, InEvent):
            return self.link(f"event/{figure.proof.event.id}")
        query: dict[str, Any] = {"figure": name}
        if self._place.before is not None:
            query["before"] = self._place.before
        place = f"{self._place.kind}/{self._place.id}" if self._place.id else self._place.kind
        return self.link(f"proof/{place}") + f"?{urlencode(query)}"

    def items(self, part: Facts) -> list[tuple[str, Shown]]:
        title = slug(part.title)
        return [(label, self.cell(cell, f"{title}.{slug(label)}")) for label, cell in part.items.items()]

    def rows(self, part: Table) -> list[list[tuple[str, Shown]]]:
        """Cells with the names of their columns."""
        title = slug(part.title)
        return [
            [
                (column, self.cell(cell, f"{title}.{number}.{slug(column)}"))
                for column, cell in zip(part.columns, row, strict=True)
            ]
            for number, row in enumerate(part.rows)
        ]


def environment() -> Environment:
    """Escapes everything; a name that no code gave is an error."""
    found = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.tests["facts"] = lambda part: isinstance(part, Facts)
    found.tests["table"] = lambda part: isinstance(part, Table)
    found.tests["words"] = lambda part: isinstance(part, Words)
    found.tests["picture"] = lambda part: isinstance(part, Picture)
    found.filters["charted"] = lambda parts: any(isinstance(part, Picture) and part.kind == "chart" for part in parts)
    found.filters["slug"] = slug
    found.filters["harmless"] = harmless
    found.filters["json"] = json.dumps
    found.filters["drawing"] = drawing_of
    return found


def title_of(page: Page) -> str:
    return harmless(page.title, 100)
