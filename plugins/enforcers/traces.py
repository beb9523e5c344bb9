"""Where a text holds personal data, and of which kind: what is told by checksums and forms, and what words give away.

Numbers are certain; names, addresses, places and companies are found by the words around them, which is a help for a
person who looks and no proof that nothing else is there.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import NamedTuple

from ruche.plugins.enforcers.accounts import find_cards, find_ibans
from ruche.plugins.enforcers.given_names import GIVEN

MAX_TEXT = 8_000
"""Characters that are looked at."""


class Trace(NamedTuple):
    """Something personal. `start` and `end` are offsets in the text."""

    kind: str
    start: int
    end: int


_EMAIL = re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@(?:[\w-]{1,63}\.)+[^\W\d_]{2,24}(?![\w-])")
_URL = re.compile(r"(?i)\bhttps?://[^\s<>\"']+|\bwww\.[a-z0-9-]+(?:\.[a-z0-9-]+)+[^\s<>\"']*")
_SSN = re.compile(r"(?<![\w-])(?!000|666|9\d\d)\d{3}([- ])(?!00)\d{2}\1(?!0000)\d{4}(?![\w-])")
_IP4 = re.compile(r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?![\w.]*\d)")
_IP6 = re.compile(r"(?<![\w:])(?:[0-9a-fA-F]{0,4}:){2,7}[0-9a-fA-F]{0,4}(?![\w:])")
_MONTH = (r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sep(?:t|tember)?|"
          r"oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)")
_DATE = re.compile(
    rf"(?i)(?<![\w/.-])(?!\d+\.\d+\.\d+\.)(?:\d{{4}}-\d{{2}}-\d{{2}}(?:[T ]\d{{2}}:\d{{2}}(?::\d{{2}})?)?|"
    rf"\d{{1,2}}[/.]\d{{1,2}}[/.](?:\d{{4}}|\d{{2}})|\d{{1,2}}(?:st|nd|rd|th)? (?:of )?{_MONTH}\.?,? \d{{4}}|"
    rf"{_MONTH}\.? \d{{1,2}}(?:st|nd|rd|th)?,? \d{{4}})(?![\w/-])")
_PHONE = re.compile(r"(?<![\w.@#/-])\+?\(?\d[\d ()./\u2010-\u2013-]{5,20}\d(?:\s?(?:x|ext\.?)\s?\d{1,6})?(?![\w@])")
_FORMED = re.compile(r"\d{3}-\d{2}-\d{4}|\d{1,3}(?:\.\d{1,3}){3}|\d{4}-\d{2}-\d{2}")
"""Digits in the form of something else, even where it is no valid one."""
_PHONE_WORDS = re.compile(
    r"(?i)(?:phone|mobile|cell|tel|telephone|fax|desk|call|dial|reach|text|whatsapp|contact|number is|office|home|work)"
    r"[^\n\d]{0,25}$")
_LICENSE = re.compile(r"(?i)\b(?:driver'?s?|driving|passport)(?:'s)? (?:licen[cs]e|number)(?: number| no\.?)?"
                      r"(?: is|:|#)?\s*([A-Z0-9][A-Z0-9-]{5,15})\b")
_TITLES = r"(?:Mr|Mrs|Ms|Mx|Dr|Prof|Miss|Sir|Madam|Herr|Frau|Mme|Mlle)"
_TITLE = re.compile(rf"(?i:(?<!\w){_TITLES}(?:\.|(?= )))(?=\s+[^\W\d_])")
_WORD = r"[^\W\d_a-z][\w'’-]{0,40}"
_NAME = rf"{_WORD}(?: (?:{_WORD}|de|van|von|der|di|da|del|la|le|bin|al))*"
_AFTER_TITLE = re.compile(rf"(?i:(?<!\w){_TITLES}\.?)\s+({_NAME})")
_CALLED = re.compile(
    r"(?i:\b(?:name(?: is|'s|:)|name appears as|calls? me|called me|known as|my name|partner's name|wife|husband|son|"
    r"daughter|kid|dear|said|says|asked|told|starring|directed by|written by|signed|regards|sincerely|attn:?|mother|"
    rf"father|brother|sister|friend)(?:,| is)?[ \n]+)({_NAME})")
_CALLED_LOWER = re.compile(r"(?i)\b(?:my name is|name:|billing address:)\s+([^\W\d_]+(?: [^\W\d_]+){0,2})")
_ASKED = re.compile(rf"(?i:\b(?:last|first|full|maiden|your) name\?\s+)({_NAME})")
_ADDRESSED = re.compile(rf"(?:^|[.!?\n]\s*)({_WORD}),(?= (?:can|could|please|would|will|may|what|how|I|you))")
_RUN = re.compile(rf"(?<!\w)({_WORD}(?: {_WORD}){{1,3}})")
_ONE = re.compile(rf"(?<!\w){_WORD}")
_STREETS = (
    "street|st|road|rd|avenue|ave|lane|ln|drive|dr|boulevard|blvd|court|ct|place|pl|square|sq|terrace|way|close|"
    "crescent|highway|hwy|parkway|route|alley|row|gate|hill|park|straße|strasse|str|gasse|weg|platz|allee|rue|chemin|"
    "calle|avenida|plaza|via|viale|piazza|rua|praça|laan|straat|gatan|gade|vej|gata|utca|út|ulica|ul")
_HOUSE = (rf"(?:\d{{1,5}}[a-z]?,? )?(?:(?:[\w.'’-]+ ){{0,3}}(?:[^\W\d]*(?:straße|strasse|gasse|straat|gatan|vägen)|"
          rf"(?:{_STREETS})\b\.?)(?: \d{{1,5}}[a-z]?)?|(?:rue|calle|via|avenida|rua|ulica|ul\.) [\w'’ -]{{2,30}}?"
          r"(?: \d{1,5})?)")
_UNIT = r"(?:suite|apt\.?|apartment|unit|floor|no\.?|p\.?o\.? box) #?\d{1,5}\w?"
_STREET = re.compile(rf"(?i)(?<!\w)(?:\d{{1,5}} )?(?:\d{{1,5}}[a-z]? {_HOUSE}|{_HOUSE}(?<=\d))(?:,?\s+{_UNIT})?")
_REST = rf"(?:,?\s+{_UNIT})?(?:,?\s+(?:{_WORD})(?:[ -]{_WORD}){{0,3}}){{0,3}}(?:\s+\d{{4,5}}\b)?"
_GIVEN_ADDRESS = re.compile(
    r"(?i:\b(?:address(?: is|:| to| with)?|it is|lives? (?:at|on)|lived (?:in|at)|located at|(?:is|are) (?:at|on)|"
    rf"return to|send (?:it )?to|deliver(?:ed)? to)[ \n]+)((?:\d{{1,5}} ){{0,2}}{_WORD}(?: [\w.'’-]+){{0,3}}? "
    rf"\d{{1,5}}\b{_REST})")
_LONE = re.compile(rf"(?i)(?<!\w){_UNIT}")
_ZIP = re.compile(r"(?i)(?:\bzip(?: code)?:?\s*|\bpostcode:?\s*|\b[A-Z]{2} )(\d{5}(?:-\d{4})?)\b")
_LINE_ZIP = re.compile(r"(?<!\d)\d{5}(?:-\d{4})?(?=\s*$)")
_AT_PLACE = re.compile(
    r"(?:\b(?i:grew up in|moved (?:here )?from|born in|lives? in|live in|travel(?:l?ing)? to|arrived at|returned to|"
    r"visit(?:ing)?|from|city of|university of|where:)[ \n]+)(" + _NAME + ")")
_IN_PLACE = re.compile(rf"\b(?:in|near|around|to) ({_WORD}(?: {_WORD}){{0,2}})")
_COMPANY = re.compile(
    rf"(?<!\w)({_WORD}(?:[ -]{_WORD}|, {_WORD} and {_WORD}){{0,3}} "
    r"(?:Inc|Ltd|LLC|PLC|Corp|Corporation|Company|Co|GmbH|AG|SA|NV|Group|Software|Consulting|Partners|Bank|Holdings|"
    rf"Industries|Systems|Technologies|Solutions|Services|Associates|Foundation)\b\.?|{_WORD}-{_WORD}(?= (?:invested|"
    r"announced|said|is a)))")
_WORKS = re.compile(rf"\b(?:work(?:s|ed|ing)? (?:for|at)|employed (?:by|at)|job at) ({_NAME})")
_LITTLE = """
i the a an my our your his her its it he she they we you this that these those what who when where why how do does did
can could would will should may might please yes no not and or but so if in on at to from with by for of as is are was
were be been have has had am there here hi hello hey dear thanks thank monday tuesday wednesday thursday friday saturday
sunday january february march april june july august september october november december card credit bank account
number name address phone email zip just great good follow during written today tomorrow yesterday morning evening day
street road one everyone someone somebody people sometimes also american english german french spanish italian european
"""
_NO_NAMES = frozenset(_LITTLE.split())
"""Words that are written large and are nobody's name."""


def traces(text: str, kinds: frozenset[str] | None = None) -> list[Trace]:
    """What is found, in the order of the text; of what overlaps, the surer kind and the longer span stay.

    Raises ValueError for a text with more digits than can be looked at: nobody may take it for clean.
    """
    text = text[:MAX_TEXT]
    found: list[Trace] = []
    taken = bytearray(len(text))
    for kind, finder in _FINDERS:
        for start, end in finder(text):
            if end > start and not any(taken[start:end]):
                taken[start:end] = b"\1" * (end - start)
                found.append(Trace(kind, start, end))
    return sorted((one for one in found if kinds is None or one.kind in kinds), key=lambda one: one.start)


Spans = Iterator[tuple[int, int]]


def find_ssns(text: str) -> Spans:
    return (match.span() for match in _SSN.finditer(text))


def find_ips(text: str) -> Spans:
    for match in (*_IP4.finditer(text), *_IP6.finditer(text)):
        try:
            ipaddress.ip_address(match[0])
        except ValueError:
            continue
        yield match.span()


def _whole(pattern: re.Pattern[str]) -> Callable[[str], Spans]:
    return lambda text: (match.span() for match in pattern.finditer(text))


def _inner(*patterns: re.Pattern[str]) -> Callable[[str], Spans]:
    return lambda text: (match.span(1) for pattern in patterns for match in pattern.finditer(text))


def _urls(text: str) -> Spans:
    for match in _URL.finditer(text):
        yield match.start(), match.start() + len(match[0].rstrip(".,;:!?)"))


def _phones(text: str) -> Spans:
    """Digits that are written as telephone numbers are, or that follow a word for one."""
    for match in _PHONE.finditer(text):
        digits = sum(char.isdigit() for char in re.split(r"(?i)x|ext", match[0])[0])
        shaped = match[0].startswith(("+", "(", "00")) or len(re.findall(r"\d+", match[0])) >= 3
        other = _FORMED.fullmatch(match[0])
        named = _PHONE_WORDS.search(text[max(0, match.start() - 40):match.start()])
        if 7 <= digits <= 15 and (shaped or named) and other is None:
            yield match.span()


def _people(text: str) -> Spans:
    for start, end in _inner(_AFTER_TITLE, _ASKED, _CALLED, _ADDRESSED)(text):
        yield from _named(text, start, end)
    yield from (match.span(1) for match in _CALLED_LOWER.finditer(text) if match[1].lower() not in _NO_NAMES)
    for match in _ONE.finditer(text):
        if match[0].split("'")[0].split("’")[0].lower() in GIVEN:
            rest = re.compile(_NAME).match(text, match.start())
            yield from _named(text, match.start(), rest.end() if rest else match.end())
    for match in _RUN.finditer(text):
        words = match[1].lower().split()
        if len(words) == 2 and not any(word.split("'")[0] in _NO_NAMES or word in _countries() for word in words):
            yield match.span(1)


def _named(text: str, start: int, end: int) -> Spans:
    """The span without words that are no part of a name, and without what shows whose something is."""
    name = text[start:end]
    for ending in ("'s", "’s"):
        name = name.split(ending)[0]
    words = name.split(" ")
    while words and words[-1].lower() in _NO_NAMES | {"de", "van", "von", "der", "di", "da", "del", "la", "le"}:
        words.pop()
    if words and words[0].lower() not in _NO_NAMES:
        yield start, start + len(" ".join(words))


def _addresses(text: str) -> Spans:
    yield from _inner(_GIVEN_ADDRESS)(text)
    for pattern in (_STREET, _LONE):
        yield from (match.span() for match in pattern.finditer(text))
    yield from (match.span(1) for match in _ZIP.finditer(text))
    if "\n" in text:
        for line in re.finditer(r"[^\n]+", text):
            code = _LINE_ZIP.search(line[0])
            if code is not None and len(line[0].strip()) < 30:
                yield line.start() + code.start(), line.start() + code.end()


def _places(text: str) -> Spans:
    lower = text.lower()
    for start, end in _inner(_AT_PLACE)(text):
        yield from _named(text, start, end)
    for country in _countries():
        at = lower.find(country)
        if at >= 0 and not (lower[at - 1:at].isalnum() or lower[at + len(country):at + len(country) + 1].isalnum()):
            yield at, at + len(country)
    for start, end in _inner(_IN_PLACE)(text):
        if not any(word in _NO_NAMES for word in text[start:end].lower().split()):
            yield start, end


@lru_cache(maxsize=1)
def _countries() -> frozenset[str]:
    """Names of countries in English, from the library that knows their telephone numbers; loaded when needed."""
    from phonenumbers.geodata.locale import LOCALE_DATA

    english = (names.get(names["en"].removeprefix("*"), names["en"]) for names in LOCALE_DATA.values() if "en" in names)
    return frozenset(name.lower() for name in english if len(name) > 3)


_FINDERS: tuple[tuple[str, Callable[[str], Spans]], ...] = (
    ("email", _whole(_EMAIL)), ("url", _urls), ("iban", find_ibans), ("card", find_cards), ("ssn", find_ssns),
    ("ip", find_ips), ("license", _inner(_LICENSE)), ("date", _whole(_DATE)), ("title", _whole(_TITLE)),
    ("address", _addresses), ("phone", _phones), ("company", _inner(_COMPANY, _WORKS)), ("place", _places),
    ("name", _people),
)
KINDS = tuple(kind for kind, _ in _FINDERS)
