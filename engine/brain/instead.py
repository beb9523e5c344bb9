"""What stands behind a no to a question of confirmation: `no, 14 Main Street` gives what is right instead."""

from __future__ import annotations

import re

from ruche.engine.brain.candidates import Candidate, Source
from ruche.engine.brain.extract import way_of
from ruche.engine.brain.fields import CompiledField
from ruche.engine.brain.identify import Identified
from ruche.engine.brain.signals import words_of
from ruche.engine.brain.words import CANCEL, CORRECTION, NO, STOPWORDS, UNSURE, YES

LIKELY = 0.6
"""Confidence of such an answer; the agent asks again whether it is right."""
MOST_WORDS = 8
_FREE = ("string", "name", "place")
_LEADING = re.compile(r"[\s,.;:!–-]+")


def instead(who: Identified, source: Source, fields: tuple[CompiledField, ...], language: str) -> tuple[Candidate, ...]:
    """The rest of the message for the free text that was said last, where it looks like nothing but a value."""
    known = [field for field in fields if field.name in who.known]
    last = max(known, key=lambda field: who.known[field.name].at_ms, default=None)
    if last is None or way_of(last) not in _FREE:
        return ()
    start = _rest(source, language)
    value = source.text[start:].strip().rstrip(".,!;")
    if not _is_value(value, language):
        return ()
    return (Candidate(field=last.name, value=value, confidence=LIKELY, start=start, end=start + len(value)),)


def _rest(source: Source, language: str) -> int:
    """Where the message goes on behind its `no, wait`."""
    code = language[:2] if language[:2] in NO else "en"
    at = 0
    while (found := re.compile(r"[^\W_]+(?:['’][^\W_]+)*").match(source.lower, at)) is not None \
            and found[0] in NO[code] | CORRECTION[code]:
        behind = _LEADING.match(source.text, found.end())
        at = behind.end() if behind else found.end()
    return at


def _is_value(text: str, language: str) -> bool:
    """A name or a number is in it, and no word of a sentence."""
    words = words_of(text.lower())
    code = language[:2] if language[:2] in NO else "en"
    said = STOPWORDS[code] | NO[code] | YES[code] | CORRECTION[code] | CANCEL[code] | UNSURE[code]
    return 0 < len(words) <= MOST_WORDS and "?" not in text and not any(word in said for word in words) and any(
        sign.isdigit() or sign.isupper() for sign in text)
