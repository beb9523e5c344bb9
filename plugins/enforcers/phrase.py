"""Phrases that a reply must not contain, or must contain: `{use: phrase, options: {forbidden: [...]}}`.

Found however they are written: case, spacing, accents, full-width and look-alike letters, invisible characters.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from ruche.plugins.contracts import Draft, Verdict
from ruche.plugins.enforcers.options import flag, read_options, text_list
from ruche.plugins.enforcers.reading import plain, readings
from ruche.plugins.errors import ConfigurationError
from ruche.storage.model.rule import Rule

_PASS = Verdict(outcome="pass")


class Phrases(NamedTuple):
    """A rule's phrases, compiled. `monotone`: a failing prefix fails as a whole, so prefixes may be judged."""

    forbidden: re.Pattern[str] | None
    required: tuple[tuple[str, re.Pattern[str]], ...]
    monotone: bool


class PhraseEnforcer:
    """Options: `forbidden`, `required` (all of them), `whole_words` (true). Monotone without `required`."""

    name = "phrase"
    monotone = False

    def prepare(self, rule: Rule) -> Phrases:
        options = read_options(rule, ("forbidden", "required", "whole_words"))
        whole = flag(rule, options, "whole_words", True)
        forbidden = text_list(rule, options, "forbidden")
        required = text_list(rule, options, "required")
        if not forbidden and not required:
            raise ConfigurationError(f"rule {rule.id}: phrase needs forbidden or required")
        return Phrases(forbidden=_pattern(forbidden, whole, rule) if forbidden else None,
                       required=tuple((text, _pattern((text,), whole, rule)) for text in required),
                       monotone=not required)

    def check(self, draft: Draft, rule: Rule, prepared: Phrases) -> Verdict:
        seen = readings(draft.text)
        if prepared.forbidden is not None:
            for reading in seen:
                found = prepared.forbidden.search(reading.text)
                if found:
                    return Verdict(outcome="fail", reason=f"contains the forbidden phrase {found.group()!r}",
                                   span=reading.span(*found.span()))
        if draft.whole:
            for text, pattern in prepared.required:
                if not pattern.search(seen[0].text):
                    return Verdict(outcome="fail", reason=f"lacks the required phrase {text!r}")
        return _PASS


def _pattern(phrases: tuple[str, ...], whole: bool, rule: Rule) -> re.Pattern[str]:
    """One alternation of all phrases; words may be parted by any run of blanks and punctuation. Linear: no part of
    it can match at two lengths, since words begin and end with a word character."""
    choices = []
    for phrase in phrases:
        words = re.findall(r"\w+|[^\w\s]+", plain(phrase))
        if not words:
            raise ConfigurationError(f"rule {rule.id}: the phrase {phrase!r} holds no letter that can be read")
        choices.append(_choice(words, whole))
    return re.compile("|".join(sorted(choices, key=len, reverse=True)))


def _choice(words: list[str], whole: bool) -> str:
    only_words = [word for word in words if word[0].isalnum() or word[0] == "_"]
    if not only_words:
        return r"\s*".join(re.escape(word) for word in words)
    body = r"[\W_]{1,20}".join(re.escape(word) for word in only_words)
    return rf"(?<!\w){body}(?!\w)" if whole else body
