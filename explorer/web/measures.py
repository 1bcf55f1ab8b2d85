"""Figures of the indexers for Prometheus."""

from collections.abc import Iterable

from fastapi import APIRouter, Request
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.responses import Response

from explorer.site import Site
from explorer.web.state import State

router = APIRouter()


class _Indexers(Collector):
    def __init__(self, sites: Iterable[Site]) -> None:
        self._sites = list(sites)

    def collect(self) -> Iterable[Metric]:
        gauges = {
            "head": "Newest block of the node.",
            "indexed": "Newest block in the index; -1 before the first.",
            "deepest": "Blocks taken back by the deepest reorganisation.",
        }
        counters = {
            "events": "Events written.",
            "ranges": "Ranges of blocks written.",
            "halved": "Ranges halved because the node refused them.",
            "reorganised": "Times that the chain took blocks back.",
        }
        for name, text in gauges.items():
            gauge = GaugeMetricFamily(f"pole_explorer_{name}", text, labels=["deployment"])
            for site in self._sites:
                gauge.add_metric([site.name], getattr(site.indexer.progress, name))
            yield gauge
        for name, text in counters.items():
            counter = CounterMetricFamily(f"pole_explorer_{name}", text, labels=["deployment"])
            for site in self._sites:
                counter.add_metric([site.name], getattr(site.indexer.progress, name))
            yield counter


@router.get("/metrics", include_in_schema=False)
def metrics(request: Request) -> Response:
    state: State = request.app.state.pages
    registry = CollectorRegistry()
    registry.register(_Indexers(state.sites.values()))
    return Response(generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})
