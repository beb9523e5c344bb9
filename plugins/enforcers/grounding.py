"""Figures and names in a reply must occur in what the agent was given: `{use: grounding}`.

Given are the author's texts and knowledge, what is known of the person, variables, and what tools gave back in this
turn; what the person said in the message is not. No model is asked: a figure is found however it is written, a name
where the language shows it by a capital letter inside a sentence.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

from ruche.plugins.contracts import Draft, Verdict
from ruche.plugins.enforcers.names import currency, is_percent
from ruche.plugins.enforcers.numerals import Number, numbers
from ruche.plugins.enforcers.options import read_options, text_list
from ruche.plugins.enforcers.reading import legible, plain, readings
from ruche.plugins.errors import ConfigurationError
from ruche.plugins.sentences import sentences
from ruche.storage.model.rule import Rule

_CHECKS = ("figures", "names")
_SMALL = 12
"""Numbers in words up to this one need no source unless they are money or percent: `one moment`, `two ways`."""
_LONG = 5
"""From so many digits on a figure may be written in groups: `+49 30 1234567`."""
_DATE = re.compile(r"(?<!\d)(\d{4})-(\d{2})-(\d{2})(?!\d)")
_MOMENT = re.compile(r"(?<!\d)\d{4}-\d{2}-\d{2}(?!\d)|(?<!\d)\d{1,2}:\d{2}(?::\d{2})?")
_DIGITS = re.compile(r"\d+")
_RUN = re.compile(r"\d(?:[ ()./\u2010-\u2013-]{0,2}\d)+")
_AMBIGUOUS = re.compile(r"(\d{1,3})[.,](\d{3})")
_DATE_LIKE = re.compile(r"\d{1,2}([./])\d{1,2}\1(?:\d{4}|\d{2})|\d{1,2}\.\d{2}")
_MARKER = re.compile(r"\s*\d{1,2}[.)]\s")
_TOKEN = re.compile(r"[^\W\d_](?:[\w’'-]*\w)?")
_OPENING = re.compile(r"(?:^|[:;(\[{\"“”„«»‘*•#/–—-])[\s\"“„«‘*_]*$")
"""What stands before a word that begins something, and may have a capital letter for that alone."""
_HOUR = re.compile(r"(?<!\d)(\d{1,2})(?:(?P<minutes>:\d{2}))?(?: ?(?P<half>[ap])\.?m\b)?")
_PART = re.compile(r"[^\W_]+")
_MONTHS = (
    "january janvier januar enero jan", "february fevrier februar febrero feb", "march mars marz marzo mar",
    "april avril abril apr", "may mai mayo", "june juin juni junio jun", "july juillet juli julio jul",
    "august aout agosto aug", "september septembre septiembre sep sept", "october octobre oktober octubre oct okt",
    "november novembre noviembre nov", "december decembre dezember diciembre dec dez")
_DAYS = ("monday lundi montag lunes mon", "tuesday mardi dienstag martes tue",
         "wednesday mercredi mittwoch miercoles wed",
         "thursday jeudi donnerstag jueves thu", "friday vendredi freitag viernes fri",
         "saturday samedi samstag sabado sat", "sunday dimanche sonntag domingo sun")
_COMMON = frozenset({"i", "i'm", "i'll", "i've", "i'd", "ok", "am", "pm", "mr", "mrs", "ms", "miss", "dr", "prof",
                     "yes", "no", "s", "herr", "frau", "madame", "monsieur", "senor", "senora"})
_TITLES = frozenset({"herr", "herrn", "frau", "dr", "prof", "mr", "mrs", "ms"})
_ALL_NOUNS = frozenset({"de", "lb"})
"""Languages that write every noun with a capital letter: there only what follows a title is a name."""
_QUOTED = re.compile(r"[A-Za-z]{1,30}|[\d.,:]{1,20}")
_PASS = Verdict(outcome="pass")


class Grounding(NamedTuple):
    figures: bool
    names: bool
    allowed: str


class Facts(NamedTuple):
    """What a text holds: its numbers in every way in which they may be read, its words, its long runs of digits.

    `parts` are numbers inside dates, times and codes: a source for `the 20th` and `at 7`, not for money or percent.
    """

    figures: frozenset[float]
    parts: frozenset[float]
    words: frozenset[str]
    runs: str


class GroundingEnforcer:
    """Options: `check` (figures, names), `allow` (texts whose figures and words need no other source)."""

    name = "grounding"
    monotone = True
    needs_data = True

    def prepare(self, rule: Rule) -> Grounding:
        options = read_options(rule, ("check", "allow"), empty=True)
        checks = text_list(rule, options, "check") or _CHECKS
        for check in checks:
            if check not in _CHECKS:
                raise ConfigurationError(f"rule {rule.id}: grounding cannot check {check}; there are figures and names")
        return Grounding("figures" in checks, "names" in checks, " | ".join(text_list(rule, options, "allow")))

    def check(self, draft: Draft, rule: Rule, prepared: Grounding) -> Verdict:
        language = draft.language[:2].lower()
        given = (known_facts(draft.authored, language), facts_of(draft.found, language),
                 known_facts(prepared.allowed, language))
        at = 0
        for sentence in sentences(draft.text):
            wrong = _ungrounded(sentence, language, given, prepared)
            if wrong is not None:
                kind, start, end = wrong
                said = sentence[start:end]
                shown = f" {said}" if _QUOTED.fullmatch(said) else ""
                return Verdict(outcome="fail", span=(at + start, at + end),
                               reason=f"the {kind}{shown} is not in what the agent was given")
            at += len(sentence)
        return _PASS


@lru_cache(maxsize=64)
def known_facts(text: str, language: str) -> Facts:
    """The facts of a text that does not change from turn to turn: the author's."""
    return facts_of(text, language)


def facts_of(text: str, language: str) -> Facts:
    """Generous: what may be read in two ways counts in both, a date has its weekday, a time its twelve-hour form."""
    if not text:
        return Facts(frozenset(), frozenset(), frozenset(), "")
    read = plain(text)
    bare = _MOMENT.sub(" ", read)
    figures = {value for number in numbers(bare, language) for value in _values(bare, number)}
    parts = {float(digits) for digits in _DIGITS.findall(read) if len(digits) <= 15}
    words = set(_PART.findall(read))
    for year, month, day in _DATE.findall(read):
        words.update(_calendar(int(year), int(month), int(day)))
    parts.update(_hours(read))
    runs = " ".join(run for found in _RUN.findall(read) if len(run := _digits(found)) >= _LONG)
    return Facts(frozenset(figures), frozenset(parts), frozenset(words), f" {runs} ")


Wrong = tuple[str, int, int]


def _ungrounded(sentence: str, language: str, given: tuple[Facts, ...], wanted: Grounding) -> Wrong | None:
    """(kind, start, end) of the first figure or name of a sentence without a source."""
    if wanted.figures:
        for reading in readings(sentence):
            for number in numbers(reading.text, language):
                if _counts(reading.text, number, language) and not _has_figure(reading.text, number, given):
                    return ("figure", *reading.span(number.start, number.end))
    if wanted.names and language not in _ALL_NOUNS:
        return next((("name", *span) for span in _names(sentence) if not _has_words(sentence[slice(*span)], given)),
                    None)
    if wanted.names:
        return next((("name", *span) for span in _titled(sentence) if not _has_words(sentence[slice(*span)], given)),
                    None)
    return None


def _counts(text: str, number: Number, language: str) -> bool:
    """True for what states something: not a list's marker, not a small number in words."""
    said = text[number.start:number.end]
    if not any(char.isdigit() for char in said):
        return number.value > _SMALL or currency(text, number) is not None or is_percent(text, number)
    return not (number.start == len(text) - len(text.lstrip()) and _MARKER.match(text))


def _has_figure(text: str, number: Number, given: tuple[Facts, ...]) -> bool:
    values, percent = _values(text, number), is_percent(text, number)
    if percent:
        values.add(round(number.value / 100, 6))
    if any(values & facts.figures for facts in given):
        return True
    if percent or currency(text, number) is not None:
        return False
    if any(values & facts.parts for facts in given):
        return True
    said = text[number.start:number.end]
    if _DATE_LIKE.fullmatch(said):
        return all(any(float(part) in facts.parts for facts in given) for part in _DIGITS.findall(said))
    run = next((_digits(found[0]) for found in _RUN.finditer(text) if found.start() <= number.start < found.end()), "")
    return len(run) >= _LONG and any(run.lstrip("0") in facts.runs for facts in given)


def _values(text: str, number: Number) -> set[float]:
    """Every number that the figure may mean: `1.200` is 1200 and 1.2."""
    values = {round(number.value, 6)}
    both = _AMBIGUOUS.fullmatch(text[number.start:number.end])
    if both:
        values.add(float(f"{both[1]}.{both[2]}"))
    return values


def _names(sentence: str) -> Iterator[tuple[int, int]]:
    """Words with a capital letter, but for the first of the sentence and those that have one everywhere."""
    text = _aligned(sentence)
    first = True
    for token in _TOKEN.finditer(text):
        word = token[0]
        begins = first or _OPENING.search(text, max(0, token.start() - 8), token.start()) is not None
        first = False
        if word[0].isupper() and (not begins or _is_mixed(word)) and plain(word) not in _COMMON:
            yield token.span()


def _is_mixed(word: str) -> bool:
    """`McKinsey` and `EasyJet` are names wherever they stand."""
    return any(one.islower() and other.isupper() for one, other in pairwise(word))


def _titled(sentence: str) -> Iterator[tuple[int, int]]:
    before = ""
    for token in _TOKEN.finditer(_aligned(sentence)):
        word = plain(token[0])
        if before in _TITLES and word not in _TITLES:
            yield token.span()
        before = word


def _aligned(text: str) -> str:
    """The legible text where it has the same offsets, else the text as it is."""
    read = legible(text)
    return read if len(read) == len(text) else text


def _has_words(said: str, given: tuple[Facts, ...]) -> bool:
    """Every part of the name is a word somewhere; a genitive or plural s at its end does not count."""
    word = plain(said).removesuffix("'s").removesuffix("'")
    return all(any(part in facts.words or part.removesuffix("s") in facts.words for facts in given)
               for part in _PART.findall(word))


def _calendar(year: int, month: int, day: int) -> list[str]:
    try:
        weekday = date(year, month, day).weekday()
    except ValueError:
        return []
    return [*_MONTHS[month - 1].split(), *_DAYS[weekday].split()]


def _hours(text: str) -> Iterator[float]:
    """19:00 is also 7, and 7 pm also 19."""
    for found in _HOUR.finditer(text):
        hour = int(found[1])
        if found["half"]:
            yield float(hour % 12 + (12 if found["half"] == "p" else 0))
        elif found["minutes"]:
            yield float(hour % 12 or 12)


def _digits(text: str) -> str:
    return "".join(char for char in text if char.isdigit())
