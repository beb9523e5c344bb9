"""Names of places in what was said: `near London`, `from St. Gallen to Basel`, `in LA`, `around the city of Troy`."""

from __future__ import annotations

import re
from collections.abc import Sequence

Value = tuple[int, int, str, float]

_WORD = r"(?:St\.|Mt\.|Ft\.|[^\W\d_a-z][\w'’-]*)"
_NAME = rf"{_WORD}(?: (?:(?:de|la|los|las|del|of|the|am|upon|sur|di) )?{_WORD}){{0,3}}(?:, ?[A-Z]{{2}}\b)?"
_LEADS = {"from": ("from", "out of", "leaving"),
          "to": ("to", "for", "toward", "towards", "into", "visit", "visiting"),
          "": ("in and around", "in", "near", "around", "at", "within", "inside", "outside", "downtown", "about",
               "over", "via", "by", "to", "visit", "visiting")}
_UNSURE = frozenset({"by", "about", "over", "for", "at"})
"""Words that stand in front of persons and things as well."""
_ALL = sorted({lead for leads in _LEADS.values() for lead in leads}, key=lambda lead: (-len(lead), lead))
_AFTER = re.compile(
    rf"\b(?i:({'|'.join(_ALL)})\s+(?:the |a )?(?:(?:city|town|area|region|state|village) of )?)({_NAME})")
_WITH_STATE = re.compile(rf"(?<![\w])({_WORD}(?: {_WORD}){{0,2}}, ?[A-Z]{{2}})\b")
_NEVER = frozenset({
    "i", "i'm", "i'd", "i'll", "i've", "me", "my", "the", "a", "an", "it", "its", "that", "this", "there", "here",
    "monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday", "january", "february", "march",
    "april", "may", "june", "july", "august", "september", "october", "november", "december", "today", "tomorrow",
    "tonight", "morning", "afternoon", "evening", "night", "noon", "midnight", "am", "pm", "mr", "mrs", "ms", "dr"})


def place_name(text: str, way: str, taken: Sequence[tuple[int, int]], *, certain: bool) -> Value | None:
    """(start, end, name, confidence) of the first place that is written as one. `way` is `from`, `to` or empty;
    `certain` asks for words that say where something is, not merely where somebody goes."""
    for match in _AFTER.finditer(text[:2_000]):
        lead, (start, end) = match[1].lower(), match.span(2)
        free = all(end <= first or start >= last for first, last in taken)
        if free and lead in _LEADS[way] and not (certain and lead in _UNSURE) and _is_place(match[2]):
            return start, end, match[2], 0.85
    return None if way else _with_state(text, taken)


def _with_state(text: str, taken: Sequence[tuple[int, int]]) -> Value | None:
    match = _WITH_STATE.search(text[:2_000])
    if match is None or not _is_place(match[1]) or any(match.start() < last and match.end() > first
                                                       for first, last in taken):
        return None
    return match.start(1), match.end(1), match[1], 0.85


def _is_place(name: str) -> bool:
    return name.split()[0].lower().strip(".,") not in _NEVER
