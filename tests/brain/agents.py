"""Agents that several tests speak with."""

from __future__ import annotations

from typing import Any

from ruche.storage.model.bundle import AgentBundle
from tests.brain.talk import bundle

RULES: list[dict[str, Any]] = [
    {"id": "hours", "if": "the user asks when we are open or about opening hours", "then": "We are open from 9 to 17.",
     "examples": ["when do you open", "what are your opening hours"]},
    {"id": "parking", "if": "the user asks where to park the car", "then": "You can park behind the house.",
     "examples": ["where can I park", "is there parking"]},
]


def taxi(**parts: Any) -> AgentBundle:
    """Books a taxi: place, time, then a confirmed and irreversible booking."""
    return bundle(**{
        "rules": RULES,
        "fields": [
            {"name": "place", "type": "string", "scope": "CASE", "ask": "Where shall the taxi pick you up?"},
            {"name": "pickup_time", "type": "time", "scope": "CASE", "ask": "At what time?"},
        ],
        "tools": [{"id": "book", "python": "tools.py:book", "policy": "IRREVERSIBLE", "outputs": {"booking": "id"},
                   "parameters": {"type": "object", "properties": {"place": {}, "pickup_time": {}},
                                  "required": ["place", "pickup_time"]}}],
        "scenarios": [{
            "id": "taxi", "entry": "the user wants to book a taxi",
            "examples": ["I need a taxi", "book me a taxi please", "order a cab"],
            "steps": [
                {"id": "where", "collects": ["place"], "can_skip": True, "next": [{"to": "when"}]},
                {"id": "when", "collects": ["pickup_time"], "can_skip": True, "next": [{"to": "booking"}]},
                {"id": "booking", "tools": [{"tool": "book"}], "checkpoint": "the taxi is ordered",
                 "confirm": "A taxi from {{ place }} at {{ pickup_time }}, shall I book it?",
                 "say": "It is booked, your number is {{ booking }}.", "next": []},
            ]}],
        **parts})
