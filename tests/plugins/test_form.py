"""The form of a reply: case, beginning, end, quotation marks, JSON, language."""

from __future__ import annotations

import pytest

from bench.suites.sentences import SENTENCES
from ruche.plugins.contracts import Draft, Verdict
from ruche.plugins.enforcers import FormEnforcer, prepare_rule
from ruche.plugins.enforcers.tongues import TONGUES, language_of
from ruche.plugins.errors import ConfigurationError
from ruche.storage.model.rule import Rule


def rule(**options: object) -> Rule:
    return Rule.model_validate({"id": "r", "if": "always", "then": "so", "hard": True,
                                "enforce": {"use": "form", "options": options}})


def judged(text: str, whole: bool = True, **options: object) -> Verdict:
    enforcer = FormEnforcer()
    return enforcer.check(Draft(text=text, question="", names={}, whole=whole), rule(**options),
                          enforcer.prepare(rule(**options)))


@pytest.mark.parametrize(("options", "text", "outcome"), [
    ({"case": "lower"}, "all small, 1 and ß", "pass"), ({"case": "lower"}, "one Slip", "fail"),
    ({"case": "upper"}, "ÜBER 100 EUR", "pass"), ({"case": "upper"}, "EURo", "fail"),
    ({"ends_with": "Is there more?"}, "Yes. Is  there more?", "pass"),
    ({"ends_with": "Is there more?"}, '"Yes. IS THERE MORE?"\n', "pass"),
    ({"ends_with": "Is there more?"}, "Is there more? Yes.", "fail"),
    ({"starts_with": ["Hello", "Hi"]}, "hi there", "pass"), ({"starts_with": "Hello"}, "Good day", "fail"),
    ({"one_of": ["It is open.", "It is closed."]}, "Well: it is closed.", "pass"),
    ({"one_of": ["It is open."]}, "It opens.", "fail"),
    ({"quoted": True}, ' "So it is." ', "pass"), ({"quoted": True}, "„So ist es.“", "pass"),
    ({"quoted": True}, '"', "fail"), ({"quoted": True}, '"So" it is', "fail"),
    ({"json": True}, '{"a": [1]}', "pass"), ({"json": True}, "```json\n[1, 2]\n```", "pass"),
    ({"json": True}, "12", "fail"), ({"json": True}, '{"a": 1', "fail"), ({"json": True}, "[" * 90_000, "fail")])
def test_a_form_is_kept_or_broken(options: dict[str, object], text: str, outcome: str) -> None:
    assert judged(text, **options).outcome == outcome


@pytest.mark.parametrize("code", sorted(SENTENCES))
def test_a_language_is_told_from_two_sentences(code: str) -> None:
    assert language_of(SENTENCES[code]) == code
    assert judged(SENTENCES[code], language=code).outcome == "pass"


def test_a_reply_in_another_language_fails_and_one_too_short_to_tell_passes() -> None:
    assert judged(SENTENCES["fr"], language="de").outcome == "fail"
    assert judged("OK 12", language="de").outcome == "pass"
    assert language_of("12 34 ...") is None


def test_the_beginning_is_judged_as_soon_as_it_shows_and_the_rest_at_the_end() -> None:
    assert judged("Good", whole=False, starts_with="Hello there").outcome == "fail"
    assert judged("Hel", whole=False, starts_with="Hello there").outcome == "pass"
    assert judged("Hel", starts_with="Hello there").outcome == "fail"
    assert judged("Hel", whole=False, json=True, ends_with="x").outcome == "pass"
    assert FormEnforcer().prepare(rule(case="lower")).monotone
    assert not FormEnforcer().prepare(rule(case="lower", json=True)).monotone


@pytest.mark.parametrize("options", [{}, {"case": "title"}, {"language": "xx"}, {"ends_with": 3}, {"json": "yes"}])
def test_options_that_cannot_be_meant_are_refused_with_the_rules_name(options: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError, match="rule r"):
        prepare_rule(rule(**options), {"form": FormEnforcer()})
    assert len(TONGUES) > 30
