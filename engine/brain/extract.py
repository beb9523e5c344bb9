"""Finds values for fields in what was said, by type: nothing is guessed, and no character serves two fields.

A field that was just asked for takes what is unmistakable and what is merely likely; any other field takes only what
its type makes unmistakable.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from ruche.engine.brain.accounts import account_numbers
from ruche.engine.brain.candidates import Candidate, Source, Wanted
from ruche.engine.brain.dates import find_dates
from ruche.engine.brain.fields import CompiledField, matches
from ruche.engine.brain.numbers import find_numbers, plain
from ruche.engine.brain.phones import LONG_NUMBER, find_phones
from ruche.engine.brain.places import place_name
from ruche.engine.brain.spelling import close
from ruche.engine.brain.strings import free_text, person_name
from ruche.engine.brain.times import bare_hour, find_times

Value = tuple[int, int, Any, float]
"""(start, end, value, confidence)"""

_EMAIL = re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.)+[A-Za-z]{2,24}(?![\w-])")
_CURRENCIES = {
    "$": "USD", "€": "EUR", "£": "GBP", "¥": "JPY", "₹": "INR", "usd": "USD", "eur": "EUR", "gbp": "GBP", "chf": "CHF",
    "jpy": "JPY", "inr": "INR", "cad": "CAD", "aud": "AUD", "sek": "SEK", "nok": "NOK", "dkk": "DKK", "pln": "PLN",
    "dollar": "USD", "dollars": "USD", "bucks": "USD", "euro": "EUR", "euros": "EUR", "pound": "GBP", "pounds": "GBP",
    "quid": "GBP", "yen": "JPY", "rupees": "INR", "franken": "CHF", "francs": "CHF",
}
_UNIT = "|".join(sorted(map(re.escape, _CURRENCIES), key=lambda unit: (-len(unit), unit)))
_POINTS = re.compile(r"\b(?:that|this|which|the|another|any|no|other|first|last|each|every|next|either|neither) one$")
"""A `one` that points to something instead of counting."""
_BEFORE = re.compile(rf"(?<!\w)({_UNIT})\s*$")
_AFTER = re.compile(rf"^\s*({_UNIT})(?!\w)")
_ORDER = ("iban", "card",
          "email", "pattern", "money", "name", "date", "time", "phone", "allowed", "number", "boolean", "place",
          "string")


def extract(source: Source, wanted: Wanted) -> tuple[Candidate, ...]:
    """The candidates, in the order in which their fields were wanted and then of the message."""
    groups = _by_way(wanted)
    asked = {way_of(field) for field in wanted.asked}
    taken: list[tuple[int, int]] = []
    found: list[Candidate] = []
    if any(way in groups and (groups[way].asked or groups[way].open) for way in ("date", "time")):
        asked.discard("number")  # `at seven` is no room number
    for way in sorted(groups, key=lambda name: (name not in asked, _ORDER.index(name))):
        for field, (start, end, value, confidence) in _FINDERS[way](source, groups[way], taken):
            taken.append((start, end))
            found.append(Candidate(field=field.name, value=value, confidence=confidence, start=start, end=end))
    return tuple(found)


def way_of(field: CompiledField) -> str:
    """The finder that serves a field."""
    if field.allowed:
        return "allowed"
    if field.kind == "string":
        return "pattern" if field.pattern is not None else "name" if field.person else "place" if field.place else \
            "string"
    return field.kind


def _by_way(wanted: Wanted) -> dict[str, Wanted]:
    ways: dict[str, tuple[list[CompiledField], list[CompiledField], list[CompiledField]]] = {}
    for position, fields in enumerate((wanted.asked, wanted.open, wanted.others)):
        for field in fields:
            way = way_of(field)
            if way != "json":
                ways.setdefault(way, ([], [], []))[position].append(field)
    return {way: Wanted(asked=tuple(asked), open=tuple(opened), others=tuple(others))
            for way, (asked, opened, others) in ways.items()}


Found = Iterator[tuple[CompiledField, Value]]
Taken = Sequence[tuple[int, int]]


def _share(values: list[Value], wanted: Wanted, taken: Taken) -> Found:
    """Values in the order of the message to fields in the order wanted; a leftover only where it is unmistakable."""
    free = [value for value in values if all(value[1] <= start or value[0] >= end for start, end in taken)]
    expected = [*wanted.asked, *wanted.open]
    yield from zip(expected, free, strict=False)
    rest = free[len(expected):]
    if rest and len(wanted.others) in (1, len(rest)):
        yield from zip(wanted.others, rest, strict=False)


def _typed(find: Callable[[Source], list[Value]]) -> Callable[[Source, Wanted, Taken], Found]:
    def finder(source: Source, wanted: Wanted, taken: Taken) -> Found:
        return _share(find(source), wanted, taken)
    return finder


def _emails(source: Source) -> list[Value]:
    if "@" not in source.text:
        return []
    return [(m.start(), m.end(), _mailbox(m[0]), 1.0) for m in _EMAIL.finditer(source.text)]


def _mailbox(text: str) -> str:
    local, _, domain = text.strip(".").rpartition("@")
    return f"{local}@{domain.lower()}"


def _accounts(kind: str) -> Callable[[Source, Wanted, Taken], Found]:
    def finder(source: Source, wanted: Wanted, taken: Taken) -> Found:
        return _share(list(account_numbers(source.text, kind, asked=bool(wanted.asked))), wanted, taken)
    return finder


def _dates(source: Source) -> list[Value]:
    spans = find_dates(source.lower, source.place.today, month_first=source.place.month_first)
    return [(start, end, day, 1.0) for start, end, day in spans]


def _times(source: Source, wanted: Wanted, taken: Taken) -> Found:
    spans: list[Value] = [(start, end, moment, 1.0) for start, end, moment in find_times(source.lower)]
    if not spans and wanted.asked:
        hours = [(start, end, bare_hour(source.lower[start:end])) for start, end, _ in find_numbers(source.lower)]
        spans = [(start, end, hour, 0.7) for start, end, hour in hours if hour]
    return _share(spans, wanted, taken)


def _phones(source: Source, wanted: Wanted, taken: Taken) -> Found:
    spans = find_phones(source.text, source.place.region, asked=bool(wanted.asked))
    return _share([(start, end, number, sure) for start, end, number, sure in spans], wanted, taken)


def _money(source: Source, wanted: Wanted, taken: Taken) -> Found:
    values: list[Value] = []
    for start, end, amount in find_numbers(source.lower):
        before = _BEFORE.search(source.lower[max(0, start - 20):start])
        after = None if before else _AFTER.search(source.lower[end:end + 20])
        unit = before or after
        if unit is not None:
            first, last = start - (len(unit[0]) if before else 0), end + (unit.end() if after else 0)
            values.append((first, last, {"amount": plain(amount), "currency": _CURRENCIES[unit[1]]}, 1.0))
        elif wanted.asked:
            values.append((start, end, {"amount": plain(amount), "currency": ""}, 0.7))
    return _share(values, wanted, taken)


def _numbers(source: Source, wanted: Wanted, taken: Taken) -> Found:
    values: list[Value] = [(start, end, plain(number), 0.9) for start, end, number in find_numbers(source.lower)
                           if not _POINTS.search(source.lower[max(0, start - 12):end])]
    free = [value for value in values if all(value[1] <= start or value[0] >= end for start, end in taken)]
    cued = list(_cued(source, free, (*wanted.asked, *wanted.open, *wanted.others)))
    yield from cued
    named, used = {field.name for field, _ in cued}, [value for _, value in cued]
    left = [value for value in free if value not in used]
    yield from zip([field for field in wanted.asked if field.name not in named], left, strict=False)


def _cued(source: Source, values: list[Value], fields: tuple[CompiledField, ...]) -> Found:
    done: set[str] = set()
    for value in values:
        before, after = _beside(source.lower, value[0], value[1])
        field = next((item for item in fields if item.name not in done and (
            before in item.cues or after in item.cues or before in item.cues_before or after in item.cues_after)), None)
        if field is not None:
            done.add(field.name)
            yield field, value


def _beside(lower: str, start: int, end: int) -> tuple[str, str]:
    """(the word before, the word behind)"""
    before, after = lower[max(0, start - 40):start].split()[-1:], lower[end:end + 40].split()[:1]
    return "".join(before).strip(".,!?;:"), "".join(after).strip(".,!?;:")


def _allowed(source: Source, wanted: Wanted, taken: Taken) -> Found:
    spans = list(taken)
    for field, loose in [*((f, True) for f in wanted.asked), *((f, False) for f in (*wanted.open, *wanted.others))]:
        value = close(source.lower, field.allowed, spans, loose=loose)
        if value is not None:
            spans.append((value[0], value[1]))
            yield field, value


def _patterns(source: Source, wanted: Wanted, taken: Taken) -> Found:
    used = list(taken)
    for field in (*wanted.asked, *wanted.open, *wanted.others):
        value = _matching(source.text, field, used, asked=field in wanted.asked)
        if value is not None and not _part(source, value):
            used.append((value[0], value[1]))
            yield field, value


def _part(source: Source, value: Value) -> bool:
    """True for a piece of a date or of a longer number: the year of a birthday is no code of four figures."""
    start, end, piece, _ = value
    if not piece.isdigit():
        return False
    dates = find_dates(source.lower, source.place.today, month_first=source.place.month_first)
    numbers = ((match.start(), match.end()) for match in LONG_NUMBER.finditer(source.text))
    return any(first <= start and end <= last and last - first > end - start
               for first, last in (*(span[:2] for span in dates), *numbers))


def _matching(text: str, field: CompiledField, used: Taken, *, asked: bool) -> Value | None:
    """A word (or, when asked, the whole message) that the pattern matches; unasked it must hold a digit."""
    words = [(m.start(), m.end()) for m in re.finditer(r"\S+", text[:2_000])]
    whole = [_trimmed(text[:200], 0, min(len(text), 200))] if asked else []
    pieces = [*whole, *(piece for start, end in words for piece in _forms(text, start, end))]
    for start, end in pieces:
        piece = text[start:end]
        if len(piece) > 100 or any(start < last and end > first for first, last in used):
            continue
        if field.pattern is not None and matches(field.pattern, piece) and (asked or _has_digit(piece)):
            return start, end, piece, 1.0 if asked else 0.9
    return None


def _forms(text: str, start: int, end: int) -> tuple[tuple[int, int], ...]:
    """A word without what may stand around it; a pattern may want the sign in front (`#A12`)."""
    first, last = _trimmed(text, start, end)
    return ((first, last),) if first == start else ((start, last), (first, last))


def _trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    while end > start and text[end - 1] in ".,!?;: \"')":
        end -= 1
    while start < end and text[start] in " \"'(#":
        start += 1
    return start, end


def _has_digit(text: str) -> bool:
    return any(sign.isdigit() for sign in text)


def _booleans(source: Source, wanted: Wanted, taken: Taken) -> Found:
    if wanted.asked and source.answer:
        yield wanted.asked[0], (0, 0, source.answer == "yes", 0.9)


def _names(source: Source, wanted: Wanted, taken: Taken) -> Found:
    """A person's name. What only hints at one is not taken to replace a name that is known."""
    found = person_name(source.text, asked=bool(wanted.asked) and source.statement,
                        hinted=bool(wanted.asked or wanted.open))
    if found is not None:
        yield from _named([*wanted.asked, *wanted.open, *wanted.others], found)


def _places(source: Source, wanted: Wanted, taken: Taken) -> Found:
    """Places by the words in front of them; the whole short message where one was asked for."""
    used = list(taken)
    for field in (*wanted.asked, *wanted.open):
        asked = field in wanted.asked
        value = place_name(source.text, field.way, used, certain=not asked)
        if value is None and field in wanted.asked[:1] and source.statement and not taken:
            value = free_text(source.text, field.label)
        if value is not None and (asked or value[3] > 0.7):
            used.append((value[0], value[1]))
            yield field, value


def _strings(source: Source, wanted: Wanted, taken: Taken) -> Found:
    if wanted.asked and source.statement and not taken:
        value = free_text(source.text, wanted.asked[0].label)
        if value is not None:
            yield wanted.asked[0], value


def _named(fields: list[CompiledField], value: Value) -> Found:
    """A full name to one field, or its halves to a first and a last name."""
    start, end, name, confidence = value
    first = next((field for field in fields if "first" in field.label or "given" in field.label), None)
    last = next((field for field in fields if "last" in field.label or "family" in field.label), None)
    if first is None or last is None or " " not in name:
        yield fields[0], value
        return
    given, _, family = name.partition(" ")
    yield first, (start, end, given, confidence)
    yield last, (start, end, family, confidence)


_FINDERS: dict[str, Callable[[Source, Wanted, Taken], Found]] = {
    "iban": _accounts("iban"), "card": _accounts("card"),
    "email": _typed(_emails), "pattern": _patterns, "money": _money, "date": _typed(_dates), "time": _times,
    "phone": _phones, "allowed": _allowed, "name": _names, "number": _numbers, "boolean": _booleans,
    "place": _places, "string": _strings,
}
