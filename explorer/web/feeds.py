"""Atom feeds, of an account and of a task: one entry for each event that concerns it."""

from datetime import UTC, datetime
from xml.etree.ElementTree import Element, SubElement, tostring

from fastapi import APIRouter, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response

from explorer.chain.events import Event
from explorer.site import Site
from explorer.views.cells import address, is_address
from explorer.views.text import harmless
from explorer.web.state import State

router = APIRouter()
_ENTRIES = 50
_NAMESPACE = "http://www.w3.org/2005/Atom"


@router.get("/{site}/account/{account}/feed.atom", include_in_schema=False)
def account_feed(request: Request, site: str, account: str) -> Response:
    if not is_address(account):
        raise HTTPException(404, "There is no such account.")
    return _feed(request, site, "account", address(account))


@router.get("/{site}/task/{task}/feed.atom", include_in_schema=False)
def task_feed(request: Request, site: str, task: str) -> Response:
    return _feed(request, site, "task", task)


@router.get("/{site}/gradient-task/{task}/feed.atom", include_in_schema=False)
def gradient_task_feed(request: Request, site: str, task: str) -> Response:
    return _feed(request, site, "gradient_task", task)


def _feed(request: Request, site_name: str, kind: str, value: str) -> Response:
    state: State = request.app.state.pages
    site = state.site(site_name)
    with site.snapshot() as snapshot:
        events = snapshot.read.newest(kind, value, _ENTRIES)
    if not events:
        raise HTTPException(404, f"There is no {_page_of(kind)} {harmless(value, 60)} in what is indexed so far.")
    base = str(request.base_url).rstrip("/")
    content = tostring(_document(site, base, kind, value, events), encoding="utf-8", xml_declaration=True)
    return Response(content, media_type="application/atom+xml")


def _document(site: Site, base: str, kind: str, value: str, events: list[Event]) -> Element:
    feed = Element("feed", xmlns=_NAMESPACE)
    page = f"{base}/{site.name}/{_page_of(kind)}/{value}"
    SubElement(feed, "id").text = f"urn:pole:{site.deployment.identity}:{kind}:{value}"
    SubElement(feed, "title").text = f"{_page_of(kind)} {value}"
    SubElement(feed, "updated").text = _moment(events[0].time)
    SubElement(SubElement(feed, "author"), "name").text = f"deployment {site.name}"
    SubElement(feed, "link", rel="alternate", href=page)
    SubElement(feed, "link", rel="self", href=f"{page}/feed.atom")
    for event in events:
        entry = SubElement(feed, "entry")
        SubElement(entry, "id").text = f"urn:pole:{site.deployment.identity}:{event.transaction}:{event.log_index}"
        SubElement(entry, "title").text = f"{event.contract}.{event.name}"
        SubElement(entry, "updated").text = _moment(event.time)
        SubElement(entry, "link", rel="alternate", href=f"{base}/{site.name}/event/{event.id}")
        SubElement(entry, "summary").text = harmless(", ".join(f"{k} {v}" for k, v in event.args.items()), 500)
    return feed


def _page_of(kind: str) -> str:
    return kind.replace("_", "-")


def _moment(at: int) -> str:
    return datetime.fromtimestamp(min(at, 253402300799), UTC).isoformat()
