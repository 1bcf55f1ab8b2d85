"""schemathesis against the API as its OpenAPI document describes it, and made-up addresses of pages."""

from typing import Any
from urllib.parse import quote

import pytest
import requests
import schemathesis
from hypothesis import given, settings
from hypothesis import strategies as st

from explorer.pages import SINGLE, WHOLE
from explorer.site import Site

pytestmark = pytest.mark.slow


def test_api__schemathesis__finds_nothing(address: str, played_site: Site) -> None:
    schema: Any = schemathesis.openapi.from_url(f"{address}/openapi.json")
    tried = []

    @settings(max_examples=60, deadline=None)
    def check(case: Any) -> None:
        tried.append(case)
        if "site" in case.path_parameters and len(tried) % 3:
            case.path_parameters["site"] = played_site.name  # the others name no deployment
        case.call_and_validate()

    for operation in schema.get_all_operations():
        run: Any = given(operation.ok().as_strategy())(check)  # type: ignore[no-untyped-call]
        run()
    assert len(tried) > 60


_KINDS = st.sampled_from([*WHOLE, *SINGLE, "proof/now", "proof/round/1", "account/0x12/heights", "live2", ""])
_IDS = st.one_of(
    st.text(max_size=60),
    st.integers(-1, 2**80).map(str),
    st.integers(0, 3).map(lambda number: f"{number}@LearningChain"),
    st.sampled_from(["1/feed.atom", "1@", "0x" + "0" * 40, "0x" + "f" * 64, "b" * 59, "²", "٣", "%2e%2e", "\x00"]),
)
_QUERIES = st.dictionaries(st.sampled_from(["before", "figure", "q"]), st.text(max_size=250), max_size=3)


@settings(max_examples=300, deadline=None)
@given(_KINDS, _IDS, _QUERIES)
def test_pages__any_address__a_page_or_a_refusal(
    address: str, played_site: Site, kind: str, id_: str, query: dict[str, str]
) -> None:
    path = "/".join(part for part in (played_site.name, kind, quote(id_, safe="@")) if part)
    answer = requests.get(f"{address}/{path}", query, timeout=60, allow_redirects=False)
    assert answer.status_code in (200, 303, 307, 404, 422), (path, query)
