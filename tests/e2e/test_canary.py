"""What a person types is readable in no file and in no log."""

from __future__ import annotations

from pathlib import Path

from tests.e2e.running import serving

CANARY = "Zebulon Quagmire-Fitzwilliam"


def test_a_name_typed_by_a_user_is_in_no_file_under_data_and_in_no_log(tmp_path: Path) -> None:
    """Security item 42, and the promise that what is stored is unreadable without the keys."""
    data = tmp_path / "data"
    with serving(data) as server:
        for text in (f"My name is {CANARY}.", "I want to book a hotel", f"{CANARY}", "What is my balance?"):
            server.chat(text, user=CANARY, agent="frontdesk")
        session = server.chat("Who am I?", user=CANARY, agent="frontdesk")["session_id"]
        assert server.get(f"/v1/sessions/{session}")["id"] == session
        server.request("GET", f"/v1/agents/{CANARY.replace(' ', '%20')}")
        assert server.stop() == 0
    with serving(data) as server:
        said = str(server.get(f"/v1/sessions/{session}/turns"))
        assert CANARY in said
        assert server.stop() == 0
    files = [path for path in [*data.rglob("*"), data.parent / "data.log"] if path.is_file()]
    assert len(files) > 3
    for needle in (CANARY, CANARY.split()[0], CANARY.upper()):
        for encoding in ("utf-8", "utf-16-le"):
            found = [path for path in files if needle.encode(encoding) in path.read_bytes()]
            assert found == [], needle
