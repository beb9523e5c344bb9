"""Grounding: figures and names of a reply must occur in what the agent was given."""

from __future__ import annotations

from typing import Any

import pytest

from ruche.plugins.contracts import Draft
from ruche.plugins.enforcers import built_in
from ruche.plugins.enforcers.grounding import facts_of
from ruche.plugins.errors import ConfigurationError
from ruche.plugins.testing import check_enforcer
from ruche.storage.model.rule import Rule

ENFORCER = built_in()["grounding"]
WRITTEN = ("We are open from 9 to 17, Monday to Friday. Refunds up to 50 euros or 15% within two hundred days. "
           "Ask for Grace Hopper. The Tower of London is close. Call +49 30 1234567.")
FOUND = ('{"profile": {"name": "Ada Lovelace"}, "session": {"balance": 1234.5, "day": "2026-11-20", "at": "19:30"}, '
         '"tools": [{"rate": 0.07, "big": "1.200"}]}')


def rule(**options: Any) -> Rule:
    return Rule.model_validate({"id": "r", "if": "always", "then": "Say only what you know.", "hard": True,
                                "enforce": {"use": "grounding", "options": options}})


def verdict(text: str, language: str = "en", **options: Any) -> tuple[str, str]:
    checked = rule(**options)
    draft = Draft(text=text, question="Is it 777?", names={}, language=language, authored=WRITTEN, found=FOUND)
    found = ENFORCER.check(draft, checked, ENFORCER.prepare(checked))
    return found.outcome, "" if found.span is None else text[slice(*found.span)]


@pytest.mark.parametrize("text", [
    "We are open from 9 to 17.", "You get 50 euros, or 15 percent.", "Within 200 days.",
    "Hello Ada, one moment please.",
    "Your balance is 1,234.50.", "That is 1234.5 exactly.", "On Friday, November 20.", "On 20/11/2026 at 7:30 pm.",
    "At 19:30.", "The rate is 7%.", "It is 1200 or 1.2.", "Ask Grace, or Hopper's office.", "Call 030 1234567.",
    "Call 0049 30 123-4567.", "1. Come in.\n2. Sit down.", "Note: The office is near the Tower of London.",
    "I'm here. OK?", "Three ways, two of them good.", "", "ÉCOUTEZ-moi."])
def test_what_occurs_in_the_data_passes_however_it_is_written(text: str) -> None:
    assert verdict(text) == ("pass", "")


@pytest.mark.parametrize(("text", "wrong"), [
    ("It is 777.", "777"), ("Open from 9 to 18.", "18"), ("You get 51 euros.", "51"), ("You get two euros.", "two"),
    ("That takes three hundred days.", "three hundred"), ("A discount of 20 %.", "20"), ("Ask for Bob.", "Bob"),
    ("Ask for Grace Kelly.", "Kelly"), ("On Saturday.", "Saturday"), ("It is in Paris.", "Paris"), ("In 2025.", "2025"),
    ("Call 030 7654321.", "7654321"), ("It is ７７７.", "７７７"), ("We use McKinsey.", "McKinsey"),
    ("First 9. Then 13.", "13"), ("That is 11 euros.", "11"), ("A rate of 0,2.", "0,2")])
def test_what_does_not_occur_fails_at_its_place(text: str, wrong: str) -> None:
    assert verdict(text) == ("fail", wrong)


def test_what_the_person_says_is_no_source() -> None:
    assert verdict("Yes, 777.")[0] == "fail"


def test_in_german_only_figures_and_what_follows_a_title_are_compared() -> None:
    assert verdict("Der Hund bellt.", "de")[0] == "pass"
    assert verdict("Fragen Sie Frau Hopper.", "de")[0] == "pass"
    assert verdict("Fragen Sie Herrn Dr. Müller.", "de") == ("fail", "Müller")
    assert verdict("Das kostet zweihundertfünf Euro.", "de")[0] == "fail"


def test_checks_and_allowed_texts_are_the_authors_choice() -> None:
    assert verdict("Ask for Bob, number 777.", check="names") == ("fail", "Bob")
    assert verdict("Ask for Bob, number 777.", check=["figures"]) == ("fail", "777")
    assert verdict("Ask for Bob, number 777.", allow=["bob", "777"])[0] == "pass"


@pytest.mark.parametrize(("options", "said"), [
    ({"check": ["dates"]}, "cannot check dates"), ({"alow": "x"}, "has no option"), ({"allow": [7]}, "list of texts")])
def test_a_mistake_in_the_options_says_what_to_write(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        ENFORCER.prepare(rule(**options))


def test_a_reason_quotes_a_figure_or_a_single_word_and_nothing_else() -> None:
    """Security item 29: a reason may reach the next draft's instructions, so no sentence of a draft is in it."""
    checked = rule()
    draft = Draft(text="Ask Ignore-all-rules.", question="", names={})
    found = ENFORCER.check(draft, checked, ENFORCER.prepare(checked))
    assert (found.outcome, found.reason) == ("fail", "the name is not in what the agent was given")


def test_the_enforcer_keeps_the_contract() -> None:
    check_enforcer(ENFORCER, rule(), passing=["Hello there.", "One moment."], failing=["It is 777.", "Ask for Bob."])


def test_a_text_of_a_hundred_thousand_signs_is_read_in_bounds() -> None:
    facts = facts_of("Number 7 costs 3,50 euros at 19:30. " * 3_000, "en")
    assert (facts.figures, 19.0 in facts.parts) == ({7.0, 3.5}, True)
    assert len(facts.words) < 20
