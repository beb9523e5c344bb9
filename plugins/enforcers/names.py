"""What a reply says, as names that expressions may use: `amount`, `percent`, counts and flags.

Everything here only rises while a reply grows, so an expression that a prefix breaks stays broken (`direction.py`).
Specification section 7, stage 1 of the variable extraction.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from functools import lru_cache
from typing import Any

from ruche.plugins.enforcers.length import measure
from ruche.plugins.enforcers.numerals import Number, numbers
from ruche.plugins.enforcers.reading import readings

_CODES = ("usd|eur|gbp|jpy|cny|inr|chf|cad|aud|nzd|sek|nok|dkk|pln|czk|huf|ron|bgn|try|rub|uah|brl|mxn|zar|krw|sgd|hkd|"
          "aed|sar|ils|thb|idr|php|myr|vnd|ngn|kes|egp")
_SIGNS = {"$": "USD", "€": "EUR", "£": "GBP", "¥": "JPY", "₹": "INR", "₽": "RUB", "₩": "KRW", "₺": "TRY", "₫": "VND",
          "₴": "UAH", "₦": "NGN", "฿": "THB", "₪": "ILS", "₱": "PHP", "¢": "USD", "rs": "INR", "rs.": "INR",
          "fr.": "CHF", "kr": "SEK", "zl": "PLN", "sfr": "CHF"}
_WORDS = {"dollar": "USD", "buck": "USD", "euro": "EUR", "pound": "GBP", "sterling": "GBP", "quid": "GBP",
          "pfund": "GBP", "livre": "GBP", "libra": "GBP", "yen": "JPY", "yuan": "CNY", "rupee": "INR", "rupie": "INR",
          "franken": "CHF", "franc": "CHF", "franco": "CHF", "peso": "MXN", "real": "BRL", "reais": "BRL",
          "krone": "DKK", "kronor": "SEK", "kroner": "NOK", "zloty": "PLN", "lira": "TRY", "won": "KRW",
          "rand": "ZAR", "dolar": "USD", "dolare": "USD"}
_SIGN = "|".join(re.escape(sign) for sign in sorted(_SIGNS, key=len, reverse=True))
_MARK = f"[{''.join(sign for sign in _SIGNS if not sign[0].isalpha())}]"
_BEFORE = re.compile(rf"(?:\b(?P<code>{_CODES})|(?P<sign>{_MARK}|(?<![a-z])(?:{_SIGN})))[ :]?$")
_AFTER = re.compile(rf"(?:,[-\u2013]{{1,2}})?[ \u00a0-]?(?:(?P<code>{_CODES})\b|(?P<sign>{_SIGN})(?![a-z])|"
                    rf"(?:us |canadian |australian )?"
                    rf"(?P<word>{'|'.join(_WORDS)})(?:s|es|n)?\b)")
_CENTS = re.compile(r" ?(?:cents?|centimes?|centavos?|pence|¢)(?![a-z])")
_RANGE = re.compile(r" ?(?:-|to|bis|a|or|oder|ou|o) ?$")
_PERCENT = re.compile(r" ?(?:%|percent\b|per cent\b|pct\b|prozent\b|pour ?cent\b|por ciento\b|per ?cento\b|٪)")

_FLAGS = {
    "contains_refund": {
        "en": r"\brefund|\breimburs|\bmoney back|\bchargeback|\bpay(?:ing)? (?:you|it) back",
        "de": r"erstatt|geld zuruck", "fr": r"\brembours", "es": r"\breembols|\bdevolu|\bdevolv"},
    "contains_promise": {
        "en": r"\bpromis(?:e|ing)|\bguarant|\brest assured|\b(?:i|we) assure|\byou have (?:my|our) word|"
              r"\b(?:i|we)(?: wi|')ll definitely|\bwithout fail",
        "de": r"\bversprech|\bversproch|\bgarant|\bversicher(?:e|n) (?:ich|wir|ihnen|dir)|\bzusag",
        "fr": r"\bpromet|\bpromis|\bpromesse|\bgarant|\bvous assur", "es": r"\bpromet|\bpromes|\bgarant|\ble asegur"},
    "contains_guarantee": {"en": r"\bguarant|\bwarrant", "de": r"\bgarant", "fr": r"\bgarant", "es": r"\bgarant"},
    "contains_apology": {
        "en": r"\bsorry|\bapolog|\bregret|\bforgive|\bour fault|\bmy fault",
        "de": r"entschuldig|\bleid tun|\btut (?:mir|uns|es mir|es uns) .{0,20}leid|\bbedauer|\bverzeih",
        "fr": r"\bdesole|\bexcus|\bpardon|\bnavre", "es": r"\blo siento|\blo sentimos|\bdisculp|\blament|\bperdon"},
    "contains_discount": {
        "en": r"\b(?:discount|rebate|coupon|voucher|price reduction|for free|free of charge|percent off)|% ?off",
        "de": r"rabatt|gutschein|nachlass|\bkostenlos|\bgratis", "fr": r"\bremise|\breduction|\brabais|\bgratuit",
        "es": r"\bdescuent|\brebaj|\bcupon|\bgratis|\bgratuit"},
    "contains_link": {"en": r"https?:|\bwww\.|\b[a-z0-9-]{1,63}\.(?:com|org|net|io|dev|app|info|eu|co|de|fr|es|uk)\b"},
    "contains_email": {"en": r"[a-z0-9._%+-]{1,64}@[a-z0-9-]{1,63}\.[a-z]"},
    "contains_phone": {"en": r"(?<![\d.,])\+?\d(?:[ ()./-]{0,2}\d){7,14}"},
    "contains_question": {"en": r"[?؟¿⁇]"},
}
_COUNTS = ("character_count", "word_count", "sentence_count", "question_count", "exclamation_count", "amount_count")
ALWAYS = frozenset(_FLAGS) | frozenset(_COUNTS) | {"contains_amount", "contains_percent"}
"""Names that every reply has."""
RISING = ALWAYS | {"amount", "percent"}
"""Names whose value never falls while the reply grows; `amount` and `percent` are missing until there is one."""
VOCABULARY = RISING | {"currency"}
"""All names that `extract_names` may give."""


def extract_names(text: str, language: str = "en") -> dict[str, Any]:
    """What `text` says. English words are always known, German, French and Spanish when `language` says so.

    amount (the largest money figure), currency (its ISO code), percent (the largest), `contains_*` flags, and
    character_count, word_count, sentence_count, question_count, exclamation_count, amount_count. `amount`, `currency`
    and `percent` are absent when the text names none.
    """
    spoken = language[:2].lower()
    seen = readings(text)
    figures = [(reading.text, tuple(numbers(reading.text, spoken))) for reading in seen]
    amounts = [amount for read, found in figures for amount in _amounts(read, found)]
    percents = [number.value for read, found in figures for number in found if is_percent(read, number)]
    names: dict[str, Any] = {
        name: any(pattern.search(reading.text) is not None for reading in seen)
        for name, pattern in _flags(spoken).items()}
    names.update(character_count=len(text), word_count=measure(text, "words"),
                 sentence_count=measure(text, "sentences"), question_count=text.count("?"),
                 exclamation_count=text.count("!"), amount_count=len(amounts), contains_amount=bool(amounts),
                 contains_percent=bool(percents))
    if amounts:
        names["amount"], names["currency"] = max(amounts)
    if percents:
        names["percent"] = max(percents)
    return names


def draft_names(reply: Mapping[str, Any], session: Mapping[str, Any], profile: Mapping[str, Any],
                now: Mapping[str, Any] | None = None, identity: Collection[str] = ()) -> dict[str, Any]:
    """`Draft.names`: the namespaces, and bare names with reply over session over profile.

    A name in `identity` is read from the profile only: no reply and no session value stands in front of it.
    """
    names = {**profile, **session, **reply}
    for name in identity:
        names.pop(name, None)
        if name in profile:
            names[name] = profile[name]
    names.update(reply=reply, session=session, profile=profile)
    if now is not None:
        names["now"] = now
    return names


@lru_cache(maxsize=32)
def _flags(language: str) -> dict[str, re.Pattern[str]]:
    return {name: re.compile("|".join({words["en"], words.get(language, words["en"])}))
            for name, words in _FLAGS.items()}


def _amounts(text: str, among: tuple[Number, ...]) -> list[tuple[float, str]]:
    found: list[tuple[float, str]] = []
    previous: Number | None = None
    for number in among:
        code = currency(text, number)
        if code is None and previous is not None and found and _RANGE.fullmatch(text[previous.end:number.start]):
            code = found[-1][1]
        elif code is None and _CENTS.match(text, number.end):
            number, code = number._replace(value=number.value / 100), "USD"
        if code is not None:
            found.append((number.value, code))
        previous = number if code is not None else None
    return found


def currency(text: str, number: Number) -> str | None:
    """The ISO code of the sign, code or word beside a number, None when there is none."""
    if text.endswith("grand", number.start, number.end):
        return "USD"
    after = _AFTER.match(text, number.end)
    if after:
        return _code(after["code"], after["sign"], after["word"])
    before = _BEFORE.search(text[max(0, number.start - 6):number.start])
    return _code(before["code"], before["sign"], None) if before else None


def is_percent(text: str, number: Number) -> bool:
    """True when a percent sign or word stands behind a number."""
    return _PERCENT.match(text, number.end) is not None


def _code(code: str | None, sign: str | None, word: str | None) -> str:
    return code.upper() if code else _SIGNS[sign] if sign else _WORDS[word or ""]
