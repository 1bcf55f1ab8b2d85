"""Every table as JSON and CSV, a page at a time, with ETags; described by OpenAPI at /openapi.json."""

import csv
import hashlib
import io
import json
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request
from pydantic import BaseModel
from starlette.responses import Response

from explorer.chain.events import Event
from explorer.site import Snapshot
from explorer.views.gradient import gradient_series
from explorer.views.statistics import SERIES, block_series
from explorer.web.state import State, status_of
from explorer.web.tables import TABLES, Row, TableName, plain_json

router = APIRouter(tags=["tables"])
_NOT_FOUND: dict[int | str, dict[str, Any]] = {404: {"description": "No such deployment"}}
_SiteName = Annotated[str, Path(description="As in /api/deployments", max_length=60)]


class DeploymentRow(BaseModel):
    """`indexed_to` is null before the first block."""

    name: str
    chain_id: int
    contracts: dict[str, str]
    indexed_to: int | None
    behind: int
    trouble: str


class TablePage(BaseModel):
    """`next`: what to give as `before` for older rows; null at the end."""

    table: TableName
    indexed_to: int | None
    rows: list[dict[str, Any]]
    next: str | None


class Series(BaseModel):
    """Columns of equal length; `x` is the height."""

    columns: dict[str, list[float | int | None]]


class VerifierRow(BaseModel):
    """As of the block to which the index has come."""

    verifier: str
    is_seated: bool
    stake_wei: str
    ballots: int
    votes_committed: int
    votes_revealed: int
    votes_with_the_outcome: int
    slashed_wei: str


@router.get("/api/deployments")
def deployments(request: Request) -> list[DeploymentRow]:
    """All deployments of this explorer."""
    state: State = request.app.state.pages
    rows = []
    for site in state.sites.values():
        with site.snapshot() as snapshot:
            status = status_of(snapshot)
        contracts = {name: each.address for name, each in site.deployment.contracts.items()}
        rows.append(
            DeploymentRow(
                name=site.name,
                chain_id=site.deployment.chain_id,
                contracts=contracts,
                indexed_to=status.indexed,
                behind=status.behind,
                trouble=status.trouble,
            )
        )
    return rows


@router.get("/{site}/api/verifiers", responses=_NOT_FOUND)
def verifiers(request: Request, site: _SiteName) -> list[VerifierRow]:
    """Everybody who has or had a stake, or was in a ballot."""
    state: State = request.app.state.pages
    with state.site(site).snapshot() as snapshot:
        return [
            VerifierRow(
                verifier=address,
                is_seated=found.is_seated,
                stake_wei=str(found.stake_wei),
                ballots=found.ballots,
                votes_committed=found.votes_committed,
                votes_revealed=found.votes_revealed,
                votes_with_the_outcome=found.votes_agreed,
                slashed_wei=str(found.slashed_wei),
            )
            for address, found in snapshot.totals.accounts.items()
            if found.is_seated or found.ballots or found.stake_wei or found.slashed_wei
        ]


@router.get("/{site}/api/series/{name}", responses=_NOT_FOUND)
def series(
    request: Request,
    site: _SiteName,
    name: Literal["blocks", "gradient"],
    task: Annotated[str | None, Query(max_length=60, description="Of `gradient`: only this task's")] = None,
) -> Series:
    """What the charts draw: the newest blocks."""
    state: State = request.app.state.pages
    with state.site(site).snapshot() as snapshot:
        if name == "blocks":
            return Series(columns=block_series(snapshot))
        names = ["GradientBlockAppended"]
        if task is None:
            newest = snapshot.read.named(names, SERIES)
        else:
            newest = snapshot.read.newest("gradient_task", task, SERIES, names=names)
        return Series(columns=gradient_series(snapshot, newest[::-1]))


@router.get(
    "/{site}/api/{table}",
    response_model=TablePage,
    responses={
        200: {"content": {"text/csv": {"schema": {"type": "string"}}}},
        304: {"description": "As the ETag says"},
        **_NOT_FOUND,
    },
)
def table(
    request: Request,
    site: _SiteName,
    table: TableName,
    limit: Annotated[int, Query(ge=1, le=1000, description="Rows at most")] = 100,
    before: Annotated[int | None, Query(ge=0, lt=2**63, description="`next` of the page before")] = None,
    format: Annotated[Literal["json", "csv"], Query()] = "json",
    account: Annotated[str | None, Query(max_length=42, description="Only of events that concern it")] = None,
    task: Annotated[str | None, Query(max_length=60)] = None,
    round: Annotated[str | None, Query(max_length=60)] = None,
    name: Annotated[list[str] | None, Query(max_length=20, description="Of `events`: only these")] = None,
) -> Response:
    """Rows of a table, the newest first."""
    state: State = request.app.state.pages
    keys = [(kind, value) for kind, value in (("account", account), ("task", task), ("round", round)) if value]
    with state.site(site).snapshot() as snapshot:
        cursor = snapshot.read.cursor()
        stamp = f"{'' if cursor is None else cursor.hash}{snapshot.site.indexer.progress.read}{request.url}"
        tag = f'W/"{hashlib.sha256(stamp.encode()).hexdigest()[:24]}"'
        headers = {"ETag": tag, "Cache-Control": "no-cache"}
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        events = _begins(snapshot, table, keys, name or [], limit + 1, before)
        rows = [plain_json(TABLES[table].row(snapshot, event)) for event in events[:limit]]
    following = str(events[limit - 1].id) if len(events) > limit else None
    if format == "csv":
        if following is not None:
            headers["Link"] = f'<{request.url.include_query_params(before=following)}>; rel="next"'
        return Response(_as_csv(rows), media_type="text/csv; charset=utf-8", headers=headers)
    indexed = None if cursor is None else cursor.number
    page = {"table": table, "indexed_to": indexed, "rows": rows, "next": following}
    return Response(json.dumps(page), media_type="application/json", headers=headers)


def _begins(
    snapshot: Snapshot,
    table: TableName,
    keys: Sequence[tuple[str, str]],
    names: Sequence[str],
    limit: int,
    before: int | None,
) -> list[Event]:
    """The events that begin the rows."""
    wanted = TABLES[table].begins or tuple(names if table == TableName.EVENTS else ())
    if table == TableName.TRANSACTIONS:
        return snapshot.read.firsts(limit, before)
    if keys:
        found = snapshot.read.newest(*keys[0], -1 if len(keys) > 1 else limit, before, wanted)
        others = [{event.id for event in snapshot.read.events(*key)} for key in keys[1:]]
        return [event for event in found if all(event.id in each for each in others)][:limit]
    return snapshot.read.named(wanted, limit, before) if wanted else snapshot.read.all_newest(limit, before)


def _as_csv(rows: Sequence[Row]) -> str:
    """With a header; what is no plain value is JSON."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_csv_cell(row.get(column)) for column in columns])
    return text.getvalue()


def _csv_cell(value: Any) -> Any:
    """A spreadsheet must not take a stranger's text for a formula."""
    if isinstance(value, dict | list):
        return json.dumps(value)
    return f"'{value}" if isinstance(value, str) and value[:1] in "=+-@\t\r" and value[:1] else value
