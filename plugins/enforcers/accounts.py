"""Account and card numbers found by their checksums: IBAN (ISO 13616, mod 97) and cards (ISO 7812, Luhn)."""

from __future__ import annotations

import re
from collections.abc import Iterator

_LENGTHS = {
    "AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22, "BI": 27, "BR": 29,
    "BY": 28, "CH": 21, "CR": 22, "CY": 28, "CZ": 24, "DE": 22, "DJ": 27, "DK": 18, "DO": 28, "EE": 20, "EG": 29,
    "ES": 24, "FI": 18, "FK": 18, "FO": 18, "FR": 27, "GB": 22, "GE": 22, "GI": 23, "GL": 18, "GR": 27, "GT": 28,
    "HR": 21, "HU": 28, "IE": 22, "IL": 23, "IQ": 23, "IS": 26, "IT": 27, "JO": 30, "KW": 30, "KZ": 20, "LB": 28,
    "LC": 32, "LI": 21, "LT": 20, "LU": 20, "LV": 21, "LY": 25, "MC": 27, "MD": 24, "ME": 22, "MK": 19, "MN": 20,
    "MR": 27, "MT": 31, "MU": 30, "NI": 28, "NL": 18, "NO": 15, "OM": 23, "PK": 24, "PL": 28, "PS": 29, "PT": 25,
    "QA": 29, "RO": 24, "RS": 22, "RU": 33, "SA": 24, "SC": 31, "SD": 18, "SE": 24, "SI": 19, "SK": 24, "SM": 27,
    "SO": 23, "ST": 25, "SV": 28, "TL": 23, "TN": 24, "TR": 26, "UA": 29, "VA": 22, "VG": 24, "XK": 20, "YE": 30,
}
"""Characters of an IBAN by country (SWIFT IBAN registry)."""
_BEGIN = re.compile(r"(?<![A-Za-z0-9])([A-Za-z]{2})(?=[ -]?\d[ -]?\d)")
_SEPARATORS = " -\u2010\u2011\u2012\u2013"
_RUN = re.compile(rf"\d(?:(?:[/{re.escape(_SEPARATORS)}]|\.(?=\d)){{0,2}}\d){{11,120}}")
_GROUP = re.compile(r"\d+")
_CARD = (13, 19)
"""Digits of a card number."""

_MOST = 2_000
"""Runs of digits that are looked at in one text."""

Span = tuple[int, int]


def find_ibans(text: str) -> Iterator[Span]:
    """Spans of valid IBANs, written in one piece or in groups."""
    for begin in _BEGIN.finditer(text):
        length = _LENGTHS.get(begin[1].upper())
        end = None if length is None else _taken(text, begin.start(), length)
        if end is not None and is_iban(text[begin.start():end]):
            yield begin.start(), end


def is_iban(text: str) -> bool:
    """Country, length and checksum are right; separators do not count."""
    plain = "".join(char for char in text.upper() if char.isascii() and char.isalnum())
    if _LENGTHS.get(plain[:2]) != len(plain) or not plain[2:4].isdigit():
        return False
    return int("".join(str(int(char, 36)) for char in plain[4:] + plain[:4])) % 97 == 1


def find_cards(text: str) -> Iterator[Span]:
    """Spans of digits that may be a card's number, also among other digits that stand in groups beside them.

    Raises ValueError for a text with more digits than can be looked at: nobody may pass it unseen.
    """
    looked = 0
    for run in _RUN.finditer(text):
        groups = [(run.start() + group.start(), group[0]) for group in _GROUP.finditer(run[0])]
        for first in range(len(groups)):
            digits = ""
            for start, group in groups[first:]:
                digits += group
                if len(digits) > _CARD[1]:
                    break
                looked += 1
                if looked > _MOST:
                    raise ValueError("the text holds too many digits to look at")
                if is_card(digits):
                    yield groups[first][0], start + len(group)


def is_card(digits: str) -> bool:
    """The number of digits, the first one and the checksum are those of a card."""
    if not _CARD[0] <= len(digits) <= _CARD[1] or digits[0] not in "23456" or len(set(digits)) == 1:
        return False
    doubled = [int(digit) * (1 + place % 2) for place, digit in enumerate(reversed(digits))]
    return sum(value - 9 if value > 9 else value for value in doubled) % 10 == 0


def _taken(text: str, start: int, length: int) -> int | None:
    """Where `length` letters and digits end that begin at `start`, with single separators between; None when they do
    not, or when they go on."""
    count, at = 0, start
    while at < len(text) and count < length:
        char = text[at]
        if char.isascii() and char.isalnum():
            count += 1
        elif char not in _SEPARATORS or text[at - 1] in _SEPARATORS:
            return None
        at += 1
    goes_on = at < len(text) and text[at].isascii() and text[at].isalnum()
    return at if count == length and not goes_on else None
