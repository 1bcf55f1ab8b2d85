"""The application: routes of pages, and what every response carries."""

import hashlib
import threading
from collections.abc import Callable, Sequence
from typing import Any

from fastapi import FastAPI, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse
from fastapi.staticfiles import StaticFiles
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from explorer.contents import Contents
from explorer.figures import Figure, Page
from explorer.pages import Place, make_page
from explorer.site import Site
from explorer.views.now import now
from explorer.web import api, feeds, live, measures
from explorer.web.proofs import proof_of
from explorer.web.rendering import HERE, Renderer, environment, title_of
from explorer.web.searching import find
from explorer.web.state import State, status_of
from pole import __version__
from pole.errors import BadInput

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
}
_ONE_DAY = "public, max-age=86400"


def create_app(sites: Sequence[Site], contents: Contents) -> FastAPI:
    """Everything over these sites; raises BadInput where the pages' static files are missing."""
    if not (HERE / "vendor" / "htmx.min.js").is_file():
        raise BadInput(f"{HERE / 'vendor'} lacks what the pages load; run `make setup`")
    app = FastAPI(
        title="Explorer of useful proof of work",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        description="Every table as JSON and CSV. Amounts of wei and tokens are decimal strings.",
    )
    app.state.pages = State({site.name: site for site in sites}, contents, environment(), threading.Event())
    app.add_middleware(GZipMiddleware, minimum_size=500)
    app.add_middleware(_WithHeaders)
    app.mount("/static", StaticFiles(directory=HERE / "static"), "static")
    app.mount("/vendor", StaticFiles(directory=HERE / "vendor"), "vendor")
    app.add_exception_handler(HTTPException, _refused)
    app.include_router(measures.router)
    app.include_router(api.router)
    app.include_router(live.router)
    app.include_router(feeds.router)
    for path, route in _ROUTES.items():
        app.add_api_route(path, route, methods=["GET"], include_in_schema=False, response_class=HTMLResponse)
    return app


class _WithHeaders:
    """Adds to every response what keeps a page from running or loading anything else."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                if scope["path"].startswith(("/static/", "/vendor/")):
                    headers["Cache-Control"] = _ONE_DAY
            await send(message)

        await self._app(scope, receive, send_with_headers)


async def _refused(request: Request, exc: Exception) -> Response:
    """For people a page, for programs JSON."""
    assert isinstance(exc, HTTPException)
    if "/api/" in request.url.path:
        return Response(f'{{"detail":"{exc.status_code}"}}', exc.status_code, media_type="application/json")
    state: State = request.app.state.pages
    html = state.templates.get_template("error.html").render(
        status=exc.status_code, said=str(exc.detail), sites=state.sites, prefix="", page_title="Not found"
    )
    return HTMLResponse(html, exc.status_code)


def _home(request: Request) -> Response:
    """Now, of every deployment."""
    state: State = request.app.state.pages
    shown = []
    for site in state.sites.values():
        with site.snapshot() as snapshot:
            shown.append((site, Renderer(site, Place("now")), now(snapshot), status_of(snapshot)))
    return _html(request, "home.html", {"shown": shown, "page_title": "Now", "prefix": _prefix(state)})


def _prefix(state: State) -> str:
    """Where the menu leads on the page of all deployments."""
    return f"/{next(iter(state.sites))}" if state.sites else ""


def _whole(request: Request, site: str, kind: str, before: int | None = Query(None, ge=0, lt=2**63)) -> Response:
    return _page(request, site, Place(kind, "", before))


def _single(
    request: Request, site: str, kind: str, id: str, before: int | None = Query(None, ge=0, lt=2**63)
) -> Response:
    return _page(request, site, Place(kind, id, before))


def _account_rounds(
    request: Request, site: str, account: str, before: int | None = Query(None, ge=0, lt=2**63)
) -> Response:
    return _page(request, site, Place("account-rounds", account, before))


def _account_heights(
    request: Request, site: str, account: str, before: int | None = Query(None, ge=0, lt=2**63)
) -> Response:
    return _page(request, site, Place("account-heights", account, before))


def _page(request: Request, site_name: str, place: Place) -> Response:
    state: State = request.app.state.pages
    site = state.site(site_name)
    with site.snapshot() as snapshot:
        page = make_page(snapshot, state.contents, place)
        status = status_of(snapshot)
    if page is None:
        raise HTTPException(404, f"There is no {place.kind} {place.id} in what is indexed so far.")
    values = {"page": page, "render": Renderer(site, place), "status": status, "prefix": f"/{site.name}"}
    return _html(request, "page.html", {**values, "site": site, "page_title": title_of(page)})


def _proof(
    request: Request,
    site: str,
    kind: str,
    id: str = "",
    figure: str = Query(max_length=200),
    before: int | None = Query(None, ge=0, lt=2**63),
) -> Response:
    """What proves one figure of a page."""
    state: State = request.app.state.pages
    found, place = state.site(site), Place(kind, id, before)
    with found.snapshot() as snapshot:
        page = make_page(snapshot, state.contents, place)
        shown = None if page is None else _figure(page, figure)
        if page is None or shown is None:
            raise HTTPException(404, "There is no such figure any more; look at its page again.")
        proof = proof_of(snapshot, shown)
        status = status_of(snapshot)
    values = {
        "proof": proof,
        "name": figure,
        "place": place,
        "status": status,
        "prefix": f"/{found.name}",
        "site": found,
    }
    return _html(request, "proof.html", {**values, "about": title_of(page), "page_title": f"Proof: {figure}"})


def _figure(page: Page, name: str) -> Figure | None:
    return next((figure for each, figure in page.figures() if each == name), None)


def _search(request: Request, site: str, q: str = Query("", max_length=200)) -> Response:
    """One hit is shown at once."""
    state: State = request.app.state.pages
    found = state.site(site)
    with found.snapshot() as snapshot:
        hits = find(snapshot, q)
        status = status_of(snapshot)
    if len(hits) == 1:
        return RedirectResponse(f"/{found.name}/{hits[0].link}", 303)
    values = {"hits": hits, "q": q, "status": status, "prefix": f"/{found.name}", "site": found}
    return _html(request, "search.html", {**values, "page_title": "Search"})


def _html(request: Request, template: str, values: dict[str, Any]) -> Response:
    """With an ETag, so that looking again costs little."""
    state: State = request.app.state.pages
    address = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    html = state.templates.get_template(template).render(sites=state.sites, address=address, **values)
    tag = f'W/"{hashlib.sha256(html.encode()).hexdigest()[:24]}"'
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers={"ETag": tag})
    return HTMLResponse(html, headers={"ETag": tag, "Cache-Control": "no-cache"})


_ROUTES: dict[str, Callable[..., Response]] = {
    "/": _home,
    "/{site}/search": _search,
    "/{site}/proof/{kind}": _proof,
    "/{site}/proof/{kind}/{id}": _proof,
    "/{site}/account/{account}/rounds": _account_rounds,
    "/{site}/account/{account}/heights": _account_heights,
    "/{site}/{kind}": _whole,
    "/{site}/{kind}/{id}": _single,
}
