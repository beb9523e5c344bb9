"""What a person reads in a text, whatever code points it is made of (security item 37).

A text may spell a forbidden phrase with full-width letters, invisible characters, reversed runs, letters of another
script or tag characters. `readings` gives every way in which it may be read; a phrase is searched in each of them.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import NamedTuple

_LOOKALIKES = {
    # Cyrillic
    "а": "a", "в": "b", "с": "c", "ԁ": "d", "е": "e", "ѐ": "e", "ԍ": "g", "һ": "h", "н": "h", "і": "i", "ї": "i",
    "ј": "j", "к": "k", "ӏ": "l", "м": "m", "п": "n", "о": "o", "р": "p", "ԛ": "q", "г": "r", "ѕ": "s", "т": "t",
    "υ": "u", "ѵ": "v", "ѡ": "w", "ԝ": "w", "х": "x", "у": "y", "ү": "y", "ғ": "f", "ё": "e", "ъ": "b", "ь": "b",
    # Greek
    "α": "a", "β": "b", "ϲ": "c", "δ": "d", "ε": "e", "η": "n", "ι": "i", "ϳ": "j", "κ": "k", "μ": "m", "ν": "v",
    "ο": "o", "ρ": "p", "σ": "o", "τ": "t", "χ": "x", "γ": "y", "ω": "w", "ζ": "z", "θ": "o", "ς": "s", "π": "n",
    # Armenian, Hebrew, Georgian, Cherokee
    "օ": "o", "ո": "n", "ս": "u", "հ": "h", "ց": "g", "զ": "q", "լ": "l", "ք": "p", "ա": "w", "ʝ": "j", "ס": "o",
    "ו": "l", "ן": "l", "ძ": "d", "ყ": "y", "ꭺ": "a", "ꭼ": "e", "ꮢ": "r", "ꭲ": "t", "ꮪ": "s", "ꮮ": "l", "ꮯ": "c",
    "ꭰ": "d", "ꮋ": "h", "ꮇ": "m", "ꮲ": "p", "ꮩ": "v", "ꮓ": "z", "ꭻ": "j", "ꮶ": "k", "ꮃ": "w",
    # Lisu
    "ꓮ": "a", "ꓐ": "b", "ꓚ": "c", "ꓓ": "d", "ꓰ": "e", "ꓝ": "f", "ꓖ": "g", "ꓧ": "h", "ꓲ": "i", "ꓙ": "j", "ꓗ": "k",
    "ꓡ": "l", "ꓟ": "m", "ꓠ": "n", "ꓳ": "o", "ꓑ": "p", "ꓣ": "r", "ꓢ": "s", "ꓔ": "t", "ꓴ": "u", "ꓦ": "v", "ꓪ": "w",
    "ꓫ": "x", "ꓬ": "y", "ꓜ": "z",
    # Latin letters that have no decomposition
    "ı": "i", "ȷ": "j", "ɑ": "a", "ɐ": "a", "ɒ": "a", "ƅ": "b", "ƀ": "b", "ɓ": "b", "ƈ": "c", "ɕ": "c", "đ": "d",
    "ɖ": "d", "ɗ": "d", "ð": "d", "ə": "e", "ɛ": "e", "ɘ": "e", "ƒ": "f", "ɡ": "g", "ɠ": "g", "ħ": "h", "ɦ": "h",
    "ɩ": "i", "ɨ": "i", "ɪ": "i", "ƙ": "k", "ł": "l", "ɫ": "l", "ɭ": "l", "ƚ": "l", "ʟ": "l", "ɱ": "m", "ɯ": "m",
    "ɲ": "n", "ŋ": "n", "ɳ": "n", "ɴ": "n", "ø": "o", "ɵ": "o", "ɔ": "o", "ƥ": "p", "ʠ": "q", "ɾ": "r", "ɼ": "r",
    "ɽ": "r", "ʀ": "r", "ɹ": "r", "ʂ": "s", "ƽ": "s", "ŧ": "t", "ƭ": "t", "ʈ": "t", "ʉ": "u", "ʊ": "u", "ʋ": "v",
    "ʌ": "v", "ɯ̡": "w", "ɣ": "y", "ʏ": "y", "ƴ": "y", "ʐ": "z", "ʑ": "z", "ƶ": "z", "ʙ": "b", "ɢ": "g", "ʜ": "h",
    "ᴀ": "a", "ᴄ": "c", "ᴅ": "d", "ᴇ": "e", "ᴊ": "j", "ᴋ": "k", "ᴍ": "m", "ᴏ": "o", "ᴘ": "p", "ᴛ": "t", "ᴜ": "u",
    "ᴠ": "v", "ᴡ": "w", "ᴢ": "z", "ꜱ": "s", "ꜰ": "f", "ꞓ": "c", "æ": "ae", "œ": "oe", "ß": "ss",
    # signs
    "∂": "d", "℮": "e", "∣": "l", "ǀ": "l", "∪": "u", "∨": "v", "⋁": "v", "×": "x", "†": "t", "€": "€",
    "‐": "-", "‑": "-", "‒": "-", "–": "-", "—": "-", "−": "-", "’": "'", "‘": "'", "“": '"', "”": '"',
}
_RIGHT_TO_LEFT = re.compile("[\u202e\u2067]([^\u202c\u2069\n]*)[\u202c\u2069]?")
_TAGS = re.compile("[\U000e0020-\U000e007e]")
_INVISIBLE = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u2800\u3164\uffa0")
_LETTER_SIGNS = (0x1F150, 0x1F170, 0x1F1E6)
"""Where A begins among the circled and squared letters on black, and the regional indicators."""
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_NO_LETTER = ("Mn", "Me", "Cf", "Cc", "Co", "Cn", "Cs")


class Reading(NamedTuple):
    """One way to read a text: lower case, plain letters. `at[i]` is the offset in the text of character i."""

    text: str
    at: tuple[int, ...] | None = None
    """None when offsets are those of the text itself."""

    def span(self, start: int, end: int) -> tuple[int, int]:
        """The span of the original text that was read as `text[start:end]`."""
        if self.at is None:
            return start, end
        return self.at[start], self.at[end - 1] + 1


def readings(text: str) -> tuple[Reading, ...]:
    """Every way to read `text`, the plainest first. One pass over ASCII; a few microseconds a character otherwise."""
    if text.isascii() and not _CONTROL.search(text):
        return (Reading(text.lower()),)
    found = [_read(text)]
    if "\u202e" in text or "\u2067" in text:
        found.append(_read_reversed(text))
    if _TAGS.search(text):
        found.append(_read(_TAGS.sub(lambda tag: chr(ord(tag.group()) - 0xE0000), text)))
    return tuple(found)


def plain(text: str) -> str:
    """The plainest reading of a phrase: how it must be written to be found in a Reading."""
    return readings(text)[0].text


def legible(text: str) -> str:
    """NFKC without invisible characters, case and letters as they are: what numbers and patterns are read from."""
    if text.isascii() and not _CONTROL.search(text):
        return text
    return "".join(char for char in unicodedata.normalize("NFKC", text) if _visible(char))


def _read(text: str) -> Reading:
    parts: list[str] = []
    offsets: list[int] = []
    for offset, char in enumerate(text):
        letters = _letters(char)
        parts.append(letters)
        offsets.extend([offset] * len(letters))
    return Reading("".join(parts), tuple(offsets))


def _read_reversed(text: str) -> Reading:
    order: list[int] = []
    last = 0
    for run in _RIGHT_TO_LEFT.finditer(text):
        order.extend(range(last, run.start(1)))
        order.extend(range(run.end(1) - 1, run.start(1) - 1, -1))
        last = run.end(1)
    order.extend(range(last, len(text)))
    turned = _read("".join(text[offset] for offset in order))
    return Reading(turned.text, tuple(order[at] for at in turned.at or ()))


@lru_cache(maxsize=4_096)
def _visible(char: str) -> bool:
    if char in _INVISIBLE:
        return False
    return char in "\n\t\r" or unicodedata.category(char) not in ("Cf", "Cc", "Cs", "Co", "Cn")


@lru_cache(maxsize=8_192)
def _letters(char: str) -> str:
    """The plain letters that one character is read as; nothing for marks and invisible ones."""
    if char in _LOOKALIKES:
        return _LOOKALIKES[char]
    if char in "\n\t\r":
        return char
    if char in _INVISIBLE or unicodedata.category(char) in _NO_LETTER:
        return ""
    for start in _LETTER_SIGNS:
        if start <= ord(char) < start + 26:
            return chr(ord(char) - start + ord("a"))
    return "".join(_letter(part) for part in unicodedata.normalize("NFKD", char.casefold()))


def _letter(char: str) -> str:
    """One decomposed character: without marks, in lower case, looked up in the table of look-alikes."""
    low = unicodedata.normalize("NFKD", char).lower()
    kept = "".join(part for part in low if unicodedata.category(part) not in _NO_LETTER)
    return "".join(_LOOKALIKES.get(part, part) for part in kept)
