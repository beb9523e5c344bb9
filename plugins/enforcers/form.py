"""The form of a reply: `{use: form, options: {ends_with: "Is there anything else?"}}`."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NamedTuple

from ruche.plugins.contracts import Draft, Verdict
from ruche.plugins.enforcers.options import flag, read_options, text_list
from ruche.plugins.enforcers.reading import legible
from ruche.plugins.enforcers.tongues import TONGUES, language_of
from ruche.plugins.errors import ConfigurationError
from ruche.storage.model.rule import Rule

MAX_JSON = 100_000
"""Characters of a reply that is read as JSON."""
_OPTIONS = ("case", "starts_with", "ends_with", "one_of", "quoted", "json", "language")
_PASS = Verdict(outcome="pass")
_QUOTES = {'"': '"', "“": "”", "„": "“", "«": "»", "»": "«"}
_TRIMMED = " \t\r\n\"'“”„«»*_`"


class Forms(NamedTuple):
    """What is asked of the form; None and empty where nothing is."""

    case: str = ""
    start: tuple[str, ...] = ()
    end: tuple[str, ...] = ()
    one_of: tuple[str, ...] = ()
    quoted: bool = False
    json: bool = False
    language: str = ""
    monotone: bool = False


class FormEnforcer:
    """Options: `case` (lower, upper), `starts_with`, `ends_with`, `one_of` (one of these texts stands in the reply),
    `quoted` (in quotation marks), `json` (a JSON document, fenced or not), `language` (a code such as de; a text too
    short to tell passes). Case is ignored in texts, and so are quotation marks and emphasis around the reply. Monotone
    with `case` alone."""

    name = "form"
    monotone = False

    def prepare(self, rule: Rule) -> Forms:
        options = read_options(rule, _OPTIONS)
        case, language = options.get("case", ""), options.get("language", "")
        if case not in ("", "lower", "upper"):
            raise ConfigurationError(f"rule {rule.id}: case is lower or upper")
        if language and (not isinstance(language, str) or language not in TONGUES):
            raise ConfigurationError(f"rule {rule.id}: the language {language} cannot be told; write one of "
                                     f"{', '.join(sorted(TONGUES))}")
        return Forms(case, _texts(rule, options, "starts_with"), _texts(rule, options, "ends_with"),
                     _texts(rule, options, "one_of"), flag(rule, options, "quoted", False),
                     flag(rule, options, "json", False), language, monotone=set(options) == {"case"})

    def check(self, draft: Draft, rule: Rule, prepared: Forms) -> Verdict:
        text = legible(draft.text)
        for fault in (_wrong_case, _wrong_words, *((_wrong_whole,) if draft.whole else ())):
            found = fault(text, prepared)
            if found:
                return Verdict(outcome="fail", reason=found)
        return _PASS


def _wrong_case(text: str, forms: Forms) -> str:
    if forms.case == "lower" and any(char.isupper() or char.istitle() for char in text):
        return "holds capital letters"
    if forms.case == "upper" and any(char.islower() for char in text):
        return "holds small letters"
    return ""


def _wrong_words(text: str, forms: Forms) -> str:
    """What a prefix shows as well, once it is long enough."""
    core = _core(text)
    if forms.start and not any(core.startswith(one[:len(core)]) for one in forms.start):
        return "begins otherwise"
    return ""


def _wrong_whole(text: str, forms: Forms) -> str:
    core = _core(text)
    tests: tuple[tuple[bool, Callable[[], bool], str], ...] = (
        (bool(forms.start), lambda: any(core.startswith(one) for one in forms.start), "begins otherwise"),
        (bool(forms.end), lambda: any(core.endswith(one) for one in forms.end), "ends otherwise"),
        (bool(forms.one_of), lambda: any(one in core for one in forms.one_of), "is none of the allowed texts"),
        (forms.quoted, lambda: _quoted(text.strip()), "is not in quotation marks"),
        (forms.json, lambda: _is_json(text), "is no JSON document"),
        (bool(forms.language), lambda: language_of(text) in (None, forms.language),
         f"is not in the language {forms.language}"))
    return next((reason for asked, holds, reason in tests if asked and not holds()), "")


def _quoted(text: str) -> bool:
    return len(text) > 1 and _QUOTES.get(text[0]) == text[-1]


def _is_json(text: str) -> bool:
    body = text.strip()
    if body.startswith("```") and body.endswith("```") and len(body) > 6:
        body = body[3:-3].strip()
        body = body[4:] if body[:4].lower() == "json" else body
    if len(body) > MAX_JSON:
        return False
    try:
        return isinstance(json.loads(body), dict | list)
    except (ValueError, RecursionError):
        return False


def _core(text: str) -> str:
    """The text in one case with single blanks, without what may stand around a reply."""
    return " ".join(text.casefold().strip(_TRIMMED).split())


def _texts(rule: Rule, options: dict[str, Any], name: str) -> tuple[str, ...]:
    return tuple(_core(legible(text)) for text in text_list(rule, options, name))
