"""Live pages: a stream of events that tells a page that there is something new."""

import asyncio
from collections.abc import AsyncIterator

from fastapi import APIRouter, Query, Request
from fastapi.responses import StreamingResponse
from markupsafe import escape

from explorer.site import Site
from explorer.web.state import State, Status, status_of

router = APIRouter()
_LOOK_S, _ALIVE_S = 0.5, 15.0


@router.get("/{site}/live", include_in_schema=False)
async def live(request: Request, site: str, seen: str = Query("", max_length=80)) -> StreamingResponse:
    """Server-sent events: the status line as HTML, and `changed` whenever the index is another than the page's.

    `seen`: the stamp of the state that the page was made from; it may have been a moment ago.
    """
    state: State = request.app.state.pages
    stream = _stream(request, state, state.site(site), seen)
    return StreamingResponse(stream, media_type="text/event-stream", headers={"Cache-Control": "no-store"})


async def _stream(request: Request, state: State, site: Site, stamp: str) -> AsyncIterator[str]:
    seen, quiet_s = -1, 0.0
    while not state.stopping.is_set() and not await request.is_disconnected():
        if site.version != seen:
            seen, quiet_s = site.version, 0.0
            status = await asyncio.to_thread(_status, site)
            yield f"data: {_line(status)}\n\n"
            if status.stamp != stamp:
                stamp = status.stamp
                yield "event: changed\ndata: 1\n\n"
        await asyncio.sleep(_LOOK_S)
        quiet_s += _LOOK_S
        if quiet_s >= _ALIVE_S:
            quiet_s = 0.0
            yield ": still here\n\n"


def _status(site: Site) -> Status:
    with site.snapshot() as snapshot:
        return status_of(snapshot)


def _line(status: Status) -> str:
    return str(escape(f"{status.text}. {status.time}{'. ' + status.trouble if status.trouble else ''}")).replace(
        "\n", " "
    )
