"""A person whose answer cannot be used hears in their language what is taken instead."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ruche.engine.brain.fields import MAX_TEXT, compile_field, fault_of
from ruche.engine.brain.reasons import SHOWN, reason
from ruche.engine.brain.verify import REFUSED
from ruche.storage.model.field import InterlocutorField
from tests.brain.talk import bundle, talking

LANGUAGES = ("en", "fr", "de", "es", "it", "nl", "pt")
FAULTS: list[tuple[dict[str, Any], Any]] = [
    ({"type": "number", "minimum": 1, "maximum": 8}, 977),
    ({"type": "number", "minimum": 3}, 2),
    ({"type": "money", "maximum": 40}, {"amount": 977, "currency": "EUR"}),
    ({"allowed": ("red", "blue")}, "a secret"),
    ({"type": "iban"}, "a secret"),
    ({"type": "card"}, "a secret"),
    ({"pattern": "[A-Z]{3}"}, "a secret"),
    ({}, "a secret" * MAX_TEXT),
]


def field(**parts: Any) -> Any:
    return compile_field(InterlocutorField(name="people", **parts))


def said(parts: dict[str, Any], value: Any, language: str = "en") -> str:
    return reason(field(**parts), fault_of(field(**parts), value), language)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_fault_of_a_value_has_words_of_its_own_in_every_language_and_repeats_nothing(language: str) -> None:
    found = [said(parts, value, language) for parts, value in FAULTS]
    found.append(reason(field(), REFUSED, language))
    assert all(text.endswith(".") for text in found)
    assert len({*found}) == len(found)
    assert not any("secret" in text or "977" in text or "{" in text for text in found)
    english = [said(parts, value) for parts, value in FAULTS]
    assert language == "en" or not {*english} & {*found}


@pytest.mark.parametrize(("parts", "value", "language", "told"), [
    ({"type": "number", "minimum": 1, "maximum": 8}, 9, "en", "Please give a number from 1 to 8."),
    ({"type": "number", "minimum": 0.5}, 0.1, "de-AT", "Bitte nennen Sie eine Zahl von mindestens 0,5."),
    ({"type": "number", "maximum": 1_000_000}, 2e6, "fr", "Indiquez un nombre d'au plus 1000000."),
    ({"type": "money", "minimum": 0, "maximum": 250}, {"amount": -1}, "es", "Indique un importe de 0 a 250."),
    ({"allowed": ("red", "blue")}, "x", "nl", "Kies uit: red, blue."),
    ({"type": "number", "maximum": 2}, 3, "sv", "Please give a number of at most 2."),
])
def test_what_is_taken_is_said_with_the_fields_own_limits(parts: dict[str, Any], value: Any, language: str,
                                                          told: str) -> None:
    assert said(parts, value, language) == told


def test_a_long_list_is_not_read_out() -> None:
    assert said({"allowed": tuple(f"v{number}" for number in range(SHOWN + 1))}, "x") == ""


@given(st.integers(-10**9, 10**9), st.integers(0, 10**9), st.sampled_from(LANGUAGES))
def test_both_limits_are_said_in_full(low: int, width: int, language: str) -> None:
    told = said({"type": "number", "minimum": low, "maximum": low + width}, low - 1, language).rstrip(".").split()
    assert {str(low), str(low + width)} <= {*told}


@pytest.mark.anyio
async def test_a_question_for_several_things_is_preceded_by_the_name_of_the_one_that_was_wrong() -> None:
    agent = bundle(
        fields=[{"name": "group_size", "type": "number", "maximum": 8}, {"name": "colour", "allowed": ["red"]}],
        scenarios=[{"id": "s", "entry": "the user begins", "examples": ["begin"],
                    "steps": [{"id": "one", "collects": ["group_size", "colour"], "ask": "How many, which colour?",
                               "next": []}]}])
    async with talking(agent) as talk:
        assert await talk.reply("begin") == "How many, which colour?"
        assert await talk.reply("a group size of 12") == (
            'I cannot use that answer for "group size". Please give a number of at most 8. How many, which colour?')


@pytest.mark.anyio
async def test_a_person_who_speaks_another_language_hears_the_reason_in_it() -> None:
    agent = bundle(
        agent={"languages": ["de"]}, fields=[{"name": "people", "type": "number", "maximum": 8, "ask": "Wie viele?"}],
        scenarios=[{"id": "s", "entry": "the user begins", "examples": ["wir fangen jetzt an"],
                    "steps": [{"id": "one", "collects": ["people"], "next": []}]}])
    async with talking(agent) as talk:
        assert await talk.reply("wir fangen jetzt an") == "Wie viele?"
        assert await talk.reply("12") == ("Diese Antwort kann ich nicht verwenden. Bitte nennen Sie eine Zahl von "
                                          "höchstens 8. Wie viele?")
