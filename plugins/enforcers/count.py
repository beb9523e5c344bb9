"""How often something stands in a reply: `{use: count, options: {phrase: thank you, max: 1}}`."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from ruche.plugins.contracts import Draft, Verdict
from ruche.plugins.enforcers.automaton import Automaton
from ruche.plugins.enforcers.options import count, flag, read_options
from ruche.plugins.enforcers.reading import legible
from ruche.plugins.errors import ConfigurationError
from ruche.storage.model.rule import Rule

MAX_TEXT = 32_768
"""Characters of a reply that is judged; a longer one is an error, which a hard rule counts as failed."""
_PASS = Verdict(outcome="pass")


class Counted(NamedTuple):
    """What is counted, and how often it may stand there."""

    what: Automaton
    least: int
    most: int | None
    monotone: bool


class CountEnforcer:
    """Options: `phrase` (words as they are) or `pattern`, `min`, `max`, `case` (false: case is ignored), `whole_words`
    (true, for a phrase). Matches do not overlap. Monotone without a minimum."""

    name = "count"
    monotone = False

    def prepare(self, rule: Rule) -> Counted:
        options = read_options(rule, ("phrase", "pattern", "min", "max", "case", "whole_words"))
        least, most = count(rule, options, "min"), count(rule, options, "max")
        if least is None and most is None:
            raise ConfigurationError(f"rule {rule.id}: count needs min, max or both")
        if least is not None and most is not None and least > most:
            raise ConfigurationError(f"rule {rule.id}: min is above max")
        what = _automaton(rule, options)
        return Counted(what, least or 0, most, monotone=not least and not what.needs_end)

    def check(self, draft: Draft, rule: Rule, prepared: Counted) -> Verdict:
        if len(draft.text) > MAX_TEXT:
            return Verdict(outcome="error", reason=f"the text is longer than {MAX_TEXT} characters")
        enough = prepared.least if prepared.most is None else prepared.most
        found = prepared.what.count(legible(draft.text), enough)
        if prepared.most is not None and found > prepared.most:
            return Verdict(outcome="fail", reason=f"holds {prepared.what.pattern!r} more than {prepared.most} times")
        if draft.whole and found < prepared.least:
            return Verdict(outcome="fail", reason=f"holds {prepared.what.pattern!r} {found} times, at least "
                                                  f"{prepared.least} are needed")
        return _PASS


def _automaton(rule: Rule, options: dict[str, Any]) -> Automaton:
    given = [name for name in ("phrase", "pattern") if isinstance(options.get(name), str) and options[name].strip()]
    if len(given) != 1:
        raise ConfigurationError(f"rule {rule.id}: count needs a text under phrase or under pattern")
    source = options[given[0]]
    if given[0] == "phrase":
        source = _of_words(source, flag(rule, options, "whole_words", True))
    try:
        found = Automaton(source, ignore_case=not flag(rule, options, "case", False))
    except ConfigurationError as error:
        raise ConfigurationError(f"rule {rule.id}: {error.message}") from None
    if not found.width:
        raise ConfigurationError(f"rule {rule.id}: the pattern {source!r} also matches nothing at all; write what is "
                                 "to be counted")
    return found


def _of_words(phrase: str, whole: bool) -> str:
    """A pattern for the phrase, its words parted by any blanks."""
    source = r"\s+".join(re.escape(word) for word in phrase.split())
    first, last = re.match(r"\w", phrase.strip()), re.search(r"\w$", phrase.strip())
    return (r"\b" if whole and first else "") + source + (r"\b" if whole and last else "")
