"""A conversation over HTTP: at once, streamed, accepted for later, resumed, read back and verified."""

from __future__ import annotations

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from ruche.engine.server import events as events_of_server
from tests.server.served import Served

OPEN = "When do you open?"


PASSING = ("turn.phase", "message.segment")
"""News of the moment: no model speaks here, so the one segment of a reply is not kept beside its turn."""


def test_an_interlocutor_is_answered_with_the_first_lines_fields_only(site: Served) -> None:
    answer = site.chat(OPEN, site.token(sub="chat-1"))
    assert answer.status == 200
    assert set(answer.json) == {"session_id", "turn_id", "reply", "status", "response_type", "language",
                                "superseded_by"}
    assert "Tuesday to Sunday" in answer.json["reply"]


def test_an_author_sees_rules_verdicts_and_times(site: Served) -> None:
    turn = site.chat(OPEN, site.token("agent_author", sub="chat-2")).json
    assert turn["rules"][0]["id"] == "opening_hours"
    assert turn["rules"][0]["why"]
    assert turn["enforcement"]["risk"] == "GREEN"
    assert turn["timings_ms"]["total"] > 0
    assert set(turn["usage"]) == {"model_calls", "input_tokens", "output_tokens"}


def test_a_session_goes_on_until_a_new_one_is_asked_for(site: Served) -> None:
    token = site.token(sub="chat-3")
    first, second = site.chat(OPEN, token).json, site.chat("Where is the toilet?", token).json
    assert first["session_id"] == second["session_id"]
    assert site.chat(OPEN, token, new_session=True).json["session_id"] != first["session_id"]


def test_the_same_idempotency_key_gives_the_same_turn_once_and_another_body_is_refused(site: Served) -> None:
    token, body = site.token("agent_author", sub="chat-4"), {"agent_id": "kiosk", "message": OPEN, "channel": "api"}
    first, again = (site.request("POST", "/v1/chat", body, token, {"Idempotency-Key": "k1"}) for _ in range(2))
    assert first.status == again.status == 200
    assert again.json["turn_id"] == first.json["turn_id"]
    other = site.request("POST", "/v1/chat", {**body, "message": "Hello"}, token, {"Idempotency-Key": "k1"})
    assert (other.status, other.code) == (409, "IDEMPOTENCY_MISMATCH")
    turns = site.request("GET", f"/v1/sessions/{first.json['session_id']}/turns", token=token).json["items"]
    assert len(turns) == 1
    assert site.request("POST", "/v1/chat", body, token, {"Idempotency-Key": "a b"}).status == 422


def test_a_message_can_be_accepted_now_and_its_answer_read_later(site: Served) -> None:
    token = site.token(sub="chat-5")
    answer = site.request("POST", "/v1/chat", {"agent_id": "kiosk", "message": OPEN, "channel": "api"}, token,
                          {"Prefer": "respond-async"})
    assert answer.status == 202
    taken = answer.json
    assert taken["status"] == "accepted"
    assert site.request("GET", f"/v1/sessions/{taken['session_id']}", token=token).status == 200
    with site.events("GET", f"/v1/sessions/{taken['session_id']}/events?after=0", token) as events:
        done = next(data for _, kind, data in events
                    if kind == "turn.completed" and data["turn_id"] == taken["turn_id"])
    assert "Tuesday" in done["reply"]


def stream(site: Served, token: str, message: str = OPEN) -> list[tuple[int | None, str, dict[str, Any]]]:
    with site.events("POST", "/v1/chat/stream", token, {"agent_id": "kiosk", "message": message, "channel": "api"}
                     ) as events:
        return list(events)


def test_a_streamed_turn_is_accepted_spoken_and_completed_in_rising_order(site: Served) -> None:
    events = stream(site, site.token("agent_author", sub="chat-6"))
    kinds = [kind for _, kind, _ in events]
    assert kinds[0] == "turn.accepted"
    assert kinds[-1] == "turn.completed"
    assert "turn.phase" in kinds
    kept = [(number, data) for number, kind, data in events if kind not in PASSING]
    numbers = [number for number, _ in kept]
    assert numbers == sorted(set(numbers))
    assert [data["seq"] for _, data in kept] == numbers
    assert [number for number, _, _ in events] == sorted(number for number, _, _ in events)
    said = "".join(data["text"] for _, kind, data in events if kind == "message.segment")
    assert said == events[-1][2]["reply"]
    assert events[-1][2]["rules"][0]["id"] == "opening_hours"


def test_a_stream_tells_an_interlocutor_no_reasons(site: Served) -> None:
    """Security item 8."""
    told = json.dumps([data for _, _, data in stream(site, site.token(sub="chat-7"))])
    for secret in ("opening_hours", "score", "rules", "enforcement"):
        assert secret not in told


def test_a_broken_stream_goes_on_from_its_cursor_without_gap_or_repeat(site: Served) -> None:
    token = site.token("agent_author", sub="chat-8")
    whole = [event for event in stream(site, token) + stream(site, token, "Where is the toilet?")
             if event[1] not in PASSING]
    session = whole[0][2]["session_id"]
    for cut in (0, 1, len(whole) - 1):
        after = whole[cut - 1][0] if cut else 0
        for path, headers in ((f"/v1/sessions/{session}/events?after={after}", {}),
                              (f"/v1/sessions/{session}/events?after=0", {"Last-Event-ID": str(after)})):
            with site.events("GET", path, token, headers=headers) as events:
                resumed = [next(events) for _ in range(len(whole) - cut)]
            assert [(number, kind) for number, kind, _ in resumed] == [(n, k) for n, k, _ in whole[cut:]]


@pytest.mark.parametrize("cursor", ["x", "-1", "1.5", "9" * 30])
def test_a_cursor_that_is_none_is_refused(site: Served, cursor: str) -> None:
    token = site.token(sub="chat-9")
    session = site.chat(OPEN, token).json["session_id"]
    for path, headers in ((f"/v1/sessions/{session}/events?after={cursor}", {}),
                          (f"/v1/sessions/{session}/events", {"Last-Event-ID": cursor})):
        assert site.request("GET", path, token=token, headers=headers).status == 422


def test_a_quiet_stream_says_that_it_is_still_there(site: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    assert events_of_server.HEARTBEAT_SECONDS == 15.0
    monkeypatch.setattr(events_of_server, "HEARTBEAT_SECONDS", 0.05)
    token = site.token(sub="chat-15")
    session = site.chat(OPEN, token).json["session_id"]
    head = f"GET /v1/sessions/{session}/events?after=1000 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n"
    received = site.raw(head.encode(), seconds=2.5)
    assert b"content-type: text/event-stream" in received.lower()
    assert received.count(b": still here\n\n") >= 3


def test_what_fails_before_the_first_event_is_an_ordinary_error(site: Served) -> None:
    answer = site.request("POST", "/v1/chat/stream", {"agent_id": "nobody", "message": "x"}, site.token())
    assert (answer.status, answer.code) == (404, "NOT_FOUND")


def test_sessions_and_their_turns_are_listed_page_by_page_without_repeat(site: Served) -> None:
    token = site.token("operator", sub="chat-10")
    session = ""
    for number in range(5):
        session = site.chat(f"{OPEN} {number}", token).json["session_id"]
    seen, cursor = [], ""
    while cursor is not None:
        page = site.request("GET", f"/v1/sessions/{session}/turns?limit=2" + (f"&cursor={cursor}" if cursor else ""),
                            token=token).json
        assert len(page["items"]) <= 2
        seen += [item["sequence"] for item in page["items"]]
        cursor = page["next_cursor"]
    assert seen == [0, 1, 2, 3, 4]
    listed = site.request("GET", "/v1/sessions?interlocutor=chat-10", token=token).json["items"]
    assert [one["id"] for one in listed] == [session]
    assert listed[0]["status"] == "ACTIVE"
    assert listed[0]["interlocutor_id"] == "chat-10"


def test_a_closed_session_is_followed_by_another(site: Served) -> None:
    token = site.token("operator", sub="chat-11")
    session = site.chat(OPEN, token).json["session_id"]
    assert site.request("DELETE", f"/v1/sessions/{session}", token=token).status == 204
    assert site.request("GET", f"/v1/sessions/{session}", token=token).json["status"] == "CLOSED"
    assert site.chat(OPEN, token).json["session_id"] != session


def test_a_run_is_the_turn_with_its_hashes_and_its_session_verifies(site: Served) -> None:
    turn = site.chat(OPEN, site.token("operator", sub="chat-12")).json
    auditor = site.token("auditor")
    run = site.request("GET", f"/v1/runs/{turn['turn_id']}", token=auditor).json
    assert run["session_id"] == turn["session_id"]
    assert run["said"] == [OPEN]
    assert run["turn"]["reply"] == turn["reply"]
    assert len(run["hashes"]["output"]) == 64
    proof = site.request("GET", f"/v1/runs/{turn['turn_id']}/verify", token=auditor).json
    assert proof["ok"] is True
    assert proof["problems"] == []
    listed = site.request("GET", f"/v1/runs?session={turn['session_id']}&risk=GREEN&from=2020-01-01T00:00:00Z",
                          token=auditor).json["items"]
    assert [one["id"] for one in listed] == [turn["turn_id"]]
    assert site.request("GET", "/v1/runs?from=2999-01-01T00:00:00Z", token=auditor).json["items"] == []


def test_agents_are_listed_and_read_with_their_steps(site: Served) -> None:
    token = site.token("agent_author")
    listed = {one["id"]: one for one in site.request("GET", "/v1/agents", token=token).json["items"]}
    assert set(listed) == {"kiosk", "frontdesk", "closed"}
    assert listed["kiosk"]["version"] == 1
    frontdesk = site.request("GET", "/v1/agents/frontdesk", token=token).json
    assert frontdesk["scenarios"][0]["steps"][0]["id"]
    assert "if" in frontdesk["rules"][0]
    assert "sources" not in frontdesk


def test_the_engine_says_that_it_lives_is_ready_and_what_it_counts(site: Served) -> None:
    assert site.request("GET", "/healthz").json == {"status": "ok"}
    ready = site.request("GET", "/readyz")
    assert ready.status == 200
    assert {"storage", "retriever"} <= {one["name"] for one in ready.json["components"]}
    assert all(set(one) == {"name", "status", "latency_ms"} for one in ready.json["components"])
    site.chat(OPEN, site.token(sub="chat-13"))
    text = site.request("GET", "/metrics").body.decode()
    assert 'ruche_turns_total{risk="GREEN",status="complete"}' in text
    assert 'ruche_component_up{component="storage"} 1.0' in text
    assert "chat-13" not in text
    actors = site.request("GET", "/v1/admin/actors", token=site.token("operator")).json
    assert "sessions" in actors
    assert actors["components"]


def test_the_openapi_document_describes_every_route_and_what_it_really_answers(site: Served) -> None:
    document = site.request("GET", "/openapi.json").json
    assert document["openapi"].startswith("3.1")
    chat = document["paths"]["/v1/chat"]["post"]
    assert chat["x-roles"] == ["admin", "agent_author", "channel", "interlocutor", "operator"]

    def valid(schema: Any, value: Any) -> None:
        Draft202012Validator({**schema, "components": document["components"]}).validate(value)

    token = site.token("admin", "agent_author", sub="chat-14")
    turn = site.chat(OPEN, token).json
    run = f"/v1/runs/{turn['turn_id']}"
    session = f"/v1/sessions/{turn['session_id']}"
    valid(chat["responses"]["200"]["content"]["application/json"]["schema"], turn)
    for path, template in ((session, "/v1/sessions/{id}"), (f"{session}/turns", "/v1/sessions/{id}/turns"),
                           ("/v1/sessions", "/v1/sessions"), (run, "/v1/runs/{id}"), ("/v1/runs", "/v1/runs"),
                           ("/v1/agents", "/v1/agents"), ("/readyz", "/readyz"), (f"{run}/verify",
                                                                                "/v1/runs/{id}/verify")):
        schema = document["paths"][template]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
        assert schema, template
        valid(schema, site.request("GET", path, token=token).json)
    error = site.request("GET", "/v1/runs/unknown", token=token).json
    valid(document["paths"]["/v1/runs/{id}"]["get"]["responses"]["default"]["content"]["application/json"]["schema"],
          error)


def test_nothing_that_was_said_or_who_said_it_is_in_the_log(site: Served, logged: Any) -> None:
    """Security item 42: a canary through every input."""
    canary = "Zanzibar-4711"
    token = site.token("admin", sub=canary)
    site.chat(canary, token)
    site.chat(canary, token, metadata={canary: canary})
    site.chat("x", token, agent=canary)
    site.chat("x", token, session_id=canary)
    site.request("POST", "/v1/chat", f'{{"{canary}": "{canary}"}}'.encode(), token)
    site.request("POST", "/v1/chat", canary.encode(), token)
    site.request("GET", f"/v1/sessions/{canary}?{canary}={canary}", None, token, {"X-Canary": canary})
    site.request("GET", f"/{canary}", None, f"{canary}.{canary}.{canary}")
    site.request(canary.upper(), "/v1/chat")
    site.raw(f"GET /{canary} HTTP/1.1\r\n{canary}\r\n\r\n".encode())
    site.raw(f"{canary}\r\n\r\n".encode())
    assert logged.getvalue()
    assert canary.lower() not in logged.getvalue().lower()
    assert canary.lower() not in site.request("GET", "/metrics").body.decode().lower()
