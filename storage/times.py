"""Times as other programs write them: text with a zone, or seconds since 1970. A time without a zone is refused."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any


class BadTime(ValueError):
    """What was given is no moment."""


def milliseconds(value: Any, *, assume_utc: bool = False) -> int:
    """Milliseconds since 1970 UTC of RFC 3339 text, or of a number of seconds. Raises BadTime.

    assume_utc: text without a zone is taken as UTC instead of being refused.
    """
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < 1e11:
        return int(value * 1000)
    if not isinstance(value, str):
        raise BadTime("has no time that can be read")
    try:
        found = datetime.fromisoformat(value)
    except ValueError:
        raise BadTime("has a time that is not written as RFC 3339") from None
    if found.tzinfo is None:
        if not assume_utc:
            raise BadTime("has a time without a zone; say --assume-utc if it is meant as UTC")
        found = found.replace(tzinfo=UTC)
    made = int(found.timestamp() * 1000)
    if made < 0:
        raise BadTime("has a time before 1970")
    return made


def day_of(at_ms: int) -> str:
    """The UTC day of a time, as day files are named."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).date().isoformat()
