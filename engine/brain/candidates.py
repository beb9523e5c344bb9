"""What finders of values are given and give back: a message, the fields it may fill, and values for them."""

from __future__ import annotations

from datetime import date
from typing import Any

import msgspec

from ruche.engine.brain.fields import CompiledField


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where and when a message is read: dates and telephone numbers depend on it."""

    today: date
    month_first: bool = False
    region: str = "US"


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """A value that a message offers for a field. `start` and `end` are offsets in the message."""

    field: str
    value: Any
    confidence: float
    start: int
    end: int
    by_model: bool = False
    """True when a model read it out of the message."""


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which fields a message may fill, most expected first."""

    asked: tuple[CompiledField, ...] = ()
    """The agent asked for these in its last reply."""
    open: tuple[CompiledField, ...] = ()
    """A scenario in progress collects these."""
    others: tuple[CompiledField, ...] = ()
    """Any other unknown field of the agent."""


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """A message as finders read it."""

    text: str
    lower: str
    words: tuple[str, ...]
    answer: str
    """`yes`, `no` or empty."""
    statement: bool
    """False when the message is a question, a signal or a greeting: then it is nobody's free text."""
    place: Place
