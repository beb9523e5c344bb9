"""A message that begins or serves a scenario must mean a rule clearly; who asks for a rule begins no scenario."""

from __future__ import annotations

from typing import Any

import pytest

from ruche.plugins.contracts import Hit
from tests.brain.agents import taxi
from tests.brain.talk import Functions, bundle, talking
from tests.brain.test_choice import Turns
from tests.brain.test_match import Ranked, rule, scored

pytestmark = pytest.mark.anyio

HOURS = rule("hours", then="We are open from 9 to 17.")


def near(scenario: float = 0.0, **rules: float) -> Ranked:
    return Ranked(rules=scored(**rules).hits.rules, scenarios=(Hit(id="taxi", score=scenario),) if scenario else ())


def riding(*rankings: Ranked, **parts: Any) -> Any:
    return talking(taxi(**{"rules": [HOURS], **parts}), retrieval=Turns(*rankings))


async def test_a_rule_that_the_beginning_of_a_scenario_merely_resembles_stays_unsaid_and_is_explained() -> None:
    async with riding(near(0.9, hours=0.45)) as talk:
        run = await talk.say("a taxi at half past nine")
        assert (run.reply, run.rules) == ("Where shall the taxi pick you up?", ())
        assert run.decisions["match"]["weaker"] == ["hours"]
        assert run.decisions["match"]["bar"] == 0.7


async def test_a_rule_that_is_meant_as_well_is_said_first() -> None:
    async with riding(near(0.9, hours=0.8)) as talk:
        assert await talk.reply("a taxi, and until when are you open?") == (
            "We are open from 9 to 17. Where shall the taxi pick you up?")


@pytest.mark.parametrize(("said", "score", "heard"), [
    ("9:30", 0.7, False), ("9:30", 0.85, True), ("9:30, or are you closed then?", 0.55, True)])
async def test_an_answer_to_the_agents_question_asks_for_no_rule_unless_it_asks_clearly(said: str, score: float,
                                                                                     heard: bool) -> None:
    async with riding(near(0.9), near(), near(hours=score)) as talk:
        for text in ("a taxi please", "Main Street 5"):
            await talk.say(text)
        run = await talk.say(said)
        assert ("We are open" in run.reply, run.reply.endswith("shall I book it?")) == (heard, True)


async def test_a_weak_rule_hands_nobody_over_who_begins_a_scenario() -> None:
    away = rule("person", then="Hand over", effect="HANDOFF")
    async with riding(near(0.9, person=0.4), rules=[away], agent={"handoff": {"enabled": True}}) as talk:
        assert (await talk.say("I would like a taxi")).status == "complete"
        assert not talk.session.handed_off


async def test_hard_rules_and_rules_of_the_scenario_are_not_held_back() -> None:
    inside = rule("inside", then="Inside.", scope="SCENARIO", scope_id="taxi")
    bound = rule("bound", then="Never say so.", hard=True, enforce={"use": "phrase", "options": {"forbidden": ["x"]}})
    async with riding(near(0.9, bound=0.4), near(inside=0.4, bound=0.4), rules=[inside, bound]) as talk:
        assert [one.id for one in (await talk.say("a taxi please")).rules] == ["bound"]
        assert [one.id for one in (await talk.say("Main Street 5")).rules] == ["bound", "inside"]


async def test_what_only_a_weak_rule_brought_goes_with_it() -> None:
    rules, edge = [HOURS, rule("sundays")], {"source": "hours", "kind": "implies", "target": "sundays"}
    async with riding(near(0.9, hours=0.4), rules=rules, relationships=[edge]) as talk:
        assert (await talk.say("a taxi please")).rules == ()


async def test_a_question_that_a_rule_answers_far_better_begins_no_scenario() -> None:
    async with riding(near(0.45, hours=0.9), near(0.7, hours=0.9)) as talk:
        run = await talk.say("until when are you open for taxis?")
        assert (run.reply, talk.step) == ("We are open from 9 to 17.", "")
        assert "hours answers" in run.decisions["orchestrate"]["outdone"]
        await talk.say("until when are you open, and call me a taxi")
        assert talk.step == "taxi/where"


async def test_a_clear_winner_leaves_the_others_unsaid_and_two_that_are_meant_are_both_said() -> None:
    rules = [HOURS, rule("fees", then="It costs 9 euros.")]
    async with riding(near(hours=0.92, fees=0.57), near(hours=0.69, fees=0.45), rules=rules) as talk:
        assert await talk.reply("when are you open?") == "We are open from 9 to 17."
        assert await talk.reply("when are you open, and what is it?") == "We are open from 9 to 17. It costs 9 euros."


async def test_a_hard_rule_binds_however_likely_others_are() -> None:
    bound = rule("bound", then="Never say so.", hard=True, scope="SCENARIO", scope_id="taxi",
                 enforce={"use": "phrase", "options": {"forbidden": ["9 to 17"]}})
    async with riding(near(0.9), near(hours=0.95, bound=0.4), rules=[HOURS, bound]) as talk:
        await talk.say("a taxi please")
        run = await talk.say("until when are you open?")
        assert dict(run.enforcement.checked)["bound"] == "pass"
        assert "9 to 17" not in run.reply


@pytest.mark.parametrize(("score", "reply", "status"), [
    (0.45, "Would you like me to pass you on to a person?", "awaiting"),
    (0.7, "I am passing you on to a person.", "handed_off")])
async def test_a_person_is_offered_where_the_message_may_not_mean_one(score: float, reply: str, status: str) -> None:
    away = rule("person", then="Hand over", effect="HANDOFF", tools=[{"tool": "bell"}])
    bell, tools = {"id": "bell", "python": "tools.py:bell"}, Functions(bell=lambda: {})
    agent = bundle(rules=[away], tools=[bell], agent={"handoff": {"enabled": True}})
    async with talking(agent, tools, retrieval=scored(person=score)) as talk:
        run = await talk.say("can you speak German?")
        assert (run.reply, run.status, bool(tools.calls)) == (reply, status, status == "handed_off")
        if status == "awaiting":
            assert (await talk.say("yes")).status == "handed_off"


@pytest.mark.parametrize(("score", "reply"), [(0.5, "You are welcome."), (0.9, "It was a pleasure.")])
async def test_thanks_ask_for_a_rule_only_where_they_clearly_mean_it(score: float, reply: str) -> None:
    agent = bundle(rules=[rule("gratitude", then="It was a pleasure.")])
    async with talking(agent, retrieval=scored(gratitude=score)) as talk:
        assert await talk.reply("many thanks!") == reply


@pytest.mark.parametrize(("message", "given"), [
    ("many thanks!", {"examples": ["perfect, thank you"]}), ("thank you", {"if": "the customer says thanks"}),
    ("goodbye", {"examples": ["bye for now", "goodbye then"]}), ("vielen Dank!", {"if": "the customer says thanks"})])
async def test_a_rule_that_was_written_for_thanks_or_a_goodbye_answers_them(message: str,
                                                                           given: dict[str, Any]) -> None:
    agent = bundle(rules=[rule("ending", then="It was a pleasure.", **given)], agent={"languages": ["en", "de"]})
    async with talking(agent, retrieval=scored(ending=0.5)) as talk:
        assert await talk.reply(message) == "It was a pleasure."
