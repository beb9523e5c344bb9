"""A value that a model or a tool gave as text, in the form in which its field keeps what persons say."""

from __future__ import annotations

from typing import Any

from ruche.engine.brain.extract import Source, Wanted, extract, way_of
from ruche.engine.brain.fields import CompiledField
from ruche.engine.brain.identify import Identified
from ruche.engine.brain.numbers import find_numbers, plain
from ruche.engine.brain.signals import phrase, words_of

_BOOLEANS = {"true": True, "yes": True, "false": False, "no": False}


def typed_text(who: Identified, field: CompiledField, text: str, quote: str) -> Any:
    """Words must have been said as they are; what has a type is read by the same finders that read messages, and a
    figure may not differ from the figures in the words that it comes from."""
    way = way_of(field)
    if way == "allowed":
        return field.allowed.get(phrase(text))
    if way == "boolean":
        return _BOOLEANS.get(text.lower())
    if way in ("string", "name", "place", "pattern"):
        return text if set(words_of(text.lower())) <= set(words_of(quote.lower())) else None
    value = _read(who, field, text)
    if way in ("number", "money"):
        amount = value.get("amount") if isinstance(value, dict) else value
        said = [plain(number) for _, _, number in find_numbers(quote.lower())]
        return value if not said or amount in said else None
    said_value = _read(who, field, quote) if way in ("email", "phone") else None
    return value if said_value in (None, value) else None


def _read(who: Identified, field: CompiledField, text: str) -> Any:
    source = Source(text=text, lower=text.lower(), words=words_of(text.lower()), answer="", statement=True,
                    place=who.agent.place(who.local.date()))
    candidates = extract(source, Wanted(asked=(field,)))
    return candidates[0].value if candidates else None
