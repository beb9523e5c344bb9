"""Scenarios begin, go on, rest, return and end as their author wrote them."""

from __future__ import annotations

from typing import Any

import pytest

from ruche.plugins.contracts import Hit
from tests.brain.agents import taxi
from tests.brain.talk import Functions, Talk, bundle, talking
from tests.brain.test_match import Ranked

pytestmark = pytest.mark.anyio


def booked(**calls: Any) -> Functions:
    return Functions(book=lambda place, pickup_time: {"id": f"T-{place}-{pickup_time}"}, **calls)


def actions(talk: Talk) -> list[tuple[str, str]]:
    assert talk.output is not None
    return [(move.action, move.step) for move in talk.output.run.scenarios]


def scripted(*steps: dict[str, Any], **parts: Any) -> Any:
    """An agent with one scenario `s`, begun by saying `begin`."""
    scenario = {"id": "s", "entry": "the user wants to begin the process", "examples": ["begin", "begin the process"],
                "steps": list(steps)}
    return bundle(scenarios=[scenario], **parts)


async def test_a_scenario_asks_field_by_field_confirms_and_completes() -> None:
    async with talking(taxi(), booked()) as talk:
        assert await talk.reply("I need a taxi") == "Where shall the taxi pick you up?"
        assert await talk.reply("Main Street 5") == "At what time?"
        run = await talk.say("7pm")
        assert (run.reply, run.status) == ("A taxi from Main Street 5 at 19:00, shall I book it?", "awaiting")
        assert talk.tools.calls == []
        run = await talk.say("yes")
        assert run.reply == "It is booked, your number is T-Main Street 5-19:00."
        assert ("COMPLETE", "booking") in actions(talk)
        assert talk.session.scenarios == ()


async def test_a_field_that_is_known_is_not_asked_for_again() -> None:
    async with talking(taxi(), booked()) as talk:
        run = await talk.say("book me a taxi please for 7pm")
        assert run.reply == "Where shall the taxi pick you up?"
        run = await talk.say("Main Street 5")
        assert run.reply.startswith("A taxi from Main Street 5 at 19:00")
        assert run.scenarios[0].skipped == ("when",)


async def test_a_question_in_between_is_answered_and_the_scenario_goes_on() -> None:
    async with talking(taxi(), booked()) as talk:
        await talk.say("I need a taxi")
        run = await talk.say("where can I park?")
        assert run.reply == "You can park behind the house. Where shall the taxi pick you up?"
        assert run.response_type == "MIXED"
        assert talk.step == "taxi/where"


async def test_cancelling_ends_the_scenario_and_says_so() -> None:
    async with talking(taxi(), booked()) as talk:
        await talk.say("I need a taxi")
        assert await talk.reply("never mind") == "All right, I have stopped that."
        assert talk.session.scenarios == ()
        assert actions(talk) == [("CANCEL", "where")]


async def test_a_declined_confirmation_calls_no_tool() -> None:
    async with talking(taxi(), booked()) as talk:
        for said in ("I need a taxi", "Main Street 5", "7pm"):
            await talk.say(said)
        assert await talk.reply("no") == "All right, I will not do that."
        assert (talk.tools.calls, talk.session.scenarios) == ([], ())


async def test_a_corrected_answer_needs_a_new_confirmation() -> None:
    """Security item 34: a yes is bound to the exact arguments it was asked about."""
    async with talking(taxi(), booked()) as talk:
        for said in ("I need a taxi", "Main Street 5", "7pm"):
            await talk.say(said)
        run = await talk.say("yes, actually 8pm")
        assert talk.tools.calls == []
        assert "at 20:00" in run.reply
        await talk.say("yes")
        assert talk.tools.calls == [("book", {"place": "Main Street 5", "pickup_time": "20:00"})]


async def test_going_back_asks_the_last_question_again() -> None:
    async with talking(taxi(), booked()) as talk:
        await talk.say("I need a taxi")
        await talk.say("Main Street 5")
        assert await talk.reply("go back") == "Where shall the taxi pick you up?"
        await talk.say("Park Lane 9")
        assert talk.known("place") == "Park Lane 9"


async def test_a_second_case_begins_without_the_answers_of_the_first() -> None:
    async with talking(taxi(), booked()) as talk:
        for said in ("I need a taxi", "Main Street 5", "7pm", "yes"):
            await talk.say(said)
        assert await talk.reply("I need a taxi") == "Where shall the taxi pick you up?"


async def test_another_scenario_lets_the_first_rest_and_returns_to_it() -> None:
    other = {"id": "wine", "entry": "the user wants to order wine", "examples": ["I want to order wine"], "steps": [
        {"id": "colour", "ask": "Red or white?", "collects": ["colour"], "next": [{"to": "done"}]},
        {"id": "done", "say": "Your {{ colour }} wine is coming.", "next": []}]}
    agent = taxi()
    agent = bundle(**{**agent.model_dump(mode="json", by_alias=True, exclude={"agent", "scenarios", "fields"}),
                      "scenarios": [agent.scenarios[0].model_dump(by_alias=True), other],
                      "fields": [*(field.model_dump() for field in agent.fields),
                                 {"name": "colour", "allowed": ["red", "white"], "scope": "CASE"}]})
    async with talking(agent, booked()) as talk:
        await talk.say("I need a taxi")
        assert await talk.reply("I want to order wine") == "Red or white?"
        assert {one.scenario: one.status for one in talk.session.scenarios} == {"taxi": "paused", "wine": "active"}
        run = await talk.say("red")
        assert run.reply == "Your red wine is coming. Where shall the taxi pick you up?"
        assert [(move.id, move.action) for move in run.scenarios] == [
            ("wine", "CONTINUE"), ("wine", "COMPLETE"), ("taxi", "RESUME")]


async def test_a_question_without_an_answer_is_not_repeated_for_ever() -> None:
    async with talking(taxi(), booked()) as talk:
        await talk.say("I need a taxi")
        replies = [await talk.reply("why? really?") for _ in range(3)]
        assert replies[0] == replies[1] == "Where shall the taxi pick you up?"
        assert "pick you up" not in replies[2]
        assert [one.status for one in talk.session.scenarios] == ["paused"]
        assert talk.output is not None
        assert "without an answer" in talk.output.run.scenarios[-1].why


async def test_a_transition_is_taken_by_expression_before_the_one_without_condition() -> None:
    agent = scripted({"id": "age", "collects": ["age"], "next": [{"to": "child", "when": "age < 18"}, {"to": "adult"}]},
                     {"id": "child", "say": "You are young.", "next": []},
                     {"id": "adult", "say": "You are grown up.", "next": []},
                     fields=[{"name": "age", "type": "number", "ask": "How old are you?"}])
    async with talking(agent) as talk:
        await talk.say("begin")
        assert await talk.reply("12") == "You are young."
        assert talk.output is not None
        considered = talk.output.run.scenarios[0].considered
        assert considered == ({"to": "child", "holds": True, "score": 1.0, "why": "age < 18 is true"},
                              {"to": "adult", "holds": True, "score": 0.0, "why": "always"})


async def test_a_transition_is_taken_by_intent() -> None:
    agent = scripted({"id": "what", "ask": "What is it?", "next": [{"to": "bill", "intent": "billing"},
                                                                   {"to": "tech", "intent": "technical"}]},
                     {"id": "bill", "say": "About your bill.", "next": []},
                     {"id": "tech", "say": "About your device.", "next": []},
                     intents=[{"id": "billing", "examples": ["my bill is wrong", "invoice"]},
                              {"id": "technical", "examples": ["my device is broken"]}])
    async with talking(agent) as talk:
        await talk.say("begin")
        assert await talk.reply("my device is broken") == "About your device."


def forked(first: float, second: float, **more: Any) -> tuple[Any, Ranked]:
    agent = scripted({"id": "ask", "ask": "Left or right?", "next": [
        {"to": "left", "if": "the user wants left", **more}, {"to": "right", "if": "the user wants right"}]},
        {"id": "left", "say": "Left it is.", "next": []}, {"id": "right", "say": "Right it is.", "next": []})
    hits = tuple(sorted((Hit(id="s/ask>left", score=first), Hit(id="s/ask>right", score=second)),
                        key=lambda hit: -hit.score))
    return agent, Ranked(scenarios=(Hit(id="s", score=0.9),), transitions=hits)


@pytest.mark.parametrize(("first", "second", "reply"), [
    (0.8, 0.5, "Left it is."), (0.5, 0.8, "Right it is."), (0.8, 0.75, "Left or right?"), (0.3, 0.2, "Left or right?")])
async def test_a_transition_by_meaning_is_taken_only_with_a_clear_lead(first: float, second: float, reply: str) -> None:
    agent, retrieval = forked(first, second)
    async with talking(agent, retrieval=retrieval) as talk:
        await talk.say("begin")
        assert await talk.reply("that way") == reply


async def test_priority_settles_what_likeness_cannot() -> None:
    agent, retrieval = forked(0.8, 0.79, priority=1)
    async with talking(agent, retrieval=retrieval) as talk:
        await talk.say("begin")
        assert await talk.reply("that way") == "Left it is."


async def test_yes_takes_the_edge_that_asks_for_agreement() -> None:
    agent = scripted({"id": "offer", "ask": "Do you want insurance?", "next": [
        {"to": "with", "if": "the user accepts"}, {"to": "without", "if": "the user declines"}]},
        {"id": "with", "say": "Insured.", "next": []}, {"id": "without", "say": "Not insured.", "next": []})
    async with talking(agent) as talk:
        await talk.say("begin")
        assert await talk.reply("no thanks") == "Not insured."
        await talk.say("begin")
        assert await talk.reply("yes") == "Insured."


async def test_the_results_of_a_tool_lead_on_in_the_same_turn() -> None:
    agent = scripted(
        {"id": "look", "tools": [{"tool": "stock"}], "next": [{"to": "many", "when": "count > 0"}, {"to": "none"}]},
        {"id": "many", "say": "We have {{ count }}.", "next": []}, {"id": "none", "say": "Sold out.", "next": []},
        tools=[{"id": "stock", "python": "t.py:stock", "outputs": {"count": "left.total"}}])
    async with talking(agent, Functions(stock=lambda: {"left": {"total": 3}})) as talk:
        assert await talk.reply("begin") == "We have 3."
    async with talking(agent, Functions(stock=lambda: {"left": {"total": 0}})) as talk:
        assert await talk.reply("begin") == "Sold out."


async def test_a_corrected_answer_is_followed_along_the_branch_it_now_leads_to() -> None:
    agent = scripted(
        {"id": "size", "collects": ["people"], "next": [{"to": "small", "when": "people < 7"}, {"to": "large"}]},
        {"id": "small", "collects": ["day"], "next": [{"to": "end"}]},
        {"id": "large", "ask": "For a party we need your e-mail.", "collects": ["email"], "next": [{"to": "end"}]},
        {"id": "end", "say": "Thank you.", "next": []},
        fields=[{"name": "people", "type": "number", "ask": "How many?", "examples": ["4 people"]},
                {"name": "day", "type": "date", "ask": "Which day?"}, {"name": "email", "type": "email"}])
    async with talking(agent) as talk:
        await talk.say("begin")
        assert await talk.reply("4") == "Which day?"
        assert await talk.reply("sorry, actually 12 people") == "I have changed that. For a party we need your e-mail."
        assert talk.step == "s/large"


async def test_no_more_than_five_scenarios_are_in_progress() -> None:
    steps = [{"id": "ask", "ask": "Well?", "collects": ["it"], "next": []}]
    scenarios = [{"id": f"s{number}", "entry": f"the user wants topic {number}", "steps": steps} for number in range(6)]
    agent = bundle(scenarios=scenarios, fields=[{"name": "it", "type": "email"}])
    retrieval = Ranked()
    async with talking(agent, retrieval=retrieval) as talk:
        for number in range(6):
            retrieval.hits = Ranked(scenarios=(Hit(id=f"s{number}", score=0.9),)).hits
            await talk.say("next")
        assert [one.scenario for one in talk.session.scenarios] == ["s0", "s1", "s2", "s3", "s4"]
        assert talk.output is not None
        assert "s5 did not begin" in talk.output.run.decisions["orchestrate"]["full"]


async def test_a_step_reachable_from_anywhere_is_reached_by_its_words_but_not_past_a_checkpoint() -> None:
    steps: list[dict[str, Any]] = [
        {"id": "one", "ask": "One?", "collects": ["one"], "next": [{"to": "paid"}]},
        {"id": "paid", "ask": "Paid?", "checkpoint": True, "collects": ["two"], "next": [{"to": "help", "if": "h"},
                                                                                       {"to": "late", "if": "l"}]},
        {"id": "help", "say": "Help is coming.", "reachable_from_anywhere": False, "next": []},
        {"id": "late", "say": "Too late.", "reachable_from_anywhere": True, "next": []},
        {"id": "desk", "ask": "Desk?", "collects": ["two"], "next": [{"to": "person", "if": "p"}]},
        {"id": "person", "say": "A person it is.", "reachable_from_anywhere": True, "next": []}]
    agent = scripted(*steps, fields=[{"name": "one", "type": "email"}, {"name": "two", "type": "email"}])

    def hears(transition: str) -> Ranked:
        return Ranked(scenarios=(Hit(id="s", score=0.9),), transitions=(Hit(id=transition, score=0.9),))

    retrieval = hears("s/paid>late")
    async with talking(agent, retrieval=retrieval) as talk:
        await talk.say("begin")
        await talk.say("jump ahead")
        assert talk.step == "s/one"
        retrieval.hits = hears("s/desk>person").hits
        assert await talk.reply("a person please") == "A person it is."


async def test_values_for_fields_that_only_one_scenario_collects_tell_which_one_is_meant() -> None:
    scenarios = [
        {"id": "table", "entry": "the user wants a table", "steps": [
            {"id": "a", "collects": ["people", "at"], "ask": "How many, and when?", "next": []}]},
        {"id": "wine", "entry": "the user wants wine", "steps": [
            {"id": "b", "collects": ["email"], "ask": "Your e-mail?", "next": []}]}]
    fields = [{"name": "people", "type": "number", "examples": ["4 people"]}, {"name": "at", "type": "time"},
              {"name": "email", "type": "email"}]
    retrieval = Ranked(scenarios=(Hit(id="wine", score=0.3), Hit(id="table", score=0.29)))
    async with talking(bundle(scenarios=scenarios, fields=fields), retrieval=retrieval) as talk:
        run = await talk.say("4 people at 7 pm")
        assert [(move.id, move.action) for move in run.scenarios] == [("table", "START"), ("table", "COMPLETE")]
        assert "scored 0.3900 with 2 of its fields named" in run.scenarios[0].why


async def test_a_scenario_whose_step_is_gone_from_the_agent_ends_without_harm() -> None:
    async with talking(taxi(), booked()) as talk:
        await talk.say("I need a taxi")
        instances = talk.session.scenarios
        talk.session = type(talk.session)(**{
            **{name: getattr(talk.session, name) for name in talk.session.__struct_fields__},
            "scenarios": tuple(type(one)(scenario="taxi", version=1, step="nowhere") for one in instances)})
        run = await talk.say("hello")
        assert run.decisions["orchestrate"]["gone"] == ["taxi/nowhere"]
        assert talk.session.scenarios == ()
