"""Regular expressions that a reply must not match, or must match: `{use: pattern, options: {forbidden: [...]}}`.

They run in linear time (`automaton.py`), over the text as a person reads it (`reading.py`).
"""

from __future__ import annotations

from typing import NamedTuple

from ruche.plugins.contracts import Draft, Verdict
from ruche.plugins.enforcers.automaton import Automaton
from ruche.plugins.enforcers.options import flag, read_options, text_list
from ruche.plugins.enforcers.reading import legible, readings
from ruche.plugins.errors import ConfigurationError
from ruche.storage.model.rule import Rule

MAX_TEXT = 32_768
"""Characters of a reply that is judged; a longer one is an error, which a hard rule counts as failed."""
_PASS = Verdict(outcome="pass")


class Patterns(NamedTuple):
    forbidden: tuple[Automaton, ...]
    required: tuple[Automaton, ...]
    case: bool
    monotone: bool


class PatternEnforcer:
    """Options: `forbidden`, `required` (all of them), `case` (false: case is ignored).

    Monotone without `required` and without `$`.
    """

    name = "pattern"
    monotone = False

    def prepare(self, rule: Rule) -> Patterns:
        options = read_options(rule, ("forbidden", "required", "case"))
        case = flag(rule, options, "case", False)
        forbidden = tuple(_automaton(rule, text, case) for text in text_list(rule, options, "forbidden"))
        required = tuple(_automaton(rule, text, case) for text in text_list(rule, options, "required"))
        if not forbidden and not required:
            raise ConfigurationError(f"rule {rule.id}: pattern needs forbidden or required")
        return Patterns(forbidden, required, case, not required and not any(one.needs_end for one in forbidden))

    def check(self, draft: Draft, rule: Rule, prepared: Patterns) -> Verdict:
        if len(draft.text) > MAX_TEXT:
            return Verdict(outcome="error", reason=f"the text is longer than {MAX_TEXT} characters")
        texts = _texts(draft.text, prepared.case)
        for pattern in prepared.forbidden:
            for text in texts:
                end = pattern.search(text)
                if end is not None:
                    return Verdict(outcome="fail", reason=f"matches the forbidden pattern {pattern.pattern!r}",
                                   span=(0, end) if text == draft.text else None)
        if draft.whole:
            for pattern in prepared.required:
                if pattern.search(texts[0]) is None:
                    return Verdict(outcome="fail", reason=f"lacks the required pattern {pattern.pattern!r}")
        return _PASS


def _automaton(rule: Rule, pattern: str, case: bool) -> Automaton:
    try:
        return Automaton(pattern, ignore_case=not case)
    except ConfigurationError as error:
        raise ConfigurationError(f"rule {rule.id}: {error.message}") from None


def _texts(text: str, case: bool) -> list[str]:
    """The readings to judge, the most literal first. Look-alike letters have no case: `case: true` leaves them out."""
    literal = legible(text)
    if case or text.isascii():
        return [literal]
    return [literal, *(reading.text for reading in readings(text))]
