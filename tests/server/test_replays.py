"""Recorded turns run again and compared over HTTP."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

from tests.server.conftest import make_agents
from tests.server.served import Served, served


@pytest.fixture(scope="module")
def talked(tmp_path_factory: pytest.TempPathFactory) -> Any:
    root = tmp_path_factory.mktemp("replays")
    with served(root / "data", make_agents(root / "agents"), io.StringIO()) as site:
        token = site.token(sub="ada")
        turns = [site.chat(text, token).json["turn_id"] for text in (
            "When do you open?", "Where is the toilet?", "When do you open?")]
        yield site, turns


def test_a_recorded_turn_runs_again_the_same(talked: tuple[Served, list[str]]) -> None:
    site, turns = talked
    for place, turn in enumerate(turns):
        shown = site.request("POST", f"/v1/runs/{turn}/replay", {}, site.token("auditor")).json
        assert (shown["identical"], shown["earlier"], shown["difference"]) == (True, place, None)
    assert site.request("POST", f"/v1/runs/{turns[0]}/replay", token=site.token("auditor")).json["identical"]


def test_with_another_version_the_first_difference_is_told(tmp_path: Path) -> None:
    with served(tmp_path / "data", make_agents(tmp_path / "agents"), io.StringIO()) as site:
        author, auditor = site.token("admin", sub="ann"), site.token("auditor")
        rule = {"id": "hours", "if": "Somebody asks when we open", "then": "At nine.", "examples": ["when do you open"]}
        site.request("POST", "/v1/agents", {"id": "desk", "agent": {"name": "Desk"}}, author)
        for then in ("At nine.", "At ten."):
            site.request("POST", "/v1/agents/desk/rules/bulk", {"items": [{**rule, "then": then}]}, author)
            site.request("POST", "/v1/agents/desk/publish", {}, author)
            turn = site.chat("when do you open", site.token(), agent="desk").json["turn_id"]
        path = f"/v1/runs/{turn}/replay"
        assert site.request("POST", path, {"agent_version": 2}, auditor).json["identical"]
        shown = site.request("POST", path, {"agent_version": 1}, auditor).json
        assert (shown["identical"], shown["difference"]["turn"]) == (False, 1)
        assert "nine" in shown["difference"]["replayed"] or shown["difference"]["site"]
        assert site.request("POST", path, {"agent_version": 9}, auditor).status == 404
        assert site.request("POST", path, {"agent_version": 0}, auditor).status == 422


def test_two_runs_are_compared_field_by_field(talked: tuple[Served, list[str]]) -> None:
    site, (first, second, _) = talked
    token = site.token("operator")
    assert site.request("GET", f"/v1/runs/{first}/diff/{first}", token=token).json["same"]
    shown = site.request("GET", f"/v1/runs/{first}/diff/{second}", token=token).json
    fields = {one["field"]: (one["left"], one["right"]) for one in shown["differences"]}
    assert fields["said"] == (["When do you open?"], ["Where is the toilet?"])
    assert {"reply", "rules"} <= fields.keys()
    assert "agent" not in fields
    assert site.request("GET", f"/v1/runs/{first}/diff/unknown", token=token).status == 404
