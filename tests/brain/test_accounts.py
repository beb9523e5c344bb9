"""Bank accounts and cards: kept when their checksum is right, told to be wrong when it is not."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ruche.engine.brain.accounts import account_fault, account_numbers
from tests.brain.talk import bundle, talking
from tests.brain.test_choice import Turns
from tests.brain.test_match import Ranked, scored

pytestmark = pytest.mark.anyio

IBAN, CARD = "DE89370400440532013000", "4111111111111111"
FIELDS = [{"name": "account", "type": "iban", "ask": "Your IBAN?", "scope": "CASE"},
          {"name": "card_number", "type": "card", "ask": "Your card?", "scope": "CASE"}]


def paying() -> Any:
    steps = [{"id": "account", "collects": ["account"], "next": [{"to": "card"}]},
             {"id": "card", "collects": ["card_number"], "next": [{"to": "done"}]}, {"id": "done", "say": "Thanks."}]
    agent = bundle(fields=FIELDS, scenarios=[{"id": "pay", "entry": "to pay", "steps": steps}])
    return talking(agent, retrieval=Turns(Ranked(scenarios=scored(pay=0.9).hits.rules), scored()))


async def test_numbers_are_kept_without_blanks() -> None:
    async with paying() as talk:
        assert await talk.reply("I want to pay") == "Your IBAN?"
        assert await talk.reply("it is DE89 3704 0044 0532 0130 00") == "Your card?"
        assert await talk.reply("4111 1111-1111 1111") == "Thanks."
        assert talk.session.fields["account"].value == IBAN
        assert talk.session.fields["card_number"].value == CARD


async def test_a_slip_in_a_number_is_told_and_asked_for_again() -> None:
    async with paying() as talk:
        await talk.say("I want to pay")
        run = await talk.say("DE89 3704 0044 0532 0130 01")
        assert run.reply == ("I cannot use that answer. It is not a valid IBAN: please check its letters and digits. "
                             "Your IBAN?")
        assert run.decisions["learn"]["rejected"]["account"].startswith("is no IBAN")
        assert await talk.reply(IBAN) == "Your card?"


async def test_one_message_holds_both_and_each_finds_its_field() -> None:
    async with paying() as talk:
        await talk.say(f"I want to pay from {IBAN} or with {CARD}")
        assert (talk.session.fields["account"].value, talk.session.fields["card_number"].value) == (IBAN, CARD)


@given(st.integers(0, 21), st.sampled_from("0123456789"))
def test_no_single_wrong_digit_passes_for_an_account(place: int, digit: str) -> None:
    changed = IBAN[:place] + digit + IBAN[place + 1:]
    assert (account_fault("iban", changed) == "") == (changed == IBAN)


@given(st.text(alphabet="DE0123456789 -.x", max_size=120), st.sampled_from(["iban", "card"]), st.booleans())
def test_whatever_is_found_unasked_is_valid(text: str, kind: str, asked: bool) -> None:
    for start, end, value, confidence in account_numbers(text, kind, asked=asked):
        assert 0 <= start < end <= len(text)
        assert confidence == 0.7 or account_fault(kind, value) == ""
        assert asked or confidence == 1.0
