"""Personal data in replies: what is found however it is written, and what is let through."""

from __future__ import annotations

import random
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ruche.plugins.contracts import Draft
from ruche.plugins.enforcers import built_in
from ruche.plugins.enforcers.accounts import find_cards, find_ibans, is_card, is_iban
from ruche.plugins.errors import ConfigurationError
from ruche.plugins.testing import check_enforcer
from ruche.storage.model.rule import Rule

ENFORCER = built_in()["personal_data"]


def rule(**options: Any) -> Rule:
    return Rule.model_validate({"id": "r", "if": "always", "then": "Keep it secret.", "hard": True,
                                "enforce": {"use": "personal_data", "options": options}})


def verdict(text: str, language: str = "en", names: dict[str, Any] | None = None, **options: Any) -> tuple[str, str]:
    checked = rule(**options)
    draft = Draft(text=text, question="", names=names or {}, language=language)
    found = ENFORCER.check(draft, checked, ENFORCER.prepare(checked))
    return found.outcome, found.reason


TOLD = {
    "Write to ada.lovelace+x@mail.example.org.": "an e-mail address",
    "ADA@EXAMPLE.ORG": "an e-mail address",
    "Write to a\u200bda@exam\u00adple.org": "an e-mail address",
    "ａｄａ＠ｅｘａｍｐｌｅ．ｏｒｇ": "an e-mail address",
    "Call +49 30 901820.": "a telephone number",
    "Call (212) 555-2368 now.": "a telephone number",
    "Call 2125552368.": "a telephone number",
    "Call 212.555.2368.": "a telephone number",
    "DE89 3704 0044 0532 0130 00 is the account.": "an IBAN",
    "de89370400440532013000": "an IBAN",
    "GB82-WEST-1234-5698-7654-32": "an IBAN",
    "NO9386011117947": "an IBAN",
    "Card 4111 1111 1111 1111.": "a card number",
    "Card 378282246310005": "a card number",
    "5555-5555-5555-4444": "a card number",
    "Number 12 4111 1111 1111 1111 99": "a card number",
    "4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1": "a card number",
    "４１１１１１１１１１１１１１１１": "a card number",
}


@pytest.mark.parametrize(("text", "what"), TOLD.items())
def test_personal_data_is_found_however_it_is_written(text: str, what: str) -> None:
    """Security item 37: full-width digits and invisible signs hide nothing."""
    assert verdict(text) == ("fail", f"contains {what}")


@pytest.mark.parametrize("text", [
    "We are open from 9 to 17.", "Your order 4711 costs 1,234.50 euros.", "On 2026-11-20 at 19:00.", "me@home",
    "DE88 3704 0044 0532 0130 00", "XX89 3704 0044 0532 0130 00", "4111 1111 1111 1112", "1111 1111 1111 1117",
    "Version 1.2.3.4", "", "The number is 0000000000000000."])
def test_what_is_no_personal_data_passes(text: str) -> None:
    assert verdict(text)[0] == "pass"


def test_only_the_kinds_that_are_named_are_looked_for() -> None:
    assert verdict("ada@example.org, 4111 1111 1111 1111", kinds=["iban", "phone"])[0] == "pass"
    assert verdict("ada@example.org, 4111 1111 1111 1111", kinds="card") == ("fail", "contains a card number")


def test_values_domains_and_known_names_may_be_allowed() -> None:
    assert verdict("desk@Example.org", allow=["desk@example.org"])[0] == "pass"
    assert verdict("ada@example.org", allow=["desk@example.org"])[0] == "fail"
    assert verdict("ada@example.org", allow="@example.org")[0] == "pass"
    assert verdict("ada@example.org.evil.com", allow="@example.org")[0] == "fail"
    names = {"profile": {"email": "ada@example.org"}, "email": "ada@example.org", "phone": "+12125552368"}
    assert verdict("ada@example.org", names=names, allow="profile.email")[0] == "pass"
    assert verdict("bob@example.org", names=names, allow=["email"])[0] == "fail"
    assert verdict("Call (212) 555-2368.", names=names, allow="phone")[0] == "pass"
    assert verdict("Call (212) 555-2369.", names=names, allow="phone")[0] == "fail"
    assert verdict("DE89 3704 0044 0532 0130 00", allow="de89370400440532013000")[0] == "pass"


def test_national_numbers_are_those_of_the_replys_language_or_of_the_regions_named() -> None:
    assert verdict("Ruf 030 901820 an.", language="de")[0] == "fail"
    assert verdict("Call 030 901820.")[0] == "pass"
    assert verdict("Call 030 901820.", regions="DE")[0] == "fail"


@pytest.mark.parametrize(("options", "said"), [
    ({"kinds": ["mail"]}, "no kind of personal data; there are email, phone, iban, card"),
    ({"kind": "x"}, "has no option"),
    ({"allow": [3]}, "list of texts"), ({"regions": ["Germany"]}, "no country code")])
def test_a_mistake_in_the_options_says_what_to_write(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        ENFORCER.prepare(rule(**options))


def test_the_enforcer_keeps_the_contract() -> None:
    check_enforcer(ENFORCER, rule(), passing=["Hello.", "From 9 to 17."], failing=["ada@example.org", *TOLD])


@given(st.integers(min_value=10**13, max_value=10**14 - 1))
def test_one_changed_digit_makes_a_card_number_none(body: int) -> None:
    digits = f"4{body}"
    card = next(f"{digits}{last}" for last in range(10) if is_card(f"{digits}{last}"))
    place = random.Random(body).randrange(1, len(card))
    changed = card[:place] + str((int(card[place]) + 1) % 10) + card[place + 1:]
    assert is_card(card)
    assert not is_card(changed)
    assert list(find_cards(f"x {card} y")) == [(2, 2 + len(card))]


@given(st.from_regex(r"\A[0-9]{18}\Z"))
def test_a_checksum_tells_an_iban_from_other_codes(body: str) -> None:
    check = 98 - int(f"{body}131400") % 97
    iban = f"DE{check:02d}{body}"
    assert is_iban(iban)
    assert not is_iban(f"DE{(check % 97) + 1:02d}{body}") or (check % 97) + 1 == check
    grouped = " ".join(iban[at:at + 4] for at in range(0, 22, 4))
    assert [grouped] == [f"a {grouped}."[start:end] for start, end in find_ibans(f"a {grouped}.")]


@pytest.mark.parametrize("text", ["1 " * 16_000, "212 555 2368, " * 2_000, "9" * 32_000, "a.b-" * 8_000 + "@",
                                  "DE89 " * 6_000])
def test_a_text_made_to_be_slow_is_judged_at_once_or_refused(text: str) -> None:
    checked = rule()
    try:
        outcome = ENFORCER.check(Draft(text=text, question="", names={}), checked, ENFORCER.prepare(checked)).outcome
    except ValueError as error:
        outcome = str(error)
    assert outcome in ("fail", "pass") or "to look at" in outcome


def test_the_library_of_telephone_numbers_is_loaded_by_the_first_that_may_be_one() -> None:
    code = ("import sys; from tests.plugins.test_personal import verdict; verdict('Hello 12.'); "
            "assert 'phonenumbers' not in sys.modules; verdict('Call 2125552368.'); "
            "assert 'phonenumbers' in sys.modules")
    subprocess.run([sys.executable, "-c", code], check=True)
