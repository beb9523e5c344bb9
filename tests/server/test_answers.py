"""Error bodies, events on the wire, and what an interlocutor is not told."""

from __future__ import annotations

import json

import msgspec
import pytest

from ruche.engine.server.answers import event_for, turn_for
from ruche.engine.server.auth import Identity
from ruche.engine.server.errors import describe, respond
from ruche.engine.server.events import frame
from ruche.engine.server.requests import ChatRequest, invalid
from ruche.plugins.errors import ConfigurationError, IntegrityError, NotFound, RateLimited
from ruche.storage.model.event import Event
from ruche.storage.model.turn import Enforcement, RuleMatch, ToolCall, Turn

TURN = Turn(session_id="s1", turn_id="t1", reply="Hello\nyou", status="complete", response_type="ANSWER", language="en",
            rules=(RuleMatch(id="secret-rule", name="secret name", score=0.5, why="secret reason"),),
            tools=(ToolCall(name="secret-tool", status="ok", ms=1.0),), enforcement=Enforcement(risk="GREEN"),
            timings_ms={"total": 1.0})


def somebody(*roles: str) -> Identity:
    return Identity(tenant="acme", subject="ada", interlocutor="ada", roles=frozenset(roles), expires=0.0)


@pytest.mark.parametrize("error", [ValueError("secret /etc/passwd"), ConfigurationError("secret key file /keys/k"),
                                   IntegrityError("secret row 7", path="/data/secret")])
def test_inner_errors_say_nothing_but_their_code_and_the_request(error: Exception) -> None:
    """Security item 17: a constant body with an id; never stack, path or key."""
    response = respond(error, "r-1")
    assert response.status == 500
    body = json.loads(response.body)  # type: ignore[arg-type]
    assert body["error"]["request_id"] == "r-1"
    assert "secret" not in response.text  # type: ignore[operator]


def test_an_error_body_has_all_fields_of_the_contract() -> None:
    body = msgspec.to_builtins(describe(RateLimited("slowly", retry_after=1.5), "r-2"))["error"]
    assert body == {"code": "RATE_LIMIT_EXCEEDED", "message": "slowly", "request_id": "r-2", "details": {},
                    "retryable": True, "retry_after_seconds": 1.5}
    assert respond(RateLimited("slowly", retry_after=1.5), "").headers["Retry-After"] == "2"


def test_details_that_are_no_plain_data_are_left_out() -> None:
    assert describe(NotFound("gone", what=object()), "").error.details == {}


def test_an_interlocutor_is_told_what_was_said_and_nothing_of_why() -> None:
    """Security item 8: no rule text, scores, tools or internal reasons."""
    told = msgspec.to_builtins(turn_for(TURN, somebody("interlocutor", "channel", "auditor")))
    assert told == {"session_id": "s1", "turn_id": "t1", "reply": "Hello\nyou", "status": "complete",
                    "response_type": "ANSWER", "language": "en", "superseded_by": None}


@pytest.mark.parametrize("role", ["agent_author", "operator", "admin"])
def test_those_who_may_see_reasons_get_every_field_even_where_it_is_empty(role: str) -> None:
    told = msgspec.to_builtins(turn_for(TURN, somebody(role)))
    assert told["rules"][0]["why"] == "secret reason"
    assert told["memory"] == []
    assert told["enforcement"] == {"risk": "GREEN", "violations": [], "regenerated": 0, "fallback": None, "checked": []}
    assert told["usage"]["model_calls"] == 0


def test_a_turns_last_event_is_reduced_as_its_answer_is() -> None:
    event = Event(seq=4, kind="turn.completed", session_id="s1", turn_id="t1", at_ms=0, data=msgspec.to_builtins(TURN))
    told = json.loads(event_for(event, somebody("interlocutor")))
    assert told["seq"] == 4
    assert "secret" not in json.dumps(told)
    assert json.loads(event_for(event, somebody("operator")))["rules"][0]["id"] == "secret-rule"


def test_unlisted_data_of_other_events_never_reaches_an_interlocutor() -> None:
    event = Event(seq=1, kind="turn.phase", session_id="s1", turn_id="t1", at_ms=0,
                  data={"phase": "match", "ms": 1.0, "considered": ["secret-rule"]})
    assert set(json.loads(event_for(event, somebody("channel")))) == {"phase", "ms", "seq", "session_id", "turn_id",
                                                                      "at"}


def test_an_event_takes_one_data_line_whatever_was_said() -> None:
    data = event_for(Event(seq=9, kind="message.segment", session_id="s", turn_id="t", at_ms=0,
                           data={"text": "a\r\nevent: turn.failed\n\ndata: x\u2028"}), somebody("interlocutor"))
    lines = frame("message.segment", data, 9).split(b"\n")
    assert lines[:2] == [b"id: 9", b"event: message.segment"]
    assert lines[3:] == [b"", b""]
    assert b"\r" not in data


@pytest.mark.parametrize(("body", "path"), [
    ('{"agent_id":"a","message":"x","colour":"canary"}', "colour"), ('{"agent_id":"a"}', "message"),
    ('{"agent_id":"a","message":7}', "message"), ('{"agent_id":"a","message":""}', "message"),
    ('{"agent_id":"../a","message":"x"}', "agent_id"), ('{"agent_id":"a","message":"x","metadata":[]}', "metadata"),
    ('{"agent_id":"a","message":"x","canary canary":1}', ""), ("[]", ""), ("null", "")])
def test_a_refused_field_is_named_and_its_value_is_not(body: str, path: str) -> None:
    with pytest.raises(msgspec.ValidationError) as refused:
        msgspec.json.decode(body, type=ChatRequest)
    error = invalid(str(refused.value))
    assert error.details["fields"][0]["path"] == path
    assert "canary" not in error.message
