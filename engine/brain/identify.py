"""Phase 1: who speaks, in which session, at what time, and what is known of them at the start of the turn."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec

from ruche.engine.brain.compiled import CompiledAgent
from ruche.plugins.contracts import Recalled, TurnInput
from ruche.plugins.tape import Tape
from ruche.storage.model.conversation import FieldValue, ScenarioInstance


class Identified(msgspec.Struct, frozen=True, kw_only=True):
    """The turn's fixed points. `number` counts the session's turns from 0."""

    turn: TurnInput
    agent: CompiledAgent
    now_ms: int
    local: datetime
    """The same moment in the agent's time zone."""
    number: int
    text: str
    """The messages, joined by line breaks."""
    known: dict[str, FieldValue]
    """What is known and still valid, of the person and of the session."""
    instances: tuple[ScenarioInstance, ...]
    """Scenarios in progress, the one spoken of last first."""
    recalled: Recalled | None = None
    """What of earlier conversations bears on the message; None where the agent does not remember."""
    orders: bool = False
    """The message reads like orders to the agent, or a screen fails it, so that no model is shown it."""
    withheld: frozenset[str] = frozenset()
    """Texts of the message, of what was said before and of memories that the author's screens fail."""


def identify(turn: TurnInput, agent: CompiledAgent, tape: Tape) -> Identified:
    """One reading of the clock serves the whole turn."""
    now = tape.now_ms()
    session = turn.session
    messages = turn.messages
    return Identified(
        turn=turn, agent=agent, now_ms=now,
        local=datetime.fromtimestamp(now // 1000, UTC).astimezone(agent.zone), number=session.turn_count,
        text=messages[0].text if len(messages) == 1 else "\n".join(message.text for message in messages),
        known=_valid(agent, turn.profile.fields, now) | _valid(agent, session.fields, now),
        instances=tuple(sorted((one for one in session.scenarios if one.status in ("active", "paused")), key=_recency)))


def _recency(one: ScenarioInstance) -> tuple[bool, int, int, str]:
    return one.status != "active", -one.last_turn, -one.started_turn, one.scenario


def _valid(agent: CompiledAgent, values: dict[str, FieldValue], now: int) -> dict[str, FieldValue]:
    """Values of fields that this agent declares and that have not expired."""
    return {name: value for name, value in values.items()
            if name in agent.fields and (value.expires_ms is None or value.expires_ms > now)}


def clock_names(local: datetime) -> dict[str, Any]:
    """What texts and expressions may say about the time: `now.hour`, `now.part_of_day`, ..."""
    hour = local.hour
    part = next((name for first, name in _PARTS if hour >= first), "evening")
    return {"hour": hour, "minute": local.minute, "weekday": _DAYS[local.weekday()], "part_of_day": part,
            "date": f"{local.year:04d}-{local.month:02d}-{local.day:02d}", "time": f"{hour:02d}:{local.minute:02d}"}


_PARTS = ((18, "evening"), (12, "afternoon"), (4, "morning"))
"""First hours. After midnight it is still evening: nobody is greeted with a good night."""
_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
