"""Dates as people write them, relative to a given day: digits, month names, weekdays, `in two weeks`.

Without a year the next such day is meant. `3/5` is read month first in American time zones, day first elsewhere.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Iterable, Sequence
from datetime import date, timedelta

from ruche.engine.brain.numbers import NUMBER, read

_MONTHS = {
    1: "january jan janvier januar enero gennaio januari janeiro",
    2: "february feb février fevrier februar febrero febbraio februari fevereiro",
    3: "march mar mars märz maerz marzo maart março",
    4: "april apr avril abril aprile",
    5: "may mai mayo maggio mei maio",
    6: "june jun juin juni junio giugno junho",
    7: "july jul juillet juli julio luglio julho",
    8: "august aug août aout agosto augustus",
    9: "september sep sept septembre septiembre settembre setembro",
    10: "october oct octobre oktober octubre ottobre outubro",
    11: "november nov novembre noviembre",
    12: "december dec décembre decembre dezember diciembre dicembre dezembro",
}
_WEEKDAYS = {
    0: "monday mon lundi montag lunes lunedì maandag", 1: "tuesday tue tues mardi dienstag martes martedì dinsdag",
    2: "wednesday wed mercredi mittwoch miércoles mercoledì woensdag",
    3: "thursday thu thur thurs jeudi donnerstag jueves giovedì donderdag",
    4: "friday fri vendredi freitag viernes venerdì vrijdag", 5: "saturday sat samedi samstag sábado sabato zaterdag",
    6: "sunday sun dimanche sonntag domingo domenica zondag",
}
_MONTH = {word: number for number, words in _MONTHS.items() for word in words.split()}
_WEEKDAY = {word: number for number, words in _WEEKDAYS.items() for word in words.split()}
_RELATIVE = {
    "the day after tomorrow": 2, "day after tomorrow": 2, "the day before yesterday": -2, "today": 0, "tonight": 0,
    "tomorrow": 1, "yesterday": -1, "après-demain": 2, "aujourd'hui": 0, "demain": 1, "hier": -1, "übermorgen": 2,
    "heute": 0, "morgen": 1, "gestern": -1, "pasado mañana": 2, "hoy": 0, "ayer": -1, "oggi": 0, "domani": 1,
    "vandaag": 0,
}


def any_of(words: Iterable[str]) -> str:
    """Source of a pattern that matches any of them, the longest first."""
    return "|".join(sorted(map(re.escape, words), key=lambda word: (-len(word), word)))


_NAME = any_of(_MONTH)
_UNIT = r"(?P<unit>day|week|fortnight|month|year)s?"
_ISO = re.compile(r"(?<!\d)(\d{4})-(\d{1,2})-(\d{1,2})(?!\d)")
_NUMERIC = re.compile(r"(?<![\d./-])(\d{1,2})([./-])(\d{1,2})(?:\2(\d{4}|\d{2}))?(?![\d./-]*\d)")
_DAY_FIRST = re.compile(rf"(?<!\w)(\d{{1,2}})(?:st|nd|rd|th|er|\.|º)?(?: +of| +de)? +({_NAME})\.?"
                        r"(?:,? +(?:de +)?(\d{4}))?(?!\w)")
_MONTH_FIRST = re.compile(rf"(?<!\w)({_NAME})\.? +(?:the +)?(\d{{1,2}})(?:st|nd|rd|th)?(?:,? +(\d{{4}}))?(?!\w)")
_NAMED = re.compile(rf"(?<!\w)({any_of(_RELATIVE)})(?!\w)")
_WEEKDAY_NAME = re.compile(rf"(?<!\w)(?:(?P<which>next|this|last|coming) +)?(?P<day>{any_of(_WEEKDAY)})(?!\w)")
_WEEKDAY_AFTER = re.compile(rf"(?<!\w)(?:(?P<day>{any_of(_WEEKDAY)}) +(?:of +)?next week|next week +(?:on +)?"
                            rf"(?P<late>{any_of(_WEEKDAY)}))(?!\w)")
_IN = re.compile(rf"(?<!\w)in +(?P<count>{NUMBER}|an?) +{_UNIT}(?!\w)")
_AGO = re.compile(rf"(?<!\w)(?P<count>{NUMBER}|an?) +{_UNIT} +ago(?!\w)")
_NEXT = re.compile(rf"(?<!\w)(?P<which>next|last) +{_UNIT}(?!\w)")
_TO = r"\s*(?:to|until|till|through|thru|bis|au|al|-|–)\s*(?:the +)?"
_LATER = re.compile(rf"{_TO}(\d{{1,2}})(?:st|nd|rd|th)?(?![\w:]|[./-]\d)")
_ORDINALS = re.compile(rf"(?<!\w)(\d{{1,2}})(?:st|nd|rd|th){_TO}(\d{{1,2}})(?:st|nd|rd|th)(?!\w)")
_DAY_ONLY = re.compile(r"(?<!\w)the +(\d{1,2})(?:st|nd|rd|th)(?!\w)")

Span = tuple[int, int, str]


def find_dates(text: str, today: date, *, month_first: bool) -> list[Span]:
    """(start, end, `YYYY-MM-DD`) of every date in lower-case `text`, in order, without overlaps."""
    found: list[tuple[int, int, date | None]] = []
    found += [(m.start(), m.end(), _day(int(m[1]), int(m[2]), int(m[3]))) for m in _ISO.finditer(text)]
    found += [(m.start(), m.end(), _numeric(m, today, month_first)) for m in _NUMERIC.finditer(text)]
    found += [(m.start(), m.end(), _dated(m[3], _MONTH[m[2]], m[1], today)) for m in _DAY_FIRST.finditer(text)]
    found += [(m.start(), m.end(), _dated(m[3], _MONTH[m[1]], m[2], today)) for m in _MONTH_FIRST.finditer(text)]
    found += [(m.start(), m.end(), today + timedelta(_RELATIVE[m[1]])) for m in _NAMED.finditer(text)]
    found += [(m.start(), m.end(), _weekday(m, today)) for m in _WEEKDAY_NAME.finditer(text)]
    found += [(m.start(), m.end(), _of_next_week(m, today)) for m in _WEEKDAY_AFTER.finditer(text)]
    found += [(m.start(), m.end(), _shift(today, _count(m["count"]), m["unit"])) for m in _IN.finditer(text)]
    found += [(m.start(), m.end(), _shift(today, -_count(m["count"]), m["unit"])) for m in _AGO.finditer(text)]
    found += [(m.start(), m.end(), _shift(today, 1 if m["which"] == "next" else -1, m["unit"]))
              for m in _NEXT.finditer(text)]
    full = [(start, end, day) for start, end, day in found if day is not None]
    ranges = [span for one in full for span in _until(text, one)]
    bare = [span for match in _ORDINALS.finditer(text) for span in _ordinals(match, today)]
    single = [(m.start(), m.end(), _coming(int(m[1]), today)) for m in _DAY_ONLY.finditer(text)]
    kept: list[Span] = []
    for group in (full, ranges, bare, single):  # a day alone counts only where no fuller date claims it
        kept = apart([(start, end, day.isoformat()) for start, end, day in group if day is not None], kept)
    return kept


def apart(found: list[Span], before: Sequence[Span] = ()) -> list[Span]:
    """In order; what was found before stays, and of overlapping finds the longer one."""
    kept = list(before)
    for start, end, value in sorted(found, key=lambda span: (span[0] - span[1], span[0], span[2])):
        if all(end <= other[0] or start >= other[1] for other in kept):
            kept.append((start, end, value))
    return sorted(kept)


def _day(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except ValueError:
        return None


def _numeric(match: re.Match[str], today: date, month_first: bool) -> date | None:
    first, separator, second = int(match[1]), match[2], int(match[3])
    if separator != "/" and match[4] is None:
        return None  # 2.5 and 3-4 are numbers and ranges
    american = separator == "/" and month_first
    month, day = (first, second) if (american and first <= 12) or second > 12 else (second, first)
    return _dated(match[4], month, str(day), today)


def _dated(year: str | None, month: int, day: str, today: date) -> date | None:
    if year is not None:
        return _day(int(year) + (2000 if len(year) == 2 else 0), month, int(day))
    for candidate in range(today.year, today.year + 9):  # 29 February may be years away
        found = _day(candidate, month, int(day))
        if found is not None and found >= today:
            return found
    return None


def _weekday(match: re.Match[str], today: date) -> date:
    ahead = (_WEEKDAY[match["day"]] - today.weekday()) % 7
    if match["which"] == "last":
        return today + timedelta(ahead - 7)
    if match["which"] == "next":
        return today + timedelta(ahead or 7)
    return today + timedelta(ahead)


def _of_next_week(match: re.Match[str], today: date) -> date:
    """The weekday of the week that begins on the coming Monday."""
    return today + timedelta(7 - today.weekday() + _WEEKDAY[match["day"] or match["late"]])


def _count(text: str) -> int:
    return 1 if text in ("a", "an") else whole(text)


def whole(text: str) -> int:
    """A whole number in figures or words, -1 where it is none that dates and times are made of."""
    value = read(text)
    return int(value) if value is not None and abs(value) < 10_000 else -1


def _shift(today: date, count: int, unit: str) -> date | None:
    if abs(count) > 1_200:
        return None
    days = {"day": 1, "week": 7, "fortnight": 14}.get(unit)
    if days is not None:
        return today + timedelta(days * count)
    month = today.year * 12 + today.month - 1 + count * (12 if unit == "year" else 1)
    year, month = divmod(month, 12)
    if not 1 <= year <= 9999:
        return None
    return date(year, month + 1, min(today.day, calendar.monthrange(year, month + 1)[1]))


def _ordinals(match: re.Match[str], today: date) -> list[tuple[int, int, date | None]]:
    """`15th-24th`: both days."""
    first = _coming(int(match[1]), today)
    second = _coming(int(match[2]), first) if first else None
    return [(match.start(), match.end(1) + 2, first), (match.start(2), match.end(), second)]


def _until(text: str, begin: tuple[int, int, date]) -> list[tuple[int, int, date | None]]:
    """`may 10th to 26th`: the second day, on or after the first."""
    match = _LATER.match(text, begin[1])
    return [(match.start(1), match.end(), _coming(int(match[1]), begin[2]))] if match else []


def _coming(day: int, today: date) -> date | None:
    for offset in range(12):
        start = _shift(today.replace(day=1), offset, "month")
        found = _day(start.year, start.month, day) if start else None
        if found is not None and found >= today:
            return found
    return None
