"""Explanations, versions and the way back to one, over HTTP."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

from ruche.engine import Engine
from tests.server.served import Answer, Served, served

AGENT = {
    "agent.yaml": "name: Desk\n",
    "rules.yaml": """
- {id: hours, if: Somebody asks when we open, then: We open at nine., examples: [when do you open]}
- {id: later, if: Somebody asks when we open later, then: Later., examples: [when do you open], when: now.hour > 30}
- {id: asleep, if: Somebody asks when we open, then: Never., examples: [when do you open], enabled: false}
- {id: far, if: Somebody sings a sea shanty, then: Lovely.}
- {id: inside, if: Somebody asks when we open, then: At the step., examples: [when do you open],
   scope: {scenario: taxi}}
- {id: never, if: always, then: No amounts, hard: true, enforce: amount <= 50}
""",
    "templates.yaml": "- {id: sorry, mode: fallback, text: I cannot say that.}\n",
    "fields.yaml": "- {name: place, scope: CASE, ask: Where to?}\n",
    "scenarios/taxi.yaml": """
entry: Somebody wants to book a taxi
examples: [I need a taxi, book me a taxi]
steps:
  - id: where
    collects: [place]
    next: [{to: done}, {to: lost, when: now.hour > 30}]
  - {id: done, say: On its way.}
  - {id: lost, say: No.}
""",
    "scenarios/cake.yaml": "entry: Somebody wants a birthday cake\nsteps: [{id: bake, say: Baked.}]\n",
}


def write(folder: Path, **more: str) -> Path:
    for name, text in {**AGENT, **more}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Any:
    root = tmp_path_factory.mktemp("explained")
    write(root / "agents" / "desk")
    with Engine.blocking(root / "data", agents=root / "agents") as engine:
        changed = {"agent.yaml": "name: Desk\ngreeting: Hi!\n"}
        engine.call("publish", write(root / "agents" / "desk", **changed))
    with served(root / "data", root / "agents", io.StringIO()) as site:
        yield site


def explain(site: Served, text: str, token: str | None = None, **more: Any) -> Answer:
    return site.request("POST", "/v1/agents/desk/explain", {"text": text, **more},
                        token or site.token("agent_author"))


def test_every_rule_is_told_with_its_scores_its_filter_and_the_reason(desk: Served) -> None:
    shown = explain(desk, "when do you open").json
    rules = {rule["id"]: rule for rule in shown["rules"]}
    assert set(rules) == {"hours", "later", "asleep", "far", "inside", "never"}
    assert shown["rules"][0]["id"] == "hours"
    assert (rules["hours"]["verdict"], rules["hours"]["filter"]) == ("applied", "")
    assert rules["hours"]["reason"].startswith("scored ")
    assert rules["hours"]["score"] >= rules["hours"]["threshold"] > 0
    assert (rules["later"]["verdict"], rules["later"]["filter"]) == ("dropped", "when")
    assert (rules["asleep"]["filter"], rules["inside"]["filter"]) == ("disabled", "scope")
    assert rules["inside"]["verdict"] == "dropped"
    assert "not in progress" in rules["inside"]["reason"]
    assert rules["inside"]["score"] > 0
    assert (rules["far"]["filter"], rules["far"]["verdict"]) == ("threshold", "dropped")
    assert rules["far"]["reason"].startswith("scored ")
    assert [rule["id"] for rule in shown["rules"] if rule["always_judged"]] == ["never"]


def test_every_scenario_is_told_with_the_transitions_that_were_considered(desk: Served) -> None:
    token = desk.token("admin", sub="ada")
    begun = explain(desk, "I need a taxi").json["scenarios"]
    taxi, cake = (next(one for one in begun if one["id"] == name) for name in ("taxi", "cake"))
    assert (taxi["step"], taxi["status"], taxi["actions"][0][0]) == ("where", "active", "START")
    assert (cake["step"], cake["actions"]) == ("", [])
    assert "less than" in cake["reason"]
    said = desk.chat("I need a taxi", token, agent="desk").json
    onward = explain(desk, "Main Street 5", token, session_id=said["session_id"]).json
    (moved,) = [one for one in onward["scenarios"] if one["id"] == "taxi"]
    assert onward["learned"] == ["place"]
    assert moved["step"] == "done"
    assert [(one["to"], one["holds"]) for one in moved["transitions"]] == [("done", True), ("lost", False)]
    assert all(one["why"] for one in moved["transitions"])


def test_the_place_of_a_conversation_counts(desk: Served) -> None:
    token = desk.token("admin", sub="kim")
    said = desk.chat("I need a taxi", token, agent="desk").json
    inside = explain(desk, "when do you open", token, session_id=said["session_id"]).json["rules"]
    assert next(rule for rule in inside if rule["id"] == "inside")["verdict"] == "applied"


def test_an_explanation_keeps_nothing(desk: Served) -> None:
    token = desk.token("admin", sub="lea")
    said = desk.chat("I need a taxi", token, agent="desk").json
    before = desk.request("GET", f"/v1/sessions/{said['session_id']}", token=token).json
    explain(desk, "Main Street 5", token, session_id=said["session_id"])
    assert desk.request("GET", f"/v1/sessions/{said['session_id']}", token=token).json == before
    assert desk.request("GET", "/v1/sessions?interlocutor=explain", token=token).json["items"] == []


@pytest.mark.parametrize(("body", "code"), [
    ({"text": ""}, 422), ({"text": "   "}, 422), ({}, 422), ({"text": "x", "more": 1}, 422),
    ({"text": "x" * 10_001}, 422), ({"text": "x", "session_id": "unknown"}, 404),
])
def test_what_cannot_be_explained_is_refused(desk: Served, body: dict[str, Any], code: int) -> None:
    assert desk.request("POST", "/v1/agents/desk/explain", body, desk.token("agent_author")).status == code


def test_an_author_may_not_look_into_the_conversation_of_another(desk: Served) -> None:
    """Security item 4: answered like a session that is not there."""
    said = desk.chat("I need a taxi", desk.token(sub="zoe"), agent="desk").json
    author = desk.token("agent_author", sub="author")
    theirs = explain(desk, "x", author, session_id=said["session_id"])
    unknown = explain(desk, "x", author, session_id="0" * len(said["session_id"]))
    assert theirs.status == unknown.status == 404
    assert theirs.json["error"]["message"] == unknown.json["error"]["message"]


def test_versions_are_listed_in_pages_and_one_can_be_brought_back(desk: Served) -> None:
    token = desk.token("agent_author", sub="author")
    first = desk.request("GET", "/v1/agents/desk/versions?limit=1", token=token).json
    assert [(one["version"], one["current"]) for one in first["items"]] == [(2, True)]
    rest = desk.request("GET", f"/v1/agents/desk/versions?limit=1&cursor={first['next_cursor']}", token=token).json
    assert [(one["version"], one["current"]) for one in rest["items"]] == [(1, False)]
    assert rest["next_cursor"] is None
    done = desk.request("POST", "/v1/agents/desk/rollback", {"version": 1}, token)
    assert done.json == {"agent_id": "desk", "version": 3, "hash": rest["items"][0]["hash"], "restored": 1}
    assert "Hi!" not in desk.chat("when do you open?", token, agent="desk", new_session=True).json["reply"]
    again = desk.request("POST", "/v1/agents/desk/rollback", {"version": 1}, token)
    assert again.json["version"] == 3
    assert desk.request("GET", "/v1/agents/desk", token=token).json["version"] == 3
    assert desk.request("POST", "/v1/agents/desk/rollback", {"version": 2}, token).json["version"] == 4


@pytest.mark.parametrize(("body", "status"), [({"version": 99}, 404), ({"version": 0}, 422), ({"version": "1"}, 422)])
def test_a_version_that_is_not_there_changes_nothing(desk: Served, body: dict[str, Any], status: int) -> None:
    token = desk.token("agent_author")
    before = desk.request("GET", "/v1/agents/desk/versions", token=token).json
    assert desk.request("POST", "/v1/agents/desk/rollback", body, token).status == status
    assert desk.request("GET", "/v1/agents/desk/versions", token=token).json == before
