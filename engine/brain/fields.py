"""The fields an agent may know about its interlocutor, compiled once: how to recognise a value and when it is good."""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec

from ruche.engine.brain.accounts import account_fault
from ruche.engine.brain.numbers import find_numbers
from ruche.engine.brain.signals import phrase
from ruche.plugins.enforcers.automaton import Automaton
from ruche.plugins.errors import ConfigurationError
from ruche.storage.model.conversation import FieldValue
from ruche.storage.model.field import InterlocutorField

_GENERIC = frozenset({"number", "count", "amount", "size", "total", "id", "of", "the", "a", "in", "code"})
MAX_TEXT = 500
"""Characters of a value that came from a conversation."""


class CompiledField(msgspec.Struct, frozen=True, kw_only=True):
    """One field with its pattern, its allowed values and the words that announce it."""

    spec: InterlocutorField
    pattern: Automaton | None
    """The author's pattern for the whole value; linear in its length, whatever was written."""
    allowed: dict[str, str]
    """Comparable form to the value as the author wrote it, in the author's order; what a name is called for short
    comes after the names."""
    label: str
    """The name as words: `check in date`."""
    cues: frozenset[str]
    """Words beside a number that make it this field's value."""
    cues_before: frozenset[str]
    cues_after: frozenset[str]
    """Those that do so on the side where they stand in the author's examples."""
    kept: bool
    """True when the value belongs to the person's profile, False when to the session."""
    person: bool
    """True when the field holds a person's name."""
    place: bool = False
    """True when it holds the name of a place."""
    way: str = ""
    """`from` or `to` where the place is a beginning or an end of a way."""

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def kind(self) -> str:
        return self.spec.type


def compile_field(spec: InterlocutorField) -> CompiledField:
    """Raises ConfigurationError when the pattern does not compile."""
    try:
        pattern = Automaton(f"^(?:{spec.pattern})$") if spec.pattern else None
    except ConfigurationError as error:
        raise ConfigurationError(f"field {spec.name}: {error.message}") from None
    words = spec.name.split("_")
    before, after = _example_cues(spec)
    return CompiledField(
        spec=spec, pattern=pattern, allowed=_allowed(spec.allowed), label=" ".join(words),
        cues=_cues(spec, words), cues_before=before, cues_after=after,
        kept=spec.persist and spec.scope in ("IDENTITY", "BUSINESS"), person=_is_person(words),
        place=_is_place(spec, words), way=_way(words))


_PLACES = frozenset({"city", "town", "location", "area", "place", "destination", "origin", "region", "country",
                     "station", "airport", "departure", "arrival", "venue"})
_THINGS = frozenset({"event", "movie", "film", "song", "hotel", "restaurant", "product", "album", "car", "property",
                     "attraction", "place", "show", "item", "company", "service", "file", "brand", "artist", "station",
                     "airport", "venue", "street", "user"})


def _is_person(words: list[str]) -> bool:
    """`name`, `first_name`, `guest_name`: a person's, unless it says whose else."""
    return "name" in words and not _THINGS & set(words)


def _is_place(spec: InterlocutorField, words: list[str]) -> bool:
    return spec.type == "string" and bool(_PLACES & set(words)) and not {"name", "address", "type"} & set(words)


def _way(words: list[str]) -> str:
    found = set(words)
    if {"from", "origin", "departure", "pickup", "leaving", "source", "start"} & found:
        return "from"
    return "to" if {"to", "destination", "arrival", "dropoff", "arriving", "end"} & found else ""


def _allowed(values: tuple[str, ...]) -> dict[str, str]:
    found = {phrase(value): value for value in values}
    joined = {form: value for key, value in found.items() if "-" in key
              for form in (key.replace("-", ""), key.replace("-", " ")) if form not in found}
    return {**found, **joined, **_short_names(found)}


def _short_names(names: dict[str, str]) -> dict[str, str]:
    """`the Hyatt` for `Hyatt Hotel`: a proper name without the words at its ends that other values share."""
    shared = Counter(word for name in names for word in set(name.split()))
    short: dict[str, str] = {}
    for name, value in names.items():
        words = name.split()
        own = [place for place, word in enumerate(words) if shared[word] == 1]
        if own and value.istitle() and len(own) < len(words) and own[-1] - own[0] == len(own) - 1:
            short[" ".join(words[own[0]:own[-1] + 1])] = value
    return {name: value for name, value in short.items() if len(name) >= 4 and name not in names}


def _cues(spec: InterlocutorField, words: list[str]) -> frozenset[str]:
    if spec.type != "number":
        return frozenset()
    cues = {word for word in words if word not in _GENERIC}
    cues |= {word for word in spec.description.lower().split() if len(word) > 3 and word.endswith("s")} - _GENERIC
    return frozenset(cues | {word[:-1] for word in cues if word.endswith("s")} | {f"{word}s" for word in cues})


def _example_cues(spec: InterlocutorField) -> tuple[frozenset[str], frozenset[str]]:
    """(words before the numbers of its examples, words behind them)"""
    before, after = set[str](), set[str]()
    for lower in (example.lower() for example in spec.examples if spec.type == "number"):
        for start, end, _ in find_numbers(lower):
            before.update(word.strip(".,!?") for word in lower[:start].split()[-1:])
            after.update(word.strip(".,!?") for word in lower[end:].split()[:1])
    return frozenset(before), frozenset(after)


def told(value: FieldValue | None) -> bool:
    """True for what the person or another person said; what a tool supplied may be said otherwise at any time."""
    return value is not None and value.source != "tool_result"


def matches(pattern: Automaton, text: str) -> bool:
    """True when the whole text is what the author's pattern describes."""
    return pattern.search(text) == len(text)


def fault_of(field: CompiledField, value: Any) -> str:
    """Why `value` may not be kept; empty when it may."""
    spec = field.spec
    if isinstance(value, str) and len(value) > MAX_TEXT:
        return f"longer than {MAX_TEXT} characters"
    if field.pattern is not None and isinstance(value, str) and not matches(field.pattern, value):
        return "does not match the pattern"
    if spec.allowed and str(value) not in spec.allowed:
        return "is not one of the allowed values"
    return account_fault(field.kind, value) or _out_of_bounds(spec, value)


def _out_of_bounds(spec: InterlocutorField, value: Any) -> str:
    number = value.get("amount") if isinstance(value, dict) else value
    if isinstance(number, bool) or not isinstance(number, int | float):
        return ""
    if spec.minimum is not None and number < spec.minimum:
        return f"is below {spec.minimum:g}"
    if spec.maximum is not None and number > spec.maximum:
        return f"is above {spec.maximum:g}"
    return ""
