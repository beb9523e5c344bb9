"""A value that a model, a tool or a colleague gave, in the form in which its field keeps what persons say."""

from __future__ import annotations

import math
from typing import Any

from ruche.engine.brain.candidates import Place, Source, Wanted
from ruche.engine.brain.extract import extract, way_of
from ruche.engine.brain.fields import CompiledField
from ruche.engine.brain.numbers import find_numbers, plain
from ruche.engine.brain.signals import phrase, words_of

_BOOLEANS = {"true": True, "yes": True, "false": False, "no": False}


def typed_value(field: CompiledField, given: Any, place: Place) -> Any:
    """A plain value in the form in which the field keeps what persons say; None where it is of another type. `place` is
    where and on which day it is read."""
    if field.kind == "json":
        return given
    if field.kind == "boolean":
        return given if isinstance(given, bool) else None
    if isinstance(given, bool) or (isinstance(given, float) and not math.isfinite(given)):
        return None
    if field.kind == "number" and isinstance(given, int | float):
        return given
    if field.kind == "money" and isinstance(given, dict):
        return _money(given)
    return typed_text(field, str(given), str(given), place) if isinstance(given, str | int | float) else None


def _money(given: dict[str, Any]) -> dict[str, Any] | None:
    amount, currency = given.get("amount"), given.get("currency", "")
    plain = isinstance(amount, int | float) and not isinstance(amount, bool) and math.isfinite(amount)
    return {"amount": amount, "currency": currency} if plain and isinstance(currency, str) else None


def typed_text(field: CompiledField, text: str, quote: str, place: Place) -> Any:
    """Words must have been said as they are; what has a type is read by the same finders that read messages, and a
    figure may not differ from the figures in the words that it comes from."""
    way = way_of(field)
    if way == "allowed":
        return field.allowed.get(phrase(text))
    if way == "boolean":
        return _BOOLEANS.get(text.lower())
    if way in ("string", "name", "place", "pattern"):
        return text if set(words_of(text.lower())) <= set(words_of(quote.lower())) else None
    value = _read(field, text, place)
    if way in ("number", "money"):
        amount = value.get("amount") if isinstance(value, dict) else value
        said = [plain(number) for _, _, number in find_numbers(quote.lower())]
        return value if not said or amount in said else None
    said_value = _read(field, quote, place) if way in ("email", "phone") else None
    return value if said_value in (None, value) else None


def _read(field: CompiledField, text: str, place: Place) -> Any:
    source = Source(text=text, lower=text.lower(), words=words_of(text.lower()), answer="", statement=True,
                    place=place)
    candidates = extract(source, Wanted(asked=(field,)))
    return candidates[0].value if candidates else None
