"""What a message signals beside its content: yes, no, stop, go back, a correction, a mere greeting, thanks, goodbye."""

from __future__ import annotations

import re
from collections.abc import Iterable

import msgspec

from ruche.engine.brain.words import (
    BACK,
    BESIDE_THANKS,
    BUT,
    BYE,
    CANCEL,
    CORRECTION,
    HELLO,
    NO,
    OPENING,
    PAUSE,
    RESUME,
    THANKS,
    UNSURE,
    WHY,
    YES,
)

_WORD = re.compile(r"[^\W_]+(?:['’\-][^\W_]+)*")
_POLITE = frozenset({"please", "thanks", "thank", "you", "thx", "merci", "bitte", "danke", "gracias", "grazie",
                      "obrigado", "bedankt"})
_SHORT = 8
"""Words up to which a message may be a signal; a longer one says something of its own."""


class Signals(msgspec.Struct, frozen=True, kw_only=True):
    answer: str = ""
    """`yes`, `no` or empty."""
    cancel: bool = False
    back: bool = False
    pause: bool = False
    resume: bool = False
    correction: bool = False
    hello: bool = False
    """The message greets and says nothing else."""
    thanks: bool = False
    """It thanks and says nothing else."""
    bye: bool = False
    """It takes leave, and may thank besides."""
    unsure: bool = False
    """It says that the person does not know."""

    @property
    def says_nothing(self) -> bool:
        """True when the message is nobody's free text."""
        return (self.cancel or self.back or self.pause or self.resume or self.hello or self.thanks or self.bye
                or self.unsure)


def words_of(text: str) -> tuple[str, ...]:
    """The words of lower-case `text`, apostrophes and hyphens kept inside them."""
    return tuple(_WORD.findall(text.replace("’", "'")))


def is_about(signals: Signals, texts: Iterable[str], languages: Iterable[str]) -> bool:
    """True where one of the texts thanks or takes leave as the signals do: what bears it answers just that."""
    phrases: frozenset[str] = frozenset()
    for code in {language[:2] for language in languages} & YES.keys():
        phrases |= (THANKS[code] if signals.thanks else frozenset()) | (BYE[code] if signals.bye else frozenset())
    return any(_contains(" ".join(words_of(text.lower())), phrases) for text in texts)


def read_signals(words: tuple[str, ...], language: str, cancel: frozenset[str] = frozenset()) -> Signals:
    """`cancel` holds the agent's own sentences for leaving a scenario, as `phrase` makes them."""
    code = language[:2] if language[:2] in YES else "en"
    core = tuple(word for word in words if word not in _POLITE)
    short = len(core) <= _SHORT
    said = " ".join(core)
    grateful = [word for word in words if word in THANKS[code]]
    rest = tuple(word for word in words if word not in THANKS[code] and word not in BESIDE_THANKS[code])
    return Signals(
        answer=_answer(core, code) if short else "",
        cancel=short and (_says(said, CANCEL[code], whole=len(core) > 3) or _contains(said, cancel)),
        back=short and _says(said, BACK[code], whole=True),
        pause=short and said in PAUSE[code], resume=short and said in RESUME[code],
        correction=_contains(said, CORRECTION[code]),
        hello=bool(core) and said in HELLO[code],
        thanks=bool(grateful) and short and not rest,
        unsure=short and _contains(said, UNSURE[code]),
        bye=short and (said in BYE[code] or " ".join(rest) in BYE[code]))


def phrase(text: str) -> str:
    """A sentence in the form in which signals are compared."""
    return " ".join(words_of(text.lower()))


def _answer(words: tuple[str, ...], code: str) -> str:
    """`yes`, `no` or empty; a little word may go before it: `well yes`, `oh no`."""
    if len(words) > 1 and words[0] in OPENING[code]:
        words = words[1:]
    for length in (4, 3, 2, 1):
        start = " ".join(words[:length])
        if len(words) >= length and start in UNSURE[code]:
            return ""
        if len(words) >= length and start in NO[code]:
            return "no"
        if len(words) >= length and start in YES[code]:
            return "no" if _taken_back(words[length:], code) else "yes"
    return ""


def _taken_back(rest: tuple[str, ...], code: str) -> bool:
    """`stimmt nicht`, `yes but not today`: what follows the yes takes it back, unless it asks why not."""
    near = rest[:3]
    return any(word in BUT[code] and near[place - 1:place] != (WHY[code],) for place, word in enumerate(near))


def _says(said: str, phrases: frozenset[str], *, whole: bool) -> bool:
    """The phrase itself, or one with a few words around it: `please cancel`, `i want to cancel`."""
    return said in phrases or (_contains(said, phrases) if not whole else _ends(said, phrases))


def _ends(said: str, phrases: frozenset[str]) -> bool:
    return any(said.endswith(f" {item}") or said.startswith(f"{item} ") for item in phrases if " " in item)


def _contains(said: str, phrases: frozenset[str]) -> bool:
    padded = f" {said} "
    return any(f" {item} " in padded for item in phrases)
