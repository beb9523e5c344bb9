"""Telephone numbers. The library is large and loaded at the first message that may hold a number."""

from __future__ import annotations

import itertools
import re

MOST = 5
"""Numbers looked at in one message."""
LONG_NUMBER = re.compile(r"(?<![\w.])\+?\(?\d[\d\s().\-/]{5,20}\d(?![\w])")
"""What may be a telephone number: figures with little between them."""
_REGIONS = {"en": "US", "fr": "FR", "de": "DE", "es": "ES", "it": "IT", "nl": "NL", "pt": "PT"}
_ZONES = {
    "Europe/London": "GB", "Europe/Dublin": "IE", "Europe/Paris": "FR", "Europe/Berlin": "DE", "Europe/Vienna": "AT",
    "Europe/Zurich": "CH", "Europe/Madrid": "ES", "Europe/Rome": "IT", "Europe/Amsterdam": "NL",
    "Europe/Brussels": "BE", "Europe/Lisbon": "PT", "America/Sao_Paulo": "BR", "America/Mexico_City": "MX",
    "America/Toronto": "CA", "Australia/Sydney": "AU", "Asia/Kolkata": "IN", "Asia/Tokyo": "JP",
}


def region_of(timezone: str, language: str) -> str:
    """The country whose numbers are written without a country code where the agent lives."""
    return _ZONES.get(timezone) or ("US" if timezone.startswith("America/") else _REGIONS.get(language[:2], "US"))


def find_phones(text: str, region: str, *, asked: bool) -> list[tuple[int, int, str, float]]:
    """(start, end, E.164, confidence). Unasked a number must be valid; asked for, a possible one will do."""
    found = []
    for match in itertools.islice(LONG_NUMBER.finditer(text), MOST):
        number, valid = _parse(match[0], region)
        if number and (valid or asked):
            found.append((match.start(), match.end(), number, 1.0 if valid else 0.7))
    return found


def _parse(text: str, region: str) -> tuple[str, bool]:
    import phonenumbers

    try:
        number = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        return "", False
    if not phonenumbers.is_possible_number(number):
        return "", False
    return (phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164),
            phonenumbers.is_valid_number(number))
