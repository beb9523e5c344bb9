"""An operator in a conversation, over HTTP."""

from __future__ import annotations

from typing import Any

from tests.server.served import Answer, Served


def begin(site: Served, person: str) -> str:
    return str(site.chat("Where is the toilet?", site.token(sub=person)).json["session_id"])


def act(site: Served, session: str, action: str, body: Any = None, by: str = "omar", **headers: str) -> Answer:
    return site.request("POST", f"/v1/sessions/{session}/{action}", body, site.token("operator", sub=by),
                        {name.replace("_", "-"): value for name, value in headers.items()})


def test_an_operator_takes_over_speaks_and_gives_the_conversation_back(site: Served) -> None:
    session, ada = begin(site, "hand-1"), site.token(sub="hand-1")
    assert act(site, session, "takeover", {"minutes": 30, "note": "angry"}).status == 200
    silent = site.chat("Are you there?", ada).json
    assert (silent["reply"], silent["status"]) == ("", "handed_off")
    assert act(site, session, "reply", {"text": "Omar here."}).json["reply"] == "Omar here."
    shown = site.request("GET", f"/v1/sessions/{session}", token=ada).json
    assert (shown["handed_off"], shown["handover"]["by"]) == (True, None)
    watched = site.request("GET", f"/v1/sessions/{session}", token=site.token("operator")).json["handover"]
    assert (watched["by"], watched["until"] is not None) == ("omar", True)
    assert act(site, session, "return").json["status"] == "complete"
    assert site.chat("Where is the toilet?", ada).json["reply"]
    turns = site.request("GET", f"/v1/sessions/{session}/turns", token=ada).json["items"]
    assert [one["turn"]["reply"] for one in turns][1:5] == ["", "", "Omar here.", ""]


def test_what_does_not_fit_is_told_and_nothing_happens(site: Served) -> None:
    session = begin(site, "hand-2")
    assert (act(site, session, "reply", {"text": "Hi"}).status, act(site, session, "return").status) == (409, 409)
    act(site, session, "takeover")
    other = act(site, session, "reply", {"text": "Hi"}, by="olga")
    assert (other.status, other.code) == (409, "RESOURCE_CONFLICT")
    for body in ({}, {"text": ""}, {"text": "x" * 10_001}, {"text": "Hi", "by": "olga"}, {"text": "Hi", "minutes": -1}):
        assert act(site, session, "reply", body).status == 422
    assert act(site, session, "takeover", {"minutes": 10_081}).status == 422
    assert len(site.request("GET", f"/v1/sessions/{session}/turns", token=site.token("operator")).json["items"]) == 2


def test_a_repeated_reply_with_its_key_is_said_once(site: Served) -> None:
    session = begin(site, "hand-3")
    act(site, session, "takeover")
    answers = [act(site, session, "reply", {"text": "Hello."}, Idempotency_Key="once").json for _ in range(3)]
    assert answers[0] == answers[1] == answers[2]
    other = act(site, session, "reply", {"text": "Bye."}, Idempotency_Key="once")
    assert (other.status, other.code) == (409, "IDEMPOTENCY_MISMATCH")


def test_the_interlocutor_hears_the_person_as_it_happens(site: Served) -> None:
    session, ada = begin(site, "hand-4"), site.token(sub="hand-4")
    with site.events("GET", f"/v1/sessions/{session}/events", ada) as events:
        act(site, session, "takeover")
        act(site, session, "reply", {"text": "Omar here."})
        heard = []
        for _, kind, data in events:
            if kind in ("session.handoff", "turn.completed"):
                heard.append((kind, data.get("state") or data.get("reply")))
            if ("turn.completed", "Omar here.") in heard:
                break
    assert heard[-2:] == [("session.handoff", "taken"), ("turn.completed", "Omar here.")]
