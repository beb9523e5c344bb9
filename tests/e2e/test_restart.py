"""Stop, start again, and the conversation goes on where it was."""

from __future__ import annotations

import json
from pathlib import Path

from tests.e2e.running import serving


def test_a_conversation_goes_on_where_it_was_after_a_restart(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with serving(data) as server:
        server.chat("I would like to book a hotel room", agent="frontdesk")
        asked = server.chat("My name is Ada Lovelace", agent="frontdesk")
        assert server.stop() == 0
    assert asked["response_type"] == "ASK"
    with serving(data) as server:
        answered = server.chat("The Hyatt, from May 9th to May 22nd", agent="frontdesk")
        assert answered["session_id"] == asked["session_id"]
        assert answered["scenarios"][0]["id"] == asked["scenarios"][0]["id"]
        assert answered["reply"] != asked["reply"]
        assert server.get(f"/v1/sessions/{asked['session_id']}")["turn_count"] == 3
        assert server.stop() == 0


def test_a_server_that_is_stopped_says_nothing_but_log_lines(tmp_path: Path) -> None:
    with serving(tmp_path / "data") as server:
        server.chat("When do you open?")
        assert server.stop() == 0
        lines = server.log.read_text().splitlines()
    assert [line for line in lines if not line.startswith("{")] == []
    assert json.loads(lines[-1])["event"] == "stopping"
