"""Numbers as people write them: digits with separators, and words (`twenty-five`, `two hundred and six`, `a dozen`)."""

from __future__ import annotations

import re

_UNITS = {
    "zero": 0, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9,
    "ten": 10, "eleven": 11, "twelve": 12, "thirteen": 13, "fourteen": 14, "fifteen": 15, "sixteen": 16,
    "seventeen": 17, "eighteen": 18, "nineteen": 19,
}
_TENS = {"twenty": 20, "thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90}
_SCALES = {"hundred": 100, "thousand": 1_000, "million": 1_000_000, "billion": 1_000_000_000}
_SPECIAL = {"dozen": 12, "couple": 2, "half": 0.5}
_OTHER = {
    # French, German, Spanish, Italian, Dutch, Portuguese: what people say for small amounts
    "un": 1, "une": 1, "deux": 2, "trois": 3, "quatre": 4, "cinq": 5, "sept": 7, "huit": 8, "neuf": 9, "dix": 10,
    "onze": 11, "douze": 12, "vingt": 20, "trente": 30, "quarante": 40, "cinquante": 50, "cent": 100, "mille": 1000,
    "ein": 1, "eine": 1, "einen": 1, "zwei": 2, "drei": 3, "vier": 4, "fünf": 5, "sechs": 6, "sieben": 7, "acht": 8,
    "neun": 9, "zehn": 10, "elf": 11, "zwölf": 12, "zwanzig": 20, "dreißig": 30, "hundert": 100, "tausend": 1000,
    "uno": 1, "una": 1, "dos": 2, "tres": 3, "cuatro": 4, "cinco": 5, "seis": 6, "siete": 7, "ocho": 8, "nueve": 9,
    "diez": 10, "doce": 12, "veinte": 20, "cien": 100, "due": 2, "tre": 3, "quattro": 4, "cinque": 5, "sei": 6,
    "sette": 7, "otto": 8, "nove": 9, "dieci": 10, "venti": 20, "twee": 2, "drie": 3, "vijf": 5, "zes": 6, "zeven": 7,
    "negen": 9, "tien": 10, "dois": 2, "duas": 2, "três": 3, "quatro": 4, "oito": 8, "dez": 10, "vinte": 20,
}
_ARTICLES = frozenset({"un", "une", "ein", "eine", "einen", "uno", "una"})
_WORDS = {**_UNITS, **_TENS, **_SCALES, **_SPECIAL, **_OTHER}

_DIGITS = r"[-+]?\d{1,3}(?:[ ,.'\u00a0\u202f]\d{3})+(?:[.,]\d{1,2})?(?!\d)|[-+]?\d+(?:[.,]\d+)?"
_ANY = "|".join(sorted(map(re.escape, _WORDS), key=lambda word: (-len(word), word)))
_SPELLED = rf"(?:an? +(?={'|'.join((*_SCALES, *_SPECIAL))}))?(?:{_ANY})(?:(?:[ -]+and[ -]+|[ -]+)(?:{_ANY}))*"
NUMBER = rf"(?:{_DIGITS}|\b(?:{_SPELLED})\b)"
"""Source of a pattern that matches one number; `read` gives its value. Meant for lower-case text."""

_FIND = re.compile(rf"(?<![\w.,])(?:{NUMBER})(?P<scale>k|m)?(?![\w])")
_GROUPED = re.compile(r"[-+]?\d{1,3}(?:[ ,.'\u00a0\u202f]\d{3})+(?:[.,]\d{1,2})?")


def find_numbers(text: str) -> list[tuple[int, int, float]]:
    """(start, end, value) of every number in lower-case `text`, in order. A word that is an article as well counts
    where no other number is there: `einen Tisch für zwei`."""
    found = _numbers(text)
    counted = [one for one in found if text[one[0]:one[1]] not in _ARTICLES]
    return counted or found


def _numbers(text: str) -> list[tuple[int, int, float]]:
    found = []
    for match in _FIND.finditer(text):
        scale = {"k": 1e3, "m": 1e6}.get(match["scale"] or "", 1.0)
        value = read(match[0][:-1] if match["scale"] else match[0])
        if value is not None:
            found.append((match.start(), match.end(), value * scale))
    return found


def read(text: str) -> float | None:
    """The value of one number as `NUMBER` matches it, None when the words do not form a number."""
    return _from_digits(text) if any(sign.isdigit() for sign in text) else _from_words(text)


def plain(value: float) -> int | float:
    """Whole numbers as int, so that 4 is written 4."""
    return int(value) if value == int(value) else value


def _from_digits(text: str) -> float | None:
    sign = -1.0 if text.startswith("-") else 1.0
    text = text.lstrip("+-")
    if _GROUPED.fullmatch(text):
        head, decimals = _decimals(text)
        return sign * float(f"{re.sub(r'[^0-9]', '', head)}.{decimals}")
    try:
        return sign * float(text.replace(",", "."))
    except ValueError:
        return None


def _decimals(text: str) -> tuple[str, str]:
    """Split off a decimal part: one or two digits behind the last separator are decimals, three are a group."""
    match = re.search(r"[.,](\d{1,2})$", text)
    return (text[:match.start()], match[1]) if match else (text, "0")


def _from_words(text: str) -> float | None:
    words = [word for word in re.split(r"[ -]+", text.strip()) if word not in ("and", "a", "an", "")]
    total, current = 0.0, 0.0
    for word in words:
        value = _WORDS.get(word)
        if value is None:
            return None
        if word in ("hundred", "thousand", "million", "billion"):
            current = (current or 1.0) * value
            if value >= 1000:
                total, current = total + current, 0.0
        elif word == "dozen":
            current = (current or 1.0) * value
        elif not _joins(current, value):
            return None
        else:
            current += value
    return total + current


def _joins(current: float, value: float) -> bool:
    """`twenty five` and `hundred six` are one number; `five six` is none."""
    if not current:
        return True
    if current % 100 == 0:
        return value < 100
    return current % 10 == 0 and current % 100 >= 20 and 0 < value < 10
