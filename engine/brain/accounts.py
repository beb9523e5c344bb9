"""Bank accounts and cards in what was said: numbers whose checksum is right, and what was meant for one."""

from __future__ import annotations

import re

from ruche.plugins.enforcers.accounts import find_cards, find_ibans, is_card, is_iban

Found = tuple[int, int, str, float]
"""(start, end, value, confidence)"""

_MEANT = re.compile(r"[A-Za-z0-9][A-Za-z0-9 .\-]{8,44}[A-Za-z0-9]")


def account_numbers(text: str, kind: str, *, asked: bool) -> list[Found]:
    """Valid numbers of a kind (`iban`, `card`), without separators. Where one was asked for and none is valid, what was
    meant for one, so that the person is told."""
    find = find_ibans if kind == "iban" else find_cards
    try:
        found = [(start, end, bare(text[start:end]), 1.0) for start, end in find(text)]
    except ValueError:  # more digits than any number has
        return []
    if found or not asked:
        return found
    meant = (one for one in _MEANT.finditer(text) if sum(sign.isdigit() for sign in one[0]) >= 8)
    return [(one.start(), one.end(), bare(one[0]), 0.7) for one in meant][:1]


def bare(text: str) -> str:
    """The letters and digits alone, letters in capitals."""
    return "".join(sign for sign in text.upper() if sign.isascii() and sign.isalnum())


def account_fault(kind: str, value: object) -> str:
    """Why a value is no account or card number; empty when it is one, or of another kind."""
    if kind == "iban" and not (isinstance(value, str) and is_iban(value)):
        return "is no IBAN: country, length or checksum is wrong"
    if kind == "card" and not (isinstance(value, str) and is_card(value)):
        return "is no card number: length or checksum is wrong"
    return ""
