"""What depends on the time of day: a session's status, and a greeting on both sides of a change to summer time."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from ruche.engine import Engine
from ruche.plugins.embedders import HashingEmbedder
from ruche.storage.model.conversation import IDLE_AFTER_MS, SessionKey, SessionState, session_status

AGENT = """
name: Hall
timezone: Europe/Berlin
greeting: "Good {{ now.part_of_day }}, it is {{ now.hour }} o'clock."
"""
BEGUN_MS = int(datetime(2026, 3, 28, 23, 30, tzinfo=UTC).timestamp() * 1000)
STATE = SessionState(id="s", key=SessionKey(tenant="t", agent="a", interlocutor="i", channel="api"),
                     created_ms=BEGUN_MS, last_activity_ms=BEGUN_MS)


@given(st.integers(min_value=0, max_value=400 * 24 * 3600 * 1000))
def test_a_session_is_idle_from_half_an_hour_of_silence_on_however_long_it_lasts(silence_ms: int) -> None:
    expected = "IDLE" if silence_ms > IDLE_AFTER_MS else "ACTIVE"
    assert session_status(STATE, BEGUN_MS + silence_ms) == expected


def test_a_change_to_summer_time_makes_nobody_idle() -> None:
    before = datetime(2026, 3, 29, 1, 50, tzinfo=ZoneInfo("Europe/Berlin"))
    after = datetime(2026, 3, 29, 3, 10, tzinfo=ZoneInfo("Europe/Berlin"))
    spoke = replace(STATE, last_activity_ms=int(before.timestamp() * 1000))
    assert session_status(spoke, int(after.timestamp() * 1000)) == "ACTIVE"


def test_closed_and_processing_come_before_the_times() -> None:
    assert session_status(replace(STATE, closed_ms=BEGUN_MS), BEGUN_MS) == "CLOSED"
    assert session_status(replace(STATE, processing_turn="t1"), BEGUN_MS + 10 * IDLE_AFTER_MS) == "PROCESSING"


@pytest.mark.anyio
@pytest.mark.parametrize(("utc", "greeting"), [
    ("2026-03-28T10:30:00+00:00", "Good morning, it is 11 o'clock."),
    ("2026-03-29T10:30:00+00:00", "Good afternoon, it is 12 o'clock."),
    ("2026-10-24T10:30:00+00:00", "Good afternoon, it is 12 o'clock."),
    ("2026-10-25T10:30:00+00:00", "Good morning, it is 11 o'clock."),
])
async def test_an_agent_greets_by_its_own_time_of_day_across_a_change_of_clocks(tmp_path: Path, utc: str,
                                                                               greeting: str) -> None:
    folder = tmp_path / "agents" / "hall"
    folder.mkdir(parents=True)
    (folder / "agent.yaml").write_text(AGENT)
    now_ms = int(datetime.fromisoformat(utc).timestamp() * 1000)
    async with Engine.open(tmp_path / "data", agents=tmp_path / "agents", embedder=HashingEmbedder(),
                           clock_ms=lambda: now_ms) as engine:
        turn = await engine.chat(agent="hall", user="visitor", message="hello")
    assert greeting in turn.reply
