"""The reply that is made without any model."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ruche.plugins.channels import built_in_channels, split_text, strip_markdown
from ruche.plugins.contracts import Prompt
from ruche.plugins.generators import Composer
from ruche.plugins.generators.composer import compose
from ruche.plugins.sentences import sentences


def part(kind: str, text: str, priority: int = 0) -> dict[str, Any]:
    return {"kind": kind, "text": text, "priority": priority, "scenario": None}


def plan(*contributions: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"response_type": "MIXED", "contributions": list(contributions), "must_include": [], "must_avoid": [],
            "variables": {}, "unmatched": "I cannot help with that.", **more}


def test_statements_come_first_by_priority_and_the_question_last() -> None:
    found = compose(plan(part("ASK", "What is your order number?", 9), part("INFORM", "We ship on Mondays", 1),
                         part("CONFIRM", "Shall I cancel it?"), part("INFORM", "Your order is late.", 5)))
    assert found == "Your order is late. We ship on Mondays. Shall I cancel it? What is your order number?"


def test_nothing_is_said_twice() -> None:
    found = compose(plan(part("INFORM", "We ship on Mondays. Returns are free."), part("INFORM",
    "we ship on  Mondays!"),
                         part("INFORM", "Returns are free.")))
    assert found == "We ship on Mondays. Returns are free."


def test_several_contributions_speak_with_one_voice() -> None:
    found = compose(plan(part("INFORM", "I am sorry, your order is late.", 3),
                         part("INFORM", "I'm sorry, it rained.", 2),
                         part("INFORM", "Hello, the shop is open.", 1), part("INFORM", "Sorry, no cake.")))
    assert found == "I am sorry, your order is late. It rained. The shop is open. No cake."


@pytest.mark.parametrize(("hint", "said"), [
    ("Tell the customer that refunds take five days.", "Refunds take five days."),
    ('Say "We are closed today."', "We are closed today."), ("Remind them that tables are held for ten minutes",
                                                              "Tables are held for ten minutes"),
    ("Be polite and brief.", "I cannot help with that."),
])
def test_of_a_hint_only_what_it_says_to_say_is_said(hint: str, said: str) -> None:
    assert compose(plan(part("ACTION_HINT", hint))) == said


def test_what_must_be_included_stands_before_the_question_unless_it_is_said_anyway() -> None:
    found = compose(plan(part("INFORM", "Your table is free. Terms apply."), part("ASK", "For how many?"),
                         must_include=["terms apply", "Dogs are welcome."]))
    assert found == "Your table is free. Terms apply. Dogs are welcome. For how many?"


def test_sentences_with_what_must_be_avoided_are_left_out() -> None:
    found = compose(plan(part("INFORM", "We guarantee it. It is fine."), must_avoid=["guarantee"]))
    assert found == "It is fine."


def test_a_plan_without_anything_to_say_gives_the_unmatched_text() -> None:
    assert compose(plan()) == "I cannot help with that."
    assert compose(plan(part("INFORM", "  "))) == "I cannot help with that."


def test_line_breaks_of_an_author_are_kept() -> None:
    assert compose(plan(part("INFORM", "We have:\n- tea\n- milk"), part("ASK", "Which one?"))) == (
        "We have:\n- tea\n- milk. Which one?")


@pytest.mark.anyio
async def test_the_composer_streams_the_reply_that_it_generates() -> None:
    prompt = Prompt(instructions="", plan=plan(part("INFORM", "One. Two."), part("ASK", "Three?")))
    pieces = [piece async for piece in Composer().stream(prompt)]
    assert pieces == ["One. ", "Two. ", "Three?"]
    assert (await Composer().generate(prompt)).text == "".join(pieces)


@given(st.lists(st.builds(part, st.sampled_from(["ASK", "INFORM", "CONFIRM", "ACTION_HINT"]), st.text(max_size=40),
                          st.integers(-5, 5)), max_size=5))
def test_any_plan_gives_the_same_reply_each_time(contributions: list[dict[str, Any]]) -> None:
    assert compose(plan(*contributions)) == compose(plan(*contributions)) != ""


@pytest.mark.parametrize(("text", "expected"), [
    ("Dr. Johnson said no. We agree.", ["Dr. Johnson said no. ", "We agree."]),
    ("No. 5 is it. Fine", ["No. 5 is it. ", "Fine"]),
    ("It is 5 p.m. now. Costs $1.50!", ["It is 5 p.m. now. ", "Costs $1.50!"]),
    ("Really?  Yes.", ["Really?  ", "Yes."]),
    ("- a\n- b\n\nEnd.", ["- a\n", "- b\n\n", "End."]), ("1. First. 2. Second.", ["1. First. ", "2. Second."]),
    ("J. Smith came.", ["J. Smith came."]), ('He said "Go." Then left.', ['He said "Go." ', "Then left."]), ("", []),
    ("你好。再见。", ["你好。", "再见。"]),
    ("Wait... what? See www.x.org now.", ["Wait... ", "what? ", "See www.x.org now."]),
])
def test_a_text_is_cut_where_its_sentences_end(text: str, expected: list[str]) -> None:
    assert sentences(text) == expected


@given(st.text(alphabet="aB1 .!?\n\"'。", max_size=60))
def test_sentences_joined_again_are_the_text(text: str) -> None:
    assert "".join(sentences(text)) == text


def test_channels_wait_as_the_specification_says() -> None:
    windows = {name: channel.window_ms for name, channel in built_in_channels().items()}
    assert windows == {"whatsapp": 1200, "telegram": 1000, "sms": 800, "slack": 800, "teams": 800, "web": 600,
    "email": 0,
                       "voice": 0, "api": 0, "unknown": 800}


def test_markdown_is_shown_only_where_a_channel_has_it() -> None:
    text = "# Hello\n**Bold** and *soft* and `code`, [here](http://x.y):\n* one\n2 * 3 * 4 and snake_case_name"
    channels = built_in_channels()
    assert channels["web"].format(text) == text
    assert channels["sms"].format(text) == ("Hello\nBold and soft and code, here (http://x.y):\n- one\n"
                                            "2 * 3 * 4 and snake_case_name")


@given(st.text(alphabet="ab .!\n", max_size=200), st.integers(5, 50))
def test_no_piece_of_a_split_reply_is_too_long_and_no_word_is_lost(text: str, limit: int) -> None:
    pieces = split_text(text, limit)
    assert all(0 < len(piece) <= limit for piece in pieces)
    assert "".join("".join(pieces).split()) == "".join(text.split())


@given(st.text(max_size=100))
def test_stripping_markdown_never_fails_on_any_text(text: str) -> None:
    assert len(strip_markdown(text)) <= len(text) + 2 * text.count("[")


def test_a_question_is_said_whole_or_stopped_by_the_gate_but_never_in_part() -> None:
    asking = part("CONFIRM", "We book it for Mr Guarantee. Shall I?")
    assert compose(plan(asking, must_avoid=["guarantee"])) == "We book it for Mr Guarantee. Shall I?"


def test_where_all_that_would_answer_must_be_avoided_the_reply_says_so() -> None:
    told = {**plan(part("INFORM", "We guarantee it."), part("ASK", "And your name?"), must_avoid=["guarantee"]),
            "refusal": "I may not say that."}
    assert compose(told) == "I may not say that. And your name?"
    hello = {**part("INFORM", "Good morning."), "priority": 100}
    assert compose({**told, "contributions": [hello, *told["contributions"]]}) == (
        "Good morning. I may not say that. And your name?")
    beside = {**told, "contributions": [*told["contributions"], part("INFORM", "It is fine.")]}
    assert compose(beside) == "It is fine. And your name?"
