"""Personal data that a reply must not tell: `{use: personal_data, options: {kinds: [email, card]}}`.

E-mail addresses, telephone numbers, IBANs and card numbers, found in the text as a person reads it; social security
numbers of the United States (`ssn`) and internet addresses (`ip`) where a rule names them. Numbers of accounts and
cards are told from others by their checksums, telephone numbers by the numbering plans.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from ruche.plugins.contracts import Draft, Verdict
from ruche.plugins.enforcers.accounts import find_cards, find_ibans, is_iban
from ruche.plugins.enforcers.options import read_options, text_list
from ruche.plugins.enforcers.reading import legible, readings
from ruche.plugins.enforcers.traces import find_ips, find_ssns
from ruche.plugins.errors import ConfigurationError
from ruche.storage.model.rule import Rule

KINDS = {"email": "an e-mail address", "phone": "a telephone number", "iban": "an IBAN", "card": "a card number",
         "ssn": "a social security number", "ip": "an internet address"}
USUAL = ("email", "phone", "iban", "card")
"""What is looked for where a rule names no kinds."""
MOST = 50
"""What may be a telephone number, of one text; with more the verdict is an error."""
_EMAIL = re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@(?:[\w-]{1,63}\.)+[^\W\d_]{2,24}(?![\w-])")
_PHONE = re.compile(r"(?<!\w)(?<!\d[.,])\+?\(?\d(?:(?:[ ()/\u2010-\u2013-]|\.(?=\d)){0,3}\d){6,16}(?!\w)")
_REGIONS = {"en": ("US", "GB"), "de": ("DE", "AT", "CH"), "fr": ("FR", "BE", "CH"), "es": ("ES", "MX"), "it": ("IT",),
            "nl": ("NL", "BE"), "pt": ("PT", "BR")}
"""Countries whose numbers are known without a country code, by the language of the reply."""
_NAME = re.compile(r"[a-z][a-z0-9_]*(?:\.[a-z][a-z0-9_]*)?")
_PASS = Verdict(outcome="pass")

Span = tuple[int, int]


class Personal(NamedTuple):
    """What is looked for, and what may be said all the same."""

    kinds: tuple[str, ...]
    texts: frozenset[str]
    """In the form in which values are compared; `@example.org` stands for every address there."""
    names: tuple[str, ...]
    """Names whose values may be said: `email`, `profile.phone`."""
    regions: tuple[str, ...]


class PersonalDataEnforcer:
    """Options: `kinds` (the usual four), `allow` (values, `@domain`, or names whose value may be said), `regions`
    (countries whose telephone numbers are known without a country code; by default those of the reply's language)."""

    name = "personal_data"
    monotone = True

    def prepare(self, rule: Rule) -> Personal:
        options = read_options(rule, ("kinds", "allow", "regions"), empty=True)
        kinds = text_list(rule, options, "kinds") or USUAL
        for kind in kinds:
            if kind not in KINDS:
                raise ConfigurationError(f"rule {rule.id}: {kind} is no kind of personal data; there are "
                                         f"{', '.join(KINDS)}")
        allowed = text_list(rule, options, "allow")
        names = tuple(text for text in allowed if _NAME.fullmatch(text) and not is_iban(text))
        return Personal(kinds=kinds, names=names, regions=_known_regions(rule, text_list(rule, options, "regions")),
                        texts=frozenset(_compared(text) for text in allowed if text not in names))

    def check(self, draft: Draft, rule: Rule, prepared: Personal) -> Verdict:
        allowed = prepared.texts | _values(draft.names, prepared.names)
        regions = prepared.regions or _REGIONS.get(draft.language[:2], ("US",))
        for text in _texts(draft.text):
            for kind in prepared.kinds:
                for start, end in _find(kind, text, regions):
                    if not _is_allowed(kind, text[start:end], allowed):
                        return Verdict(outcome="fail", reason=f"contains {KINDS[kind]}",
                                       span=(start, end) if text == draft.text else None)
        return _PASS


def _texts(text: str) -> Iterator[str]:
    yield legible(text)
    if not text.isascii():
        yield from (reading.text for reading in readings(text))


def _find(kind: str, text: str, regions: tuple[str, ...]) -> Iterator[Span]:
    if kind == "email":
        return (found.span() for found in _EMAIL.finditer(text)) if "@" in text else iter(())
    if kind == "phone":
        return (found.span() for found in _some(_PHONE.finditer(text)) if _is_phone(found[0], regions))
    return _NUMBERS[kind](text)


_NUMBERS = {"iban": find_ibans, "card": find_cards, "ssn": find_ssns, "ip": find_ips}


def _some(found: Iterator[re.Match[str]]) -> Iterator[re.Match[str]]:
    """Raises ValueError after MOST: nobody may pass unseen what was not looked at."""
    for place, one in enumerate(found):
        if place >= MOST:
            raise ValueError("the text holds too many numbers to look at")
        yield one


def _is_phone(text: str, regions: tuple[str, ...]) -> bool:
    """A valid number; without a country code in one of the regions. The library is large and loaded when it is
    needed."""
    import phonenumbers

    for region in regions:
        try:
            if phonenumbers.is_valid_number(phonenumbers.parse(text, region)):
                return True
        except phonenumbers.NumberParseException:
            continue
    return False


def _is_allowed(kind: str, value: str, allowed: frozenset[str]) -> bool:
    key = _compared(value)
    if key in allowed or (kind == "email" and f"@{key.rpartition('@')[2]}" in allowed):
        return True
    digits = key.lstrip("0")
    return kind == "phone" and any(text.endswith(digits) for text in allowed if text.isdigit() and len(digits) >= 7)


def _compared(text: str) -> str:
    """An address in small letters, any other value as its letters and digits alone."""
    text = legible(text).casefold().strip()
    return text if "@" in text else "".join(char for char in text if char.isalnum())


def _values(names: Mapping[str, Any], wanted: tuple[str, ...]) -> frozenset[str]:
    found = []
    for name in wanted:
        space, dot, key = name.partition(".")
        inner = names.get(space) if dot else names
        value = inner.get(key or space) if isinstance(inner, Mapping) else None
        if isinstance(value, str | int) and not isinstance(value, bool):
            found.append(_compared(str(value)))
    return frozenset(found)


def _known_regions(rule: Rule, regions: tuple[str, ...]) -> tuple[str, ...]:
    for region in regions:
        if region not in _supported():
            raise ConfigurationError(f"rule {rule.id}: {region} is no country code; write for example DE or US")
    return regions


@lru_cache(maxsize=1)
def _supported() -> frozenset[str]:
    import phonenumbers

    return frozenset(phonenumbers.SUPPORTED_REGIONS)
