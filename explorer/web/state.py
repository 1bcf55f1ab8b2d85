"""What all routes share."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass

from jinja2 import Environment
from starlette.exceptions import HTTPException

from explorer.contents import Contents
from explorer.site import Site, Snapshot
from explorer.views.text import harmless, moment


@dataclass(frozen=True)
class State:
    """`stopping` is set when the server ends, so that streams end too."""

    sites: Mapping[str, Site]
    contents: Contents
    templates: Environment
    stopping: threading.Event

    def site(self, name: str) -> Site:
        """By the name in its address; HTTP 404 for no name of ours."""
        if name not in self.sites:
            raise HTTPException(404, f"There is no deployment {harmless(name, 40)} here.")
        return self.sites[name]


@dataclass(frozen=True)
class Status:
    """How far the index has come."""

    indexed: int | None
    behind: int
    time: str
    trouble: str
    stamp: str = ""
    """Of the state: the hash of the block to which the index has come, and how often the totals have followed it."""

    @property
    def text(self) -> str:
        if self.indexed is None:
            return "Nothing indexed yet"
        return f"Indexed to block {self.indexed:,}, {self.behind:,} behind"


def status_of(snapshot: Snapshot) -> Status:
    cursor, site = snapshot.read.cursor(), snapshot.site
    if cursor is None:
        return Status(None, site.indexer.progress.head, "", site.trouble)
    behind = max(0, max(cursor.head, site.indexer.progress.head) - cursor.number)
    return Status(cursor.number, behind, moment(cursor.time), site.trouble, f"{cursor.hash}.{site.version}")
