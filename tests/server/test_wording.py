"""What is wrong with a request is said in words to act on, and nothing that was sent is repeated."""

from __future__ import annotations

from typing import Any

import pytest

from tests.server.served import Served

CHAT = {"agent_id": "kiosk", "message": "hello"}


@pytest.mark.parametrize(("path", "body", "field", "says"), [
    ("/v1/chat", {**CHAT, "message": ""}, "message", "at least 1 character"),
    ("/v1/chat", {**CHAT, "message": "canary" * 2_000}, "message", "at most 10,000 characters"),
    ("/v1/chat", {**CHAT, "message": 7}, "message", "a text is wanted here, not a whole number"),
    ("/v1/chat", {**CHAT, "new_session": "canary"}, "new_session", "true or false is wanted here, not a text"),
    ("/v1/chat", {**CHAT, "session_id": ["canary"]}, "session_id", "a text or null is wanted here, not a list"),
    ("/v1/chat", {**CHAT, "channel": "CANARY"}, "channel", "not in the form that is taken here"),
    ("/v1/chat", {"message": "canary"}, "agent_id", "required"),
    ("/v1/chat", {**CHAT, "metadata": {"a": "canary" * 2_000}}, "metadata", "larger than 8 KB"),
    ("/v1/chat", ["canary"], "", "an object is wanted here, not a list"),
    ("/v1/memory/index", {"document_id": "d", "text": "t", "source": "canary"}, "source", "not one of the words"),
    ("/v1/memory/index", {"document_id": "d", "text": "t", "at": "canary"}, "at", "a time such as 2026"),
    ("/v1/memory/index", {"document_id": "d", "text": "t", "at": "2026-01-01T00:00:00"}, "at", "a time with its zone"),
    ("/v1/memory/query", {"query": "q", "k": 0}, "k", "at least 1"),
    ("/v1/memory/query", {"query": "q", "k": 1.5}, "k", "a whole number is wanted here, not a number"),
    ("/v1/memory/query", {"query": "q", "sources": ["api"] * 5}, "sources", "at most 4 items")], ids=str)
def test_a_field_that_is_wrong_is_named_with_what_to_send(site: Served, path: str, body: Any, field: str,
                                                          says: str) -> None:
    refused = site.request("POST", path, body, site.token())
    assert refused.status == 422
    error = refused.json["error"]
    assert error["message"].startswith(f"{field or 'body'}: {says}")
    assert error["details"]["fields"][0]["path"] == field
    assert "canary" not in refused.body.decode().lower()
    assert "Expected" not in error["message"]
