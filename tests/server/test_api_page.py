"""docs/api.md lists every address with those who may use it, and no other; the OpenAPI document does too."""

from __future__ import annotations

import re
from pathlib import Path

from ruche.engine.server.app import route_table
from ruche.engine.server.routes import ROLES, Route
from tests.server.served import Served

PAGE = Path(__file__).parents[2] / "docs" / "api.md"
_ROW = re.compile(r"^\| `(?P<method>[A-Z]+) (?P<path>[^`]+)` \| (?P<who>[^|]+) \| (?P<does>[^|]+) \|$", re.MULTILINE)


def who(route: Route) -> str:
    named = [role for role in ROLES if role in route.roles]
    return "anybody" if route.public else "anybody with a token" if named == list(ROLES) else ", ".join(named)


def test_the_page_lists_every_address_with_those_who_may_use_it() -> None:
    rows = {(one["method"], one["path"]): (one["who"], one["does"])
            for one in _ROW.finditer(PAGE.read_text(encoding="utf-8"))}
    assert rows == {(route.method, route.path): (who(route), route.summary) for route in route_table()}


def test_the_openapi_document_has_what_the_page_lists_and_says_what_is_sent_and_answered(site: Served) -> None:
    paths = site.request("GET", "/openapi.json").json["paths"]
    listed = {(one["method"].lower(), one["path"]) for one in _ROW.finditer(PAGE.read_text(encoding="utf-8"))}
    assert {(method, path) for path, operations in paths.items() for method in operations} == listed
    for path, operations in paths.items():
        for method, operation in operations.items():
            assert operation["summary"], path
            if method in ("put", "patch"):
                assert operation["requestBody"]["content"]["application/json"]["schema"], path
            if path.startswith("/v1/") and path not in ("/v1/token/anonymous", "/v1/console/session"):
                assert operation["x-roles"], path


def test_each_operation_has_a_name_of_its_own(site: Served) -> None:
    paths = site.request("GET", "/openapi.json").json["paths"]
    names = [operation["operationId"] for operations in paths.values() for operation in operations.values()]
    assert len(names) == len(set(names))
