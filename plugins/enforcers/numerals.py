"""Numbers as people write them: `1,200.50`, `1.200,50`, `1 200`, `5k`, `two hundred and fifty`, `zweihundertfünfzig`.

Texts come in as `reading.py` folds them: lower case, plain letters.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

LARGEST = 1e15
"""Greater numbers count as this one, so that none overflows."""

_TOKEN = re.compile(
    r"(?P<figure>\d{1,3}(?:[ \u00a0\u202f'’]\d{3})+(?:[.,]\d{1,2})?(?!\d)|\d+(?:[.,]\d+)*)(?P<suffix>(?:bn|[km])\b)?"
    r"|(?P<word>[^\W\d_]+)")
_SUFFIX = {"k": 1e3, "m": 1e6, "bn": 1e9}
_SMALL: dict[str, dict[str, float]] = {
    "en": {"zero": 0, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8,
           "nine": 9, "ten": 10, "eleven": 11, "twelve": 12, "thirteen": 13, "fourteen": 14, "fifteen": 15,
           "sixteen": 16, "seventeen": 17, "eighteen": 18, "nineteen": 19, "twenty": 20, "thirty": 30, "forty": 40,
           "fourty": 40, "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90, "half": 0.5,
           "couple": 2, "dozen": 12},
    "de": {"null": 0, "ein": 1, "eins": 1, "eine": 1, "einen": 1, "zwei": 2, "zwo": 2, "drei": 3, "vier": 4,
           "funf": 5, "fuenf": 5, "sechs": 6, "sieben": 7, "acht": 8, "neun": 9, "zehn": 10, "elf": 11, "zwolf": 12,
           "zwoelf": 12, "sechzehn": 16, "siebzehn": 17, "zwanzig": 20, "dreissig": 30, "vierzig": 40, "funfzig": 50,
           "fuenfzig": 50, "sechzig": 60, "siebzig": 70, "achtzig": 80, "neunzig": 90},
    "fr": {"zero": 0, "un": 1, "une": 1, "deux": 2, "trois": 3, "quatre": 4, "cinq": 5, "six": 6, "sept": 7, "huit": 8,
           "neuf": 9, "dix": 10, "onze": 11, "douze": 12, "treize": 13, "quatorze": 14, "quinze": 15, "seize": 16,
           "vingt": 20, "vingts": 20, "trente": 30, "quarante": 40, "cinquante": 50, "soixante": 60, "septante": 70,
           "huitante": 80, "octante": 80, "nonante": 90},
    "es": {"cero": 0, "un": 1, "uno": 1, "una": 1, "dos": 2, "tres": 3, "cuatro": 4, "cinco": 5, "seis": 6, "siete": 7,
           "ocho": 8, "nueve": 9, "diez": 10, "once": 11, "doce": 12, "trece": 13, "catorce": 14, "quince": 15,
           "dieciseis": 16, "diecisiete": 17, "dieciocho": 18, "diecinueve": 19, "veinte": 20, "veintiuno": 21,
           "veintiun": 21, "veintidos": 22, "veintitres": 23, "veinticuatro": 24, "veinticinco": 25, "veintiseis": 26,
           "veintisiete": 27, "veintiocho": 28, "veintinueve": 29, "treinta": 30, "cuarenta": 40, "cincuenta": 50,
           "sesenta": 60, "setenta": 70, "ochenta": 80, "noventa": 90, "doscientos": 200, "trescientos": 300,
           "cuatrocientos": 400, "quinientos": 500, "seiscientos": 600, "setecientos": 700, "ochocientos": 800,
           "novecientos": 900, "ciento": 100},
}
_LARGE: dict[str, dict[str, float]] = {
    "en": {"hundred": 1e2, "hundreds": 1e2, "thousand": 1e3, "thousands": 1e3, "grand": 1e3, "million": 1e6,
           "millions": 1e6, "mio": 1e6, "billion": 1e9, "lakh": 1e5, "crore": 1e7},
    "de": {"hundert": 1e2, "tausend": 1e3, "million": 1e6, "millionen": 1e6, "milliarde": 1e9, "milliarden": 1e9},
    "fr": {"cent": 1e2, "cents": 1e2, "mille": 1e3, "million": 1e6, "millions": 1e6, "milliard": 1e9},
    "es": {"cien": 1e2, "mil": 1e3, "millon": 1e6, "millones": 1e6},
}
_JOINS = {"en": ("and", "a", "of"), "de": ("und",), "fr": ("et",), "es": ("y",)}


_WITHIN = " \n\t\r\u00a0\u202f-,.'’"
"""What may stand between the words of one number."""


class Number(NamedTuple):
    """A number in a text: its value and where it stands."""

    value: float
    start: int
    end: int


def numbers(text: str, language: str) -> Iterator[Number]:
    """All numbers of a folded text, in figures and in words (English always, and the language when it is known)."""
    small, large, joins = _words(language)
    run, last = _Run(), 0
    for token in _TOKEN.finditer(text):
        word = token["word"]
        if run.open and text[last:token.start()].strip(_WITHIN):  # a sign in between ends it: `5% | hundred`
            yield from run.finish()
        last = token.end()
        if word is None:
            yield from run.finish()
            run.figure(_figure(token["figure"]) * _SUFFIX.get(token["suffix"] or "", 1.0), token.start(), token.end())
        elif word in large and (run.open or word not in ("cent", "cents", "grand", "mio")):
            run.multiply(large[word], token.start(), token.end())
        elif word in small:
            if not run.takes(small[word]):
                yield from run.finish()
            run.add(small[word], token.start(), token.end())
        elif language == "de" and (value := _compound(word)) is not None:
            yield from run.finish()
            run.add(value, token.start(), token.end())
        elif run.open and not (word in joins and run.join(word in _JOINS["en"])):
            yield from run.finish()
    yield from run.finish()


class _Run:
    """A number that is being read, word after word."""

    def __init__(self) -> None:
        self._clear()

    def _clear(self) -> None:
        self.open = False
        self._figures = False
        self._after_tens = True
        self._total = self._current = 0.0
        self._start = self._end = 0

    def figure(self, value: float, start: int, end: int) -> None:
        self.open = self._figures = True
        self._current, self._start, self._end = value, start, end

    def takes(self, value: float) -> bool:
        """Whether a small number goes on with this one: `two hundred | fifty`, `fifty | five`, not `five | ten`."""
        below = self._current % 100
        if not self.open or self._figures:
            return not self.open
        if below == 0:
            return True
        if value == 20 and self._current == 4:
            return True
        return self._after_tens and ((value < 10 and below >= 20 and below % 10 == 0)
                                     or (10 <= value < 20 and below in (60, 80)))

    def join(self, english: bool) -> bool:
        """Go on after `and`: in English behind a hundred only, elsewhere behind tens too. False ends the number."""
        self._after_tens = not english
        return not self._figures

    def add(self, value: float, start: int, end: int) -> None:
        self._open(start, end)
        # Quatre-vingts: four times twenty, the one place where a small number multiplies.
        self._current = 80 if value == 20 and self._current == 4 else self._current + value

    def multiply(self, value: float, start: int, end: int) -> None:
        self._open(start, end)
        self._current = (self._current or 1) * value
        if value > 100:
            self._total, self._current = self._total + self._current, 0.0
        self._figures = False

    def _open(self, start: int, end: int) -> None:
        if not self.open:
            self.open, self._start = True, start
        self._end, self._after_tens = end, True

    def finish(self) -> Iterator[Number]:
        if self.open:
            yield Number(min(self._total + self._current, LARGEST), self._start, self._end)
            self._clear()


@lru_cache(maxsize=32)
def _words(language: str) -> tuple[dict[str, float], dict[str, float], frozenset[str]]:
    own = language if language in _SMALL else "en"
    return ({**_SMALL["en"], **_SMALL[own]}, {**_LARGE["en"], **_LARGE[own]},
            frozenset(_JOINS["en"] + _JOINS[own]))


def _figure(text: str) -> float:
    """The greater reading where a separator may mean two things: `1.200` is 1200 in money, whoever wrote it."""
    digits = re.sub(r"[ \u00a0\u202f'’]", "", text)
    last = max(digits.rfind("."), digits.rfind(","))
    if last < 0:
        return min(float(digits[:20]) if len(digits) <= 20 else LARGEST, LARGEST)
    mark, tail = digits[last], digits[last + 1:]
    mixed = "." in digits and "," in digits
    grouped = not mixed and (digits.count(mark) > 1 or (len(tail) == 3 and last <= 3 and digits[0] != "0"))
    whole, part = (digits, "") if grouped else (digits[:last], tail)
    whole = whole.replace(".", "").replace(",", "")
    return min(float(f"{whole[:20]}.{part[:9] or 0}"), LARGEST) if len(whole) <= 20 else LARGEST


@lru_cache(maxsize=2_048)
def _compound(word: str) -> float | None:
    """The value of a German compound such as `zweihundertfunfundzwanzig`, None when it is no number."""
    parts = {**_SMALL["de"], **_LARGE["de"], "und": -1.0}
    total = current = 0.0
    rest = word
    while rest:
        part = next((rest[:size] for size in range(min(9, len(rest)), 1, -1) if rest[:size] in parts), None)
        if part is None or (part == "und" and rest == word):
            return None
        rest, value = rest[len(part):], parts[part]
        if value in _LARGE["de"].values():
            current = (current or 1) * value
            if value > 100:
                total, current = total + current, 0.0
        elif value > 0:
            current += value
    return total + current
