"""How long a reply may be: `{use: length, options: {max_words: 60}}`."""

from __future__ import annotations

import re
from typing import NamedTuple

from ruche.plugins.contracts import Draft, Verdict
from ruche.plugins.enforcers.options import count, read_options
from ruche.plugins.errors import ConfigurationError
from ruche.storage.model.rule import Rule

_WORD = re.compile(r"\w+(?:['’-]\w+)*")
_END = re.compile(r"(?<!\d)[.]|[.](?!\d)|[!?…。！？]")
_LETTER = re.compile(r"\w")
_BLANK_LINE = re.compile(r"\n[ \t]*\n")
_BULLET = re.compile(r"(?m)^[ \t]*(?:[*\-+•‣◦](?=[ \t])|\d{1,3}[.)](?=[ \t]))")
_UNITS = ("characters", "words", "sentences", "paragraphs", "lines", "bullets")
_PASS = Verdict(outcome="pass")


class Limits(NamedTuple):
    """(unit, least, most) for each unit that is limited."""

    bounds: tuple[tuple[str, int | None, int | None], ...]
    monotone: bool


class LengthEnforcer:
    """Options: `min_` and `max_` with `characters`, `words`, `sentences`, `paragraphs` (parted by blank lines), `lines`
    (that are not blank) and `bullets` (entries of lists). Monotone without a minimum."""

    name = "length"
    monotone = False

    def prepare(self, rule: Rule) -> Limits:
        options = read_options(rule, tuple(f"{side}_{unit}" for unit in _UNITS for side in ("min", "max")))
        bounds = tuple((unit, count(rule, options, f"min_{unit}"), count(rule, options, f"max_{unit}"))
                       for unit in _UNITS)
        for unit, least, most in bounds:
            if least is not None and most is not None and least > most:
                raise ConfigurationError(f"rule {rule.id}: min_{unit} is above max_{unit}")
        return Limits(tuple(bound for bound in bounds if bound[1:] != (None, None)),
                      monotone=all(least is None for _, least, _ in bounds))

    def check(self, draft: Draft, rule: Rule, prepared: Limits) -> Verdict:
        for unit, least, most in prepared.bounds:
            size = measure(draft.text, unit)
            if most is not None and size > most:
                return Verdict(outcome="fail", reason=f"has {size} {unit}, at most {most} are allowed")
            if draft.whole and least is not None and size < least:
                return Verdict(outcome="fail", reason=f"has {size} {unit}, at least {least} are needed")
        return _PASS


def measure(text: str, unit: str) -> int:
    """The size of a text in one of the units; a point inside a number ends no sentence."""
    if unit == "characters":
        return len(text)
    if unit == "words":
        return len(_WORD.findall(text))
    if unit == "paragraphs":
        return sum(bool(part.strip()) for part in _BLANK_LINE.split(text))
    if unit == "lines":
        return sum(bool(line.strip()) for line in text.splitlines())
    if unit == "bullets":
        return len(_BULLET.findall(text))
    return sum(_LETTER.search(part) is not None for part in _END.split(text))
