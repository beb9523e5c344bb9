"""Dates as people write them, in seven languages; in any other they stay as they are: `2026-01-08`."""

from __future__ import annotations

import datetime
from typing import Any

import msgspec
from jinja2 import Undefined, pass_context
from jinja2.runtime import Context

LANGUAGE = "_language"
"""Under this name a rendering finds its language; authors cannot read names with an underscore in front."""


class _Words(msgspec.Struct, frozen=True):
    """`long` takes weekday, day, month and year, `short` the day with its number of month (or `name`) and year."""

    days: tuple[str, ...]
    months: tuple[str, ...]
    long: str
    short: str
    first: str = "1"
    """The first of a month."""


def _words(days: str, months: str, long: str, short: str, first: str = "1") -> _Words:
    return _Words(tuple(days.split()), tuple(months.split()), long, short, first)


_LANGUAGES = {
    "en": _words("Monday Tuesday Wednesday Thursday Friday Saturday Sunday",
                 "January February March April May June July August September October November December",
                 "{weekday}, {day} {month} {year}", "{day} {abbreviated} {year}"),
    "de": _words("Montag Dienstag Mittwoch Donnerstag Freitag Samstag Sonntag",
                 "Januar Februar März April Mai Juni Juli August September Oktober November Dezember",
                 "{weekday}, {day}. {month} {year}", "{day}.{number}.{year}"),
    "fr": _words("lundi mardi mercredi jeudi vendredi samedi dimanche",
                 "janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
                 "{weekday} {first} {month} {year}", "{day:02}/{number:02}/{year}", "1er"),
    "es": _words("lunes martes miércoles jueves viernes sábado domingo",
                 "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre",
                 "{weekday}, {day} de {month} de {year}", "{day}/{number}/{year}"),
    "it": _words("lunedì martedì mercoledì giovedì venerdì sabato domenica",
                 "gennaio febbraio marzo aprile maggio giugno luglio agosto settembre ottobre novembre dicembre",
                 "{weekday} {first} {month} {year}", "{day}/{number}/{year}", "1º"),
    "nl": _words("maandag dinsdag woensdag donderdag vrijdag zaterdag zondag",
                 "januari februari maart april mei juni juli augustus september oktober november december",
                 "{weekday} {day} {month} {year}", "{day}-{number}-{year}"),
    "pt": _words("segunda-feira terça-feira quarta-feira quinta-feira sexta-feira sábado domingo",
                 "janeiro fevereiro março abril maio junho julho agosto setembro outubro novembro dezembro",
                 "{weekday}, {first} de {month} de {year}", "{day:02}/{number:02}/{year}", "1º"),
}


def written(value: Any, form: str, language: str) -> str:
    """A date in ISO form (`2026-01-08`, a time behind it is left out) as `long` or `short`.

    Raises ValueError or TypeError for anything else.
    """
    if form not in ("long", "short") or type(value) is not str:
        raise TypeError
    day = datetime.date.fromisoformat(value.partition("T")[0])
    words = _LANGUAGES.get(language[:2].lower())
    if words is None:
        return day.isoformat()
    month = words.months[day.month - 1]
    shape = words.long if form == "long" else words.short
    return shape.format(weekday=words.days[day.weekday()], day=day.day, first=words.first if day.day == 1 else day.day,
                        month=month, abbreviated=month[:3], number=day.month, year=day.year)


@pass_context
def date(context: Context, value: Any, form: str = "long") -> str:
    """The filter; nothing for no value."""
    if isinstance(value, Undefined):
        return str(value)
    if value is None or value == "":
        return ""
    return written(value, form, str(context.resolve(LANGUAGE) or "en"))
