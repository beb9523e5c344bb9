"""The deterministic enforcers, one rule and one reply at a time."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ruche.plugins.contracts import Draft
from ruche.plugins.enforcers import built_in, draft_names, extract_names, judges_prefixes, prepare_rule
from ruche.plugins.errors import ConfigurationError
from tests.plugins.conftest import Judge, rule


@pytest.mark.parametrize(("expression", "text", "outcome"), [
    ("amount <= 50", "I can refund you $1,200.50", "fail"), ("amount <= 50", "I can refund you $45.", "pass"),
    ("amount <= 50", "I can refund you fifty-five dollars.", "fail"), ("amount <= 50", "Where is it?",
    "not_applicable"),
    ("amount <= 50 or profile.tier == 'VIP'", "You get $60.", "fail"), ("not contains_link", "See http://x.y", "fail"),
    ("tier == 'gold' and amount <= 5", "You get $60.", "fail"), ("tier > 5", "Hello.", "error"),
    ("word_count <= 3", "One two three four.", "fail"), ("percent <= 10", "Ten percent off!", "pass"),
])
def test_an_expression_judges_what_the_reply_says(judge: Judge, expression: str, text: str, outcome: str) -> None:
    assert judge(expression, text, profile={"tier": "gold"}).outcome == outcome


def test_a_rule_that_requires_a_name_fails_when_the_whole_reply_leaves_it_out(judge: Judge) -> None:
    assert judge("amount <= 50", "It is open.", requires=["amount"]).outcome == "fail"
    assert judge("amount <= 50", "It is open.", requires=["reply.amount"]).outcome == "fail"
    assert judge("amount <= 50", "It is", requires=["amount"], whole=False).outcome == "not_applicable"
    assert judge("tier == 'x'", "It is", requires=["tier"], whole=False).outcome == "fail"


def test_no_reply_and_no_session_value_stands_in_front_of_an_identity_field() -> None:
    names = draft_names({"tier": "VIP", "amount": 5}, {"tier": "gold", "amount": 7}, {"tier": "basic"},
    identity=["tier"])
    assert names["tier"] == "basic"
    assert names["amount"] == 5
    assert draft_names({"tier": "VIP"}, {}, {}, identity=["tier"]).get("tier") is None


def test_an_older_amount_does_not_judge_a_reply_that_has_only_begun(judge: Judge) -> None:
    begun = judge("amount <= 50", "I have looked.", whole=False, session={"amount": 100})
    assert begun.outcome == "not_applicable"
    assert judge("amount <= 50", "I have looked.", session={"amount": 100}).outcome == "fail"


@pytest.mark.parametrize(("expression", "prefixes"), [
    ("amount <= 50", True), ("reply.amount <= session.limit and not contains_promise", True),
    ("contains_link == False", True), ("contains_link != True or word_count < 50", True), ("60 > max(amount, 5)",
    True),
    ("not (contains_apology or amount > 5)", True), ("amount + percent < 100 - word_count", True), ("tier == 'x'",
    True),
    ("amount >= 5", False), ("contains_apology", False), ("currency == 'USD'", False),
    ("amount <= 50 or contains_link", False),
    ("amount - word_count < 5", False), ("5 < amount < 9", False), ("amount * -1 < 5", False), ("reply.x < 5", False),
    ("amount <= 5 if late else True", False), ("not not contains_link", False), ("contains_link == late", False),
])
def test_prefixes_are_judged_only_where_that_is_proved_sound(expression: str, prefixes: bool) -> None:
    written = rule(expression)
    found = prepare_rule(written, built_in())
    assert found is not None
    assert judges_prefixes(*found) is prefixes


SENTENCES = ["I can refund you $40. ", "That is €1,200. ", "Sorry about that! ", "See www.example.org. ",
"Ten percent off. ",
             "Is that fine? ", "I promise. ", "Two hundred dollars! ", "It costs 1.200,50 EUR. ", "We open at 9. ",
             "30% "]
RULES = ["amount <= 50", "percent < 20", "not contains_promise", "word_count <= 8",
"contains_link == False and amount < 99",
         "not (contains_apology or contains_question)", "amount_count < 2",
         "sentence_count <= 2 or profile.vip == True"]


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from(SENTENCES), min_size=1, max_size=6), st.sampled_from(RULES))
def test_a_reply_that_breaks_a_proved_rule_stays_broken_however_it_goes_on(parts: list[str], expression: str) -> None:
    written = rule(expression)
    found = prepare_rule(written, built_in())
    assert found is not None
    enforcer, prepared = found
    assert judges_prefixes(enforcer, prepared)
    failed = False
    for end in range(1, len(parts) + 1):
        text = "".join(parts[:end])
        names = draft_names(extract_names(text), {}, {"vip": False})
        outcome = enforcer.check(Draft(text=text, question="", names=names, whole=end == len(parts)), written,
        prepared)
        failed = failed or outcome.outcome == "fail"
        assert (outcome.outcome == "fail") is failed


@pytest.mark.parametrize(("options", "text", "outcome"), [
    ({"max_words": 3}, "one two three", "pass"), ({"max_words": 3}, "it's one-two three four", "fail"),
    ({"max_sentences": 2}, "One. Two! Three?", "fail"), ({"max_sentences": 1}, "It costs 1.50 today.", "pass"),
    ({"max_characters": 5}, "123456", "fail"), ({"min_words": 2}, "one", "fail"), ({"min_words": 2}, "one two",
    "pass"),
    ({"min_sentences": 1, "max_sentences": 3}, "Hello there.", "pass"),
])
def test_length_is_counted_in_words_sentences_and_characters(judge: Judge, options: dict[str, int], text: str,
                                                             outcome: str) -> None:
    assert judge({"use": "length", "options": options}, text).outcome == outcome


@pytest.mark.parametrize(("enforce", "prefixes"), [
    ({"use": "length", "options": {"max_words": 3}}, True), ({"use": "length", "options": {"min_words": 3}}, False),
    ({"use": "phrase", "options": {"forbidden": ["x"]}}, True), ({"use": "phrase", "options": {"required": ["x"]}},
    False),
    ({"use": "pattern", "options": {"forbidden": ["x+"]}}, True), ({"use": "pattern",
    "options": {"required": ["x"]}}, False),
    ({"use": "pattern", "options": {"forbidden": ["x$"]}}, False),
])
def test_what_must_be_there_is_judged_on_the_whole_reply_only(judge: Judge, enforce: dict[str, Any],
prefixes: bool) -> None:
    found = prepare_rule(rule(enforce), built_in())
    assert found is not None
    assert judges_prefixes(*found) is prefixes
    if not prefixes and "$" not in str(enforce):
        assert judge(enforce, "hello", whole=False).outcome == "pass"
        assert judge(enforce, "hello").outcome == "fail"


@pytest.mark.parametrize(("enforce", "hint"), [
    ("amount = 5", "write =="),
    ({"use": "nothing"}, "known: count, expression, form, grounding, injection, length, pattern, "
                         "personal_data, phrase"),
    ({"use": "phrase"}, "needs one of the options"), ({"use": "phrase", "options": {"forbid": ["x"]}},
    "no option forbid"),
    ({"use": "phrase", "options": {"forbidden": 5}}, "list of texts"), ({"use": "phrase",
    "options": {"forbidden": [""]}}, "list of"),
    ({"use": "phrase", "options": {"whole_words": True}}, "needs forbidden or required"),
    ({"use": "phrase", "options": {"forbidden": ["x"], "whole_words": 5}}, "true or false"),
    ({"use": "phrase", "options": {"forbidden": ["\u200b"]}}, "no letter"),
    ({"use": "length", "options": {"max_words": -1}}, "whole number"), ({"use": "length",
    "options": {"max_words": True}}, "whole"),
    ({"use": "length", "options": {"min_words": 5, "max_words": 2}}, "above"),
    ({"use": "pattern", "options": {"forbidden": [r"(a)\1"]}}, "groupref"),
    ({"use": "pattern", "options": {"case": True}}, "needs forbidden or required"),
    ({"use": "expression", "options": {"text": "x"}}, "write the expression"),
])
def test_a_mistake_in_a_rule_names_the_rule_and_what_to_write(enforce: Any, hint: str) -> None:
    with pytest.raises(ConfigurationError, match="rule r1") as refusal:
        prepare_rule(rule(enforce), built_in())
    assert hint in refusal.value.message


def test_fifty_expressions_are_judged_in_a_millisecond() -> None:
    """Issue 5: deterministic enforcement of 50 expressions under 1 ms, extraction included."""
    checks = []
    for limit in range(50):
        written = rule(f"amount <= {limit} or profile.tier == 'VIP' and not contains_promise")
        found = prepare_rule(written, built_in())
        assert found is not None
        checks.append((written, *found))
    text = "I can refund you $1,200.50. The money goes to the card that you used. Is there anything else?"
    best = float("inf")
    for _ in range(30):
        began = time.perf_counter()
        draft = Draft(text=text, question="", names=draft_names(extract_names(text), {}, {"tier": "basic"}))
        outcomes = {enforcer.check(draft, written, prepared).outcome for written, enforcer, prepared in checks}
        best = min(best, time.perf_counter() - began)
    assert outcomes == {"fail"}
    assert best < 0.001
