"""How long a session waits for the rest of what somebody is saying (conversation specification, section 3).

Pure arithmetic on milliseconds; the session does the waiting.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from types import MappingProxyType

from ruche.storage.model.conversation import Message

CHANNEL_BASE_MS: Mapping[str, int] = MappingProxyType({
    "whatsapp": 1200, "telegram": 1000, "sms": 800, "slack": 800, "teams": 800, "web": 600,
    "email": 0, "voice": 0, "api": 0,
})
UNKNOWN_CHANNEL_MS = 800
SHORTEST_MS, LONGEST_MS = 200, 3000
LONGEST_TURN_MS = 10_000
"""However many messages and typing signals follow, a turn begins this long after its first message."""
CADENCE_KEPT, CADENCE_NEEDED = 50, 5

_GREETING = re.compile(
    r"(?:(?:hi|hello|hey|hiya|howdy|greetings|good (?:morning|afternoon|evening|day)|hallo|guten (?:tag|morgen|abend)"
    r"|bonjour|salut|bonsoir|hola|buen[oa]s (?:d[ií]as|tardes|noches)|ciao|there)[\s,!.]*)+", re.IGNORECASE)
_TRAILING = re.compile(r"(?:\.\.\.|…|[,:\-–—])\Z")
_DANGLING = re.compile(r"\b(?:order|ticket|case|id)\s*(?:number|no\.?|#)?\s*\Z", re.IGNORECASE)
_ENDING = re.compile(r"(?:[.?!]|\b(?:please|thanks|thank you))[)\"'\s]*\Z", re.IGNORECASE)


def base_ms(channel: str, bases: Mapping[str, int] = CHANNEL_BASE_MS) -> int:
    """The channel's window before anything is known of the message; 0 means that nothing is awaited."""
    return bases.get(channel, UNKNOWN_CHANNEL_MS)


def window_ms(text: str, *, base: int, messages_in_turn: int = 1, hint_ms: int = 0,
              cadence_ms: Sequence[int] = ()) -> int:
    """Milliseconds to wait after the latest message: 0, or between 200 and 3000.

    `text` is the latest message, `hint_ms` what the previous turn expects to follow, `cadence_ms` the gaps learned
    from this interlocutor (used from five on).
    """
    if base <= 0:
        return 0
    window = float(base + _shape_ms(text))
    if _ends(text):
        window = max(SHORTEST_MS, window - 300)
    if len(cadence_ms) >= CADENCE_NEEDED:
        window = 0.6 * window + 0.4 * _typical_gap(cadence_ms)
    window = (window + hint_ms) * 0.8 ** (messages_in_turn - 1)
    return round(min(max(window, SHORTEST_MS), LONGEST_MS))


def learned(cadence_ms: tuple[int, ...], messages: Sequence[Message]) -> tuple[int, ...]:
    """The cadence after a burst: the gaps between its messages appended, the last 50 kept."""
    gaps = tuple(max(0, later.at_ms - earlier.at_ms) for earlier, later in pairwise(messages))
    return (*cadence_ms, *gaps)[-CADENCE_KEPT:]


def _shape_ms(text: str) -> int:
    words = text.strip()
    if _GREETING.fullmatch(words):
        return 500
    if _TRAILING.search(words):
        return 400
    if _DANGLING.search(words):
        return 600
    return 200 if len(words.split()) < 3 and not _ends(words) else 0


def _ends(text: str) -> bool:
    words = text.rstrip()
    return _ENDING.search(words[-20:]) is not None and _TRAILING.search(words) is None


def _typical_gap(gaps: Sequence[int]) -> float:
    ordered = sorted(gaps)
    return (_quantile(ordered, 0.5) + _quantile(ordered, 0.95)) / 2


def _quantile(ordered: Sequence[int], share: float) -> float:
    """Linear between the two nearest ranks."""
    place = share * (len(ordered) - 1)
    low, high = math.floor(place), math.ceil(place)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)
