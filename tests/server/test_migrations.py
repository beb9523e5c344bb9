"""A new version of an agent is planned, reviewed and deployed over HTTP while somebody talks to the old one."""

from __future__ import annotations

import io
from typing import Any

import pytest

from tests.server.conftest import make_agents
from tests.server.served import Served, served
from tests.server.test_authoring import Pen

TRIP = {"id": "trip", "entry": "the user wants to book a trip", "examples": ["book a trip", "I want a trip"], "steps": [
    {"id": "city", "collects": ["city"], "next": [{"to": "done"}]}, {"id": "done", "say": "To {{ city }}."}]}
CITY = {"name": "city", "ask": "Which city?", "scope": "CASE", "allowed": ["Rome", "Oslo"]}
MAIL = {"name": "email", "type": "email", "ask": "Your e-mail?", "scope": "CASE"}
LATER = {**TRIP, "steps": [{"id": "mail", "collects": ["email"], "required_action": True, "next": [{"to": "city"}]},
                           *TRIP["steps"]]}


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Any:
    root = tmp_path_factory.mktemp("migrations")
    with served(root / "data", make_agents(root / "agents"), io.StringIO()) as site:
        yield site


def test_a_plan_goes_from_the_draft_to_the_version_that_serves(house: Served) -> None:
    pen, chief = Pen(house, "tours").begin(), Pen(house, "tours", "operator")
    for part, body in (("/fields", CITY), ("/scenarios", TRIP)):
        assert pen("POST", part, body).status == 201
    assert pen("POST", "/publish", {}).status == 200
    assert pen.say("book a trip").json["reply"] == "Which city?"
    assert pen("POST", "/fields", MAIL).status == 201
    assert pen("PUT", "/scenarios/trip", LATER).status == 200

    made = pen("POST", "/migrations")
    assert (made.status, made.json["state"], made.json["from_version"]) == (201, "pending", 1)
    plan = f"/migrations/{made.json['id']}"
    everywhere = house.request("GET", "/v1/migrations", token=pen.token).json["items"]
    assert [(one["id"], one["agent"]) for one in everywhere] == [(made.json["id"], "tours")]
    stranger = house.token("operator", tenant="rival")
    assert house.request("GET", "/v1/migrations", token=stranger).json["items"] == []
    shown = pen("GET", f"{plan}/summary").json
    assert (shown["conversations"], shown["scenarios"][0]["scenario"]) == (1, "trip")
    assert chief("POST", f"{plan}/deploy").status == 409
    assert pen("POST", f"{plan}/approve", {}).status == 403
    assert pen("PUT", f"{plan}/policies", {"scenario": "trip", "step": "city", "action": "leap"}).status == 422
    assert pen("PUT", f"{plan}/policies", {"scenario": "trip", "step": "city", "action": "stay"}).status == 200
    assert chief("POST", f"{plan}/approve", {"note": "fine"}).json["state"] == "approved"
    assert chief("POST", f"{plan}/deploy").json["deployed_version"] == 2
    assert chief("GET", f"{plan}/status").json["waiting"] == 1
    assert pen.say("Rome").json["reply"] == "To Rome."
    assert [one["state"] for one in pen("GET", "/migrations").json["items"]] == ["deployed"]
    assert pen("GET", "/migrations/9-9/summary").status == 404
    assert pen("POST", "/migrations").status == 409
