"""Author's regular expressions: what they mean, and that none can stall the engine."""

from __future__ import annotations

import random
import re
import time

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ruche.plugins.enforcers.automaton import Automaton
from ruche.plugins.errors import ConfigurationError
from tests.plugins.conftest import Judge

PIECES = ["a", "b", "c", ".", r"\d", r"\w", r"\s", "[ab]", "[^a]", r"[\d.]", "(?:ab)", "(a|b)", "(?:a|)", r"\b",
"^", "$", "x*",
          "a+", "b?", "c{2}", "a{1,3}", "(?:ab)*", "(?:a|b)+", r"\B", "a*?", "[a-c]{0,2}", r"\."]


@settings(max_examples=400, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=6).map("".join), st.text(alphabet="abcx1 .", max_size=12))
def test_a_pattern_matches_what_pythons_own_engine_matches(pattern: str, text: str) -> None:
    # On an empty text `\B` matches since Python 3.14, and here; it did not before.
    assume(text or r"\B" not in pattern)
    assert (Automaton(pattern).search(text) is not None) == (re.search(pattern, text) is not None)


@given(st.text(alphabet="aAbB1é", max_size=10))
def test_case_is_ignored_on_demand(text: str) -> None:
    expected = re.search(r"a[b-z]|É", text, re.IGNORECASE) is not None
    assert (Automaton(r"a[b-z]|É", ignore_case=True).search(text) is not None) == expected


EVIL = [r"(a+)+$", r"(a|aa)+$", r"(a|a)*$", r"(.*)*x", r"(.*a){12}x", r"([a-zA-Z]+)*$", r"(\w+\s?)*$", r"^(\d+)+$",
r"\d+\d+\d+\d+x",
        r".*.*.*.*=.*", r"(x+x+)+y", r"^(([a-z])+.)+[A-Z]([a-z])+$", r"([^@]+@)+x", r"\s*\s*\s*\s*$x",
        r"(a?){25}a{25}b",
        r"<!--.*--.*-->", r"^([a-zA-Z0-9]([-.\w]*[a-zA-Z0-9])*@)+x$"]


@pytest.mark.parametrize("pattern", EVIL)
def test_patterns_that_stall_other_engines_take_milliseconds(pattern: str) -> None:
    """Security item 20: the corpus of catastrophic patterns, on 8,000 characters each, 10 ms at most."""
    automaton = Automaton(pattern)
    for text in ("a" * 8_000 + "!", "1" * 8_000 + "!", " " * 8_000 + "!", "aA@" * 2_600 + "!", "<!--" * 2_000 + "!",
    "x" * 8_000):
        best = float("inf")
        for _ in range(3):
            began = time.perf_counter()
            automaton.search(text)
            best = min(best, time.perf_counter() - began)
        assert best < 0.010


def test_time_grows_with_the_text_and_no_faster() -> None:
    """Security item 20: even the pattern with the most states stays linear,
    and forgets states instead of hoarding them."""
    chance = random.Random(1)
    automaton = Automaton(r"(a|b)*a(a|b){12}c")
    text = "".join(chance.choice("ab") for _ in range(20_000))
    assert automaton.search(text) is None
    assert automaton.search(text + "a" + "b" * 12 + "c") == len(text) + 14
    assert len(automaton._states) <= 1_002


@pytest.mark.parametrize(("pattern", "hint"), [
    (r"(a)\1", "groupref"), ("(?=a)", "assert"), ("(?<!a)b", "assert not"), ("(?i)a", "case: true"), ("a" * 501,
    "longer"),
    ("(", "not a regular expression"), ("[a-z]{1000}", "too large|repetition of"), ("((a{20}){20}){20}", "too large"),
    ("(?P<x>a)(?(x)b|c)", "groupref exists"), ("a++", "possessive"), ("(?>a)", "atomic"), ("(){999999999}",
    "repetition"),
    ("((){400}){400}", "repetitions of repetitions"), ("(?i:a)", "flags"), ("a{3,2}", "not a regular"), ("[[a]",
    "not a regular"),
    ("(" * 200, "not a regular"),
])
def test_what_cannot_run_in_linear_time_is_refused_when_the_agent_is_loaded(pattern: str, hint: str) -> None:
    """Security item 20: refused at prepare, with what is supported."""
    with pytest.raises(ConfigurationError, match=hint):
        Automaton(pattern)


@pytest.mark.parametrize(("options", "text", "outcome"), [
    ({"forbidden": [r"\b\d{3}-\d{2}-\d{4}\b"]}, "It is 123-45-6789.", "fail"), ({"forbidden": [r"\bssn\b"]},
    "Your SSN", "fail"),
    ({"forbidden": [r"\d{3}-\d{2}-\d{4}"]}, "It is １２３-４５-６７８９.", "fail"),
    ({"forbidden": ["secret"]}, "ѕеcret", "fail"),
    ({"forbidden": ["secret"]}, "se\u200bcret", "fail"), ({"forbidden": ["SSN"], "case": True}, "ssn", "pass"),
    ({"forbidden": ["SSN"], "case": True}, "SSN", "fail"), ({"required": [r"^Dear"]}, "Dear Ann,", "pass"),
    ({"required": [r"^Dear"]}, "Hello,", "fail"), ({"forbidden": ["café"]}, "Le café", "fail"),
    ({"forbidden": ["x"]}, "a" * 32_769, "error"),
])
def test_patterns_judge_the_text_as_a_person_reads_it(judge: Judge, options: dict[str, object], text: str,
                                                      outcome: str) -> None:
    assert judge({"use": "pattern", "options": options}, text).outcome == outcome
