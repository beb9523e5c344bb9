"""Who may do what: generated from the route table, so that a new route fails here until it is covered."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from ruche.engine.server.app import route_table
from ruche.engine.server.routes import ROLES, Route
from tests.server.served import Served

TABLE = route_table()
CHAT = {"agent_id": "kiosk", "message": "When do you open?", "channel": "api"}
BODIES: dict[str, Any] = {"/v1/chat": CHAT, "/v1/chat/stream": CHAT,
                          "/v1/agents/{agent}/explain": {"text": "When do you open?"},
                          "/v1/agents/{agent}/rollback": {"version": 1},
          "/v1/runs": {"agent_id": "unknown", "interlocutor_id": "p", "said": ["x"], "reply": "y", "producer": "z"},
                          "/v1/runs/{id}/advisories": {"kind": "note", "note": "seen"},
          "/v1/admin/keys": {"level": "journal"},
          "/v1/agents/{agent}/migrations/{id}/policies": {"scenario": "s", "step": "a", "action": "stay"},
          **{f"/v1/agents/{{agent}}/migrations/{{id}}/{what}": {} for what in ("approve", "reject")},
          "/v1/sessions/{id}/reply": {"text": "Good day."}, "/v1/agents/{agent}/publish": {},
          "/v1/runs/{id}/review": {"verdict": "rate", "note": "fine", "rating": 4},
          "/v1/interlocutors/{id}": {"fields": {}}, "/v1/webhooks/{id}": {"texts": False},
          "/v1/memory/index": {"document_id": "d", "text": "A note."}, "/v1/memory/query": {"query": "note"},
          "/v1/webhooks": {"url": "https://192.0.2.1/x"},
          "/v1/interlocutors/{id}/identities": {"identity": "kiosk-7"},
          "/v1/interlocutors/{id}/hold": {"held": False, "reason": "over"},
          "/v1/token/anonymous": {"agent_id": "kiosk"}, "/v1/console/session": {"code": "unknown"}}
ALLOWED = {
    "POST /v1/chat": "interlocutor channel agent_author operator admin",
    "POST /v1/chat/stream": "interlocutor channel agent_author operator admin",
    "GET /v1/sessions/{id}/events": "interlocutor channel agent_author operator admin",
    "GET /v1/sessions": "interlocutor channel agent_author operator admin",
    "GET /v1/sessions/{id}": "interlocutor channel agent_author operator admin",
    "GET /v1/sessions/{id}/turns": "interlocutor channel agent_author operator admin",
    "DELETE /v1/sessions/{id}": "operator admin",
    **{f"POST /v1/sessions/{{id}}/{action}": "operator admin" for action in ("handoff", "takeover", "reply", "return")},
    "GET /v1/identity": "interlocutor channel agent_author operator auditor admin",
    "GET /v1/runs": "operator auditor admin",
    "POST /v1/runs": "channel admin",
    "GET /v1/runs/{id}": "operator auditor admin",
    "GET /v1/runs/{id}/verify": "operator auditor admin",
    "POST /v1/runs/{id}/replay": "operator auditor admin",
    "GET /v1/runs/{id}/diff/{other}": "operator auditor admin",
    "GET /v1/audit/head": "auditor admin",
    "GET /v1/audit/proof/{id}": "auditor admin",
    "GET /v1/runs/{id}/advisories": "operator auditor admin",
    "POST /v1/runs/{id}/advisories": "operator admin",
    "GET /v1/runs/{id}/export": "operator auditor admin",
    "POST /v1/runs/{id}/review": "operator admin",
    "POST /v1/runs/{id}/explain": "operator admin",
    "GET /v1/reviews/queue": "operator admin",
    "GET /v1/interlocutors/{id}": "operator admin",
    "PATCH /v1/interlocutors/{id}": "operator admin",
    "POST /v1/interlocutors/{id}/export": "admin",
    "GET /v1/interlocutors/{id}/memories": "admin",
    "POST /v1/admin/backup": "admin",
    "GET /v1/admin/retention": "admin",
    "POST /v1/admin/retention": "admin",
    "DELETE /v1/interlocutors/{id}": "admin",
    "POST /v1/interlocutors/{id}/hold": "admin",
    "GET /v1/interlocutors/{id}/identities": "operator admin",
    "POST /v1/interlocutors/{id}/identities": "admin",
    "DELETE /v1/interlocutors/{id}/identities/{identity}": "admin",
    "POST /v1/memory/index": "interlocutor channel admin",
    "POST /v1/memory/query": "interlocutor channel admin",
    "DELETE /v1/memory/documents/{document}": "interlocutor channel admin",
    **{f"GET /v1/memory/{what}": "admin" for what in ("episodes", "clusters", "wisdom", "companions")},
    "GET /v1/webhooks": "operator admin",
    "POST /v1/webhooks": "admin",
    "GET /v1/webhooks/{id}": "operator admin",
    "PATCH /v1/webhooks/{id}": "admin",
    "DELETE /v1/webhooks/{id}": "admin",
    **{f"POST /v1/webhooks/{{id}}/{action}": "admin" for action in ("verify", "test", "pause", "resume")},
    "GET /v1/webhooks/{id}/deliveries": "operator admin",
    "POST /v1/webhooks/{id}/deliveries/{delivery}/redeliver": "admin",
    "GET /v1/agents": "agent_author operator admin",
    "GET /v1/agents/{agent}": "agent_author operator admin",
    "GET /v1/agents/{agent}/versions": "agent_author operator admin",
    "POST /v1/agents/{agent}/explain": "agent_author operator admin",
    "GET /v1/agents/{agent}/versions/{version}": "agent_author operator admin",
    "POST /v1/agents": "agent_author admin",
    "PUT /v1/agents/{agent}": "agent_author admin",
    "DELETE /v1/agents/{agent}": "agent_author admin",
    "GET /v1/agents/{agent}/draft": "agent_author operator admin",
    "PUT /v1/agents/{agent}/draft": "agent_author admin",
    "DELETE /v1/agents/{agent}/draft": "agent_author admin",
    "POST /v1/agents/{agent}/check": "agent_author operator admin",
    "GET /v1/agents/{agent}/files": "agent_author operator admin",
    "POST /v1/agents/{agent}/publish": "agent_author admin",
    "POST /v1/agents/{agent}/rules/bulk": "agent_author admin",
    "POST /v1/agents/{agent}/templates/{id}/preview": "agent_author operator admin",
    **{f"{method} /v1/agents/{{agent}}/{part}{place}": "agent_author operator admin" if method == "GET" else
       "agent_author admin" for part in ("rules", "relationships", "templates", "fields", "glossary", "intents",
                                         "variables", "tools", "scenarios")
       for method, place in (("GET", ""), ("POST", ""), ("GET", "/{id}"), ("PUT", "/{id}"), ("DELETE", "/{id}"))},
    "POST /v1/agents/{agent}/rollback": "agent_author operator admin",
    **{f"GET /v1/agents/{{agent}}/migrations{rest}": "agent_author operator admin"
       for rest in ("", "/{id}/summary", "/{id}/status")},
    "GET /v1/migrations": "agent_author operator admin",
    "POST /v1/agents/{agent}/migrations": "agent_author admin",
    "PUT /v1/agents/{agent}/migrations/{id}/policies": "agent_author admin",
    **{f"POST /v1/agents/{{agent}}/migrations/{{id}}/{what}": "operator admin"
       for what in ("approve", "reject", "deploy")},
    "GET /v1/admin/actors": "operator admin",
    "GET /v1/admin/usage": "operator admin",
    "GET /v1/admin/keys": "admin",
    "POST /v1/admin/keys": "admin",
    **{f"GET {path}": "" for path in ("/healthz", "/readyz", "/metrics", "/metrics/memory", "/openapi.json", "/",
                                      "/console.css", "/console.js", "/stream.js", "/trace.js", "/operate.js",
                                      "/look.js", "/graph.js", "/dom.js", "/icon.svg")},
    "POST /v1/token/anonymous": "", "POST /v1/console/session": "",
}
"""Written down a second time, by hand: changing who may do what takes two changes. Empty: nobody has to say who."""


def name(route: Route) -> str:
    return f"{route.method} {route.path}"


def path_of(route: Route, id: str) -> str:
    return re.sub(r"\{(id|agent|other|identity|delivery|document)\}", id, route.path).replace("{version}", "1")


def ask(site: Served, route: Route, token: str | None, id: str = "unknown") -> int:
    path = path_of(route, id)
    if route.media == "text/event-stream" and route.method == "POST":
        return site.request(route.method, path, {**CHAT, "agent_id": "unknown"}, token).status
    return site.request(route.method, path, BODIES.get(route.path), token).status


def test_every_route_has_its_roles_written_down_here() -> None:
    """Security item 7."""
    assert {name(route): " ".join(role for role in ROLES if role in route.roles) for route in TABLE} == ALLOWED


@pytest.mark.parametrize("route", TABLE, ids=name)
def test_each_role_passes_or_is_refused_as_the_table_says(site: Served, route: Route) -> None:
    """Security item 7: endpoint x role."""
    for role in ROLES:
        status = ask(site, route, site.token(role, sub=f"role-{role}"))
        if route.public or role in route.roles:
            assert status not in (401, 403) or route.path == "/v1/console/session", role
        else:
            assert status == 403, role


@pytest.mark.parametrize("route", [route for route in TABLE if not route.public], ids=name)
@pytest.mark.parametrize("token", [None, "abc", "expired"])
def test_without_a_valid_token_every_route_that_wants_one_answers_401(site: Served, route: Route,
                                                                      token: str | None) -> None:
    given = site.token("admin", now=1_000_000.0) if token == "expired" else token
    assert ask(site, route, given) == 401


@pytest.fixture(scope="session")
def rivals(site: Served) -> dict[str, str]:
    """Ids that exist, in another tenant."""
    answer = site.chat("When do you open?", site.token(sub="rita", tenant="rival"))
    made = site.request("POST", "/v1/webhooks", {"url": "https://example.org/x"}, site.token("admin", tenant="rival"))
    filed = site.request("POST", "/v1/memory/index", {"document_id": "d", "text": "A note."},
                         site.token(sub="rita", tenant="rival"))
    assert (answer.status, made.status, filed.status) == (200, 201, 201)
    return {"session": answer.json["session_id"], "run": answer.json["turn_id"], "agent": "kiosk",
            "interlocutor": "rita", "webhook": made.json["id"], "document": "d"}


@pytest.mark.parametrize("route", [route for route in TABLE if "{" in route.path], ids=name)
def test_another_tenants_id_is_answered_byte_for_byte_like_an_unknown_one(site: Served, rivals: dict[str, str],
                                                                          route: Route) -> None:
    """Security item 4, generated from the route table."""
    path = route.path.replace("/audit/proof/", "/runs/")
    kinds = ("session", "run", "agent", "interlocutor", "webhook", "document")
    kind = next((kind for kind in kinds if f"/{kind}s/" in path), None)
    assert kind is not None, "name the kind of id of this new route"
    token = site.token("admin", "operator", sub="eve", tenant="third")
    answers = []
    for known in (rivals[kind], "0" * len(rivals[kind])):
        path = path_of(route, known)
        answer = site.request(route.method, path, BODIES.get(route.path), token, {"X-Request-ID": "same"})
        answers.append((answer.status, {**answer.headers, "date": ""}, answer.body))
    assert answers[0] == answers[1]
    assert answers[0][0] == 404


def test_what_another_tenant_said_is_in_no_list(site: Served, rivals: dict[str, str]) -> None:
    token = site.token("admin", sub="eve", tenant="third")
    for path in ("/v1/sessions", "/v1/runs", "/v1/agents", f"/v1/runs?session={rivals['session']}"):
        assert site.request("GET", path, token=token).json["items"] == []


def test_an_interlocutor_sees_only_their_own_sessions(site: Served) -> None:
    mine = site.chat("Where is the toilet?", site.token(sub="ada")).json["session_id"]
    theirs = site.chat("Where is the toilet?", site.token(sub="bob")).json["session_id"]
    token = site.token(sub="ada")
    assert site.request("GET", f"/v1/sessions/{mine}", token=token).status == 200
    for path in (f"/v1/sessions/{theirs}", f"/v1/sessions/{theirs}/turns", f"/v1/sessions/{theirs}/events"):
        assert site.request("GET", path, token=token).status == 404
    listed = {one["id"] for one in site.request("GET", "/v1/sessions", token=token).json["items"]}
    assert mine in listed
    assert theirs not in listed
    assert site.request("GET", "/v1/sessions?interlocutor=bob", token=token).status == 403


def test_a_body_that_names_another_tenant_or_person_is_refused_and_logged(site: Served, logged: Any) -> None:
    """Security item 3."""
    for extra, code in (({"tenant_id": "rival"}, "TENANT_MISMATCH"),
                        ({"channel_user_id": "bob"}, "INSUFFICIENT_PERMISSIONS")):
        answer = site.chat("Hello", site.token(sub="ada"), **extra)
        assert (answer.status, answer.code) == (403, code)
        assert any(json.loads(line).get("request_id") == answer.headers["x-request-id"]
                   and json.loads(line)["event"] == "refused" for line in logged.getvalue().splitlines())
    assert site.chat("Hello", site.token("channel", sub="gate"), channel_user_id="bob").status == 200
    assert site.chat("Hello", site.token(sub="ada"), tenant_id="default", channel_user_id="ada").status == 200


def test_an_anonymous_token_speaks_to_its_own_public_agent_only(site: Served) -> None:
    made = site.request("POST", "/v1/token/anonymous", {"agent_id": "kiosk"})
    assert made.status == 201
    token = made.json["token"]
    assert site.chat("When do you open?", token).status == 200
    assert site.chat("When do you open?", token, agent="frontdesk").status == 404
    hidden = site.request("POST", "/v1/token/anonymous", {"agent_id": "closed"}, headers={"X-Request-ID": "same"})
    unknown = site.request("POST", "/v1/token/anonymous", {"agent_id": "nobody"}, headers={"X-Request-ID": "same"})
    assert (hidden.status, hidden.body) == (unknown.status, unknown.body)
    assert hidden.status == 404
