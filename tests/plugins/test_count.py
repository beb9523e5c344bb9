"""How often something stands in a reply, and what an author may write about it."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ruche.plugins.contracts import Draft, Verdict
from ruche.plugins.enforcers import CountEnforcer, prepare_rule
from ruche.plugins.enforcers.automaton import Automaton
from ruche.plugins.errors import ConfigurationError
from ruche.storage.model.rule import Rule


def rule(**options: object) -> Rule:
    return Rule.model_validate({"id": "r", "if": "always", "then": "so", "hard": True,
                                "enforce": {"use": "count", "options": options}})


def judged(text: str, whole: bool = True, **options: object) -> Verdict:
    enforcer = CountEnforcer()
    return enforcer.check(Draft(text=text, question="", names={}, whole=whole), rule(**options),
                          enforcer.prepare(rule(**options)))


@given(st.text(alphabet="ab *1", max_size=40), st.sampled_from(["a", "ab", r"\*[^*]+\*", r"\ba", r"a\b", "a|1"]))
def test_matches_are_counted_as_python_counts_the_shortest(text: str, pattern: str) -> None:
    assert Automaton(pattern).count(text, 100) == len(re.findall(pattern, text))


@pytest.mark.parametrize(("text", "outcome"), [
    ("Thank you.", "pass"), ("thank  YOU, and thank you!", "pass"), ("Thank you. Thank you. Thank you.", "fail"),
    ("Thanks.", "fail"), ("rethank youth", "fail")])
def test_a_phrase_is_counted_by_whole_words_in_any_case(text: str, outcome: str) -> None:
    assert judged(text, phrase="thank you", min=1, max=2).outcome == outcome


def test_a_prefix_may_be_too_short_but_never_too_rich() -> None:
    assert judged("One.", whole=False, phrase="two", min=1).outcome == "pass"
    assert judged("Two two.", whole=False, phrase="two", max=1).outcome == "fail"
    assert CountEnforcer().prepare(rule(phrase="two", max=1)).monotone
    assert not CountEnforcer().prepare(rule(phrase="two", min=1)).monotone


@pytest.mark.parametrize("options", [
    {"phrase": "a"}, {"min": 1}, {"phrase": "a", "pattern": "b", "max": 1}, {"pattern": "a*", "max": 1},
    {"phrase": "a", "min": 2, "max": 1}, {"pattern": "(", "max": 1}, {"phrase": "a", "max": 1, "most": 1}])
def test_options_that_cannot_be_meant_are_refused_with_the_rules_name(options: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError, match="rule r"):
        prepare_rule(rule(**options), {"count": CountEnforcer()})


def test_a_text_too_long_to_count_in_is_an_error() -> None:
    assert judged("a" * 40_000, phrase="b", max=1).outcome == "error"
