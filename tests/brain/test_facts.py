"""Stage two of reading a reply: a model looks for the facts that rules need and patterns do not find."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.model_server import Answer, ModelServer
from ruche.plugins.generators.facts import read_facts
from ruche.plugins.generators.judge import JudgedRule, Judgement, judge_messages, judge_schema, read_answer
from ruche.storage.model.run import canonical
from tests.brain.talk import Talk, without_times
from tests.brain.test_judge import KIND, SAFE, again, calls, judged, verdicts

pytestmark = pytest.mark.anyio

PROMPT = {"id": "prompt", "if": "delivery", "then": "Promise at most five days.", "hard": True,
          "enforce": "reply.delivery_days <= 5",
          "extract": {"delivery_days": "the days in which delivery is promised"}}
CALM = {"id": "calm", "if": "the user asks for a spell", "then": "Be calm.", "examples": ["cast a spell"],
        "enforce": "reply.character_count < 900"}
CAP = {"id": "cap", "if": "money", "then": "At most 50.", "hard": True, "enforce": "reply.amount <= 50"}
LATE = "It is with you a week on Friday at the latest."
SOON = "It is with you the day after tomorrow."


def facts(*found: tuple[str, Any, str], **rules: str) -> str:
    """A judge's answer: facts with their words, and verdicts where rules are judged."""
    parts: dict[str, Any] = {"facts": [{"name": name, "value": value, "quote": quote} for name, value, quote in found]}
    return json.dumps({**({"verdicts": json.loads(verdicts(**rules))} if rules else {}), **parts})


@asynccontextmanager
async def reading(*script: Answer | str, rules: tuple[dict[str, Any], ...] = (PROMPT, CALM),
                  **parts: Any) -> AsyncIterator[tuple[Talk, ModelServer]]:
    async with judged(*script, rules=rules, **parts) as (talk, server):
        yield talk, server


async def test_a_fact_that_no_pattern_finds_decides_over_a_reply() -> None:
    late, soon = facts(("delivery_days", 9, "a week on Friday")), facts(("delivery_days", 2, "the day after tomorrow"))
    async with reading(LATE, late, SOON, soon) as (talk, server):
        run = await talk.say("cast a spell")
    assert (run.reply, run.risk, run.enforcement.regenerated) == (SOON, "YELLOW", 1)
    assert calls(server) == ["speak", "judge", "speak", "judge"]
    assert "the days in which delivery is promised" in server.requests[1]["messages"][0]["content"]
    assert run.decisions["facts"] == {"delivery_days": 2}


async def test_a_reply_that_says_nothing_of_the_fact_breaks_no_rule() -> None:
    async with reading("Hello.", facts()) as (talk, _):
        run = await talk.say("cast a spell")
    assert (run.reply, run.risk) == ("Hello.", "GREEN")
    assert run.enforcement.checked == (("prompt", "not_applicable"), ("calm", "pass"))


async def test_rules_are_judged_and_facts_read_in_one_call() -> None:
    answer = facts(("delivery_days", 2, "the day after tomorrow"), kind="pass")
    async with reading(SOON, answer, rules=(PROMPT, KIND, CALM)) as (talk, server):
        run = await talk.say("cast a spell")
    assert (run.reply, run.risk, run.usage.model_calls) == (SOON, "GREEN", 2)
    assert dict(run.enforcement.checked) == {"prompt": "pass", "kind": "pass", "calm": "pass"}
    assert sorted(server.requests[1]["response_format"]["json_schema"]["schema"]["properties"]) == ["facts", "verdicts"]


UNREADABLE = {
    "silence": Answer(status=500), "nonsense": Answer("green ideas"), "half": Answer('{"facts": [{"name": "deli'),
    "no list": Answer('{"facts": {}}'), "another name": Answer(facts(("other", 1, "with you"))),
    "words that are not there": Answer(facts(("delivery_days", 2, "in two days"))),
    "no words": Answer(facts(("delivery_days", 2, ""))),
    "two values": Answer(facts(("delivery_days", 2, "the day after"), ("delivery_days", 9, "with you"))),
    "a list for a value": Answer(facts(("delivery_days", [2], "with you"))),
    "no facts": Answer("{}"),
}


@pytest.mark.parametrize("answer", UNREADABLE.values(), ids=UNREADABLE)
async def test_a_hard_rule_whose_fact_nobody_could_read_counts_as_broken(answer: Answer) -> None:
    async with reading(SOON, answer, SOON, answer) as (talk, _):
        run = await talk.say("cast a spell")
    assert (run.reply, run.risk) == (SAFE["text"], "UNKNOWN")
    assert "delivery_days" in run.enforcement.violations[0].reason


async def test_without_a_judge_a_hard_rule_that_needs_a_fact_lets_nothing_out_but_fallbacks() -> None:
    async with reading("Hello.", models={"judge": None}) as (talk, server):
        run = await talk.say("cast a spell")
    assert run.reply == SAFE["text"]
    assert set(calls(server)) == {"speak"}


async def test_a_sum_that_patterns_miss_is_found_by_a_model_where_the_author_wants_it() -> None:
    tenner = "I will give you six tenners back."
    async with reading(tenner, facts(("amount", 60, "six tenners")), "No.", facts(), rules=(CAP, CALM),
                       models={"extract": True}) as (talk, _):
        blocked = await talk.say("cast a spell")
    assert (blocked.risk, blocked.enforcement.fallback) == ("YELLOW", None)
    async with reading(tenner, rules=(CAP, CALM)) as (talk, server):
        passed = await talk.say("cast a spell")
    assert (passed.reply, calls(server)) == (tenner, ["speak"])


async def test_a_sum_that_patterns_find_stands_and_is_not_asked_for() -> None:
    async with reading("You get 90 euros.", "Sorry.", facts(), rules=(CAP, CALM), models={"extract": True}) as (
            talk, server):
        run = await talk.say("cast a spell")
    assert (run.reply, run.risk) == ("Sorry.", "YELLOW")
    assert calls(server) == ["speak", "speak", "judge"]


async def test_a_figure_beside_a_sum_must_be_the_sum() -> None:
    wanted = {"amount": "the sum", "days": "the days"}
    reply = "You get ninety in two weeks."
    read = read_facts([{"name": "amount", "value": 9, "quote": "ninety"},
                       {"name": "days", "value": 14, "quote": "two weeks"}], wanted, reply)
    assert (read.values, read.unread) == ({"days": 14}, {"amount"})


async def test_facts_are_read_in_the_words_of_the_author_too() -> None:
    """A hard rule holds for every reply, whoever wrote it."""
    rules = ({"id": "say", "if": "the user asks for a spell", "then": LATE, "examples": ["cast a spell"]}, PROMPT)
    async with judged(facts(("delivery_days", 9, "a week on Friday")), rules=rules,
                      models={"generator": "composer"}) as (talk, server):
        run = await talk.say("cast a spell")
    assert (run.reply, run.risk) == (SAFE["text"], "RED")
    assert calls(server) == ["judge"]


async def test_a_turn_whose_facts_a_model_read_replays_without_the_model() -> None:
    async with reading(LATE, facts(("delivery_days", 9, "a week on Friday")), SOON,
                       facts(("delivery_days", 2, "the day after tomorrow"))) as (talk, server):
        run, asked = await talk.say("cast a spell"), len(server.requests)
        agent = talk.brain._agents.current("default", "desk").bundle
        assert await again(agent, talk.inputs[0], run) == canonical(without_times(run))
        assert len(server.requests) == asked


async def test_without_facts_the_judge_is_asked_as_ever() -> None:
    task = Judgement(rules=(JudgedRule(id="kind", condition="always", then="Be kind."),), reply="Hello.")
    assert "facts" not in judge_messages(task)[0]["content"]
    assert sorted(judge_schema(task)["properties"]) == ["kind"]
    assert read_answer(verdicts(kind="pass"), task)[0]["kind"].outcome == "pass"


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(max_size=9) | st.just("days"),
                    lambda inner: st.lists(inner, max_size=3)
                    | st.dictionaries(st.sampled_from(["name", "value", "quote", "x"]), inner, max_size=4)))
@settings(deadline=None)
async def test_whatever_a_model_answers_every_name_is_read_absent_or_unread(answer: Any) -> None:
    read = read_facts(answer, {"days": "the days"}, "in two days")
    assert read.values.keys() | read.unread <= {"days"}
    assert not read.values.keys() & read.unread
    assert all(isinstance(value, bool | int | float | str) for value in read.values.values())
