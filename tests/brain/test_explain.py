"""Explanations of the brain itself: which filter dropped a rule, and what is said where retrieval is away."""

from __future__ import annotations

from typing import Any

import pytest

from ruche.engine.brain.explain import Explained, RuleExplained
from ruche.plugins.contracts import TurnInput
from ruche.plugins.errors import Unavailable
from ruche.plugins.tape import LiveTape
from ruche.storage.model.conversation import Message
from tests.brain.agents import taxi
from tests.brain.talk import Talk, bundle, talking

pytestmark = pytest.mark.anyio

OPEN = {"if": "the user asks when we are open", "then": "From nine.", "examples": ["when do you open"]}


async def explained(talk: Talk, text: str) -> Explained:
    turn = TurnInput(tenant="default", agent="desk", turn_id="explain", request_id="", session=talk.session,
                     profile=talk.profile, messages=(Message(id="m", text=text, at_ms=talk.now_ms),))
    return await talk.brain.explain(turn, LiveTape(lambda: talk.now_ms))


def rule(found: Explained, name: str) -> RuleExplained:
    return next(one for one in found.rules if one.id == name)


@pytest.mark.parametrize(("limit", "name"), [({"cooldown": 3}, "cooldown"), ({"max_fires": 1}, "max_fires")])
async def test_a_rule_that_was_applied_before_names_its_limit(limit: dict[str, int], name: str) -> None:
    async with talking(bundle(rules=[{"id": "hours", **OPEN, **limit}])) as talk:
        assert rule(await explained(talk, "when do you open"), "hours").verdict == "applied"
        await talk.say("when do you open")
        found = rule(await explained(talk, "when do you open"), "hours")
        assert (found.verdict, found.filter) == ("dropped", name)


async def test_a_hard_rule_whose_when_is_false_is_not_told_to_be_judged() -> None:
    hard = {"if": "x", "then": "y", "hard": True, "enforce": "not contains_link"}
    agent = bundle(rules=[{"id": "late", **hard, "when": "now.hour > 20"},
                          {"id": "soon", **hard, "when": "now.hour < 20"}])
    async with talking(agent) as talk:
        found = await explained(talk, "when do you open")
        assert [one.id for one in found.rules if one.always_judged] == ["soon"]


async def test_a_rule_that_another_removes_names_the_relationship() -> None:
    agent = bundle(rules=[{"id": "a", **OPEN}, {"id": "b", **OPEN}],
                   relationships=[{"source": "a", "kind": "excludes", "target": "b"}])
    async with talking(agent) as talk:
        found = await explained(talk, "when do you open")
        assert rule(found, "a").verdict == "applied"
        assert (rule(found, "b").verdict, rule(found, "b").filter) == ("dropped", "excludes by a")


async def test_a_rule_that_another_brings_is_applied_with_that_reason() -> None:
    agent = bundle(rules=[{"id": "a", **OPEN}, {"id": "b", "if": "somebody sings", "then": "Lovely."}],
                   relationships=[{"source": "a", "kind": "implies", "target": "b"}])
    async with talking(agent) as talk:
        found = rule(await explained(talk, "when do you open"), "b")
        assert (found.verdict, found.reason) == ("applied", "implies of a")


async def test_an_expression_that_fails_is_the_reason() -> None:
    async with talking(bundle(rules=[{"id": "hours", **OPEN, "when": "missing > 3"}])) as talk:
        found = rule(await explained(talk, "when do you open"), "hours")
        assert (found.verdict, found.filter) == ("dropped", "when")
        assert "missing" in found.reason


async def test_the_scores_of_far_rules_are_told_though_they_are_no_candidates() -> None:
    rules = [{"id": f"r{number}", **OPEN} for number in range(60)]
    async with talking(bundle(rules=rules)) as talk:
        found = await explained(talk, "when do you open")
        assert len(found.rules) == 60
        assert sum(one.candidate for one in found.rules) == 30
        far = [one for one in found.rules if not one.candidate]
        assert all(one.score > 0 and one.verdict == "not a candidate" and one.reason for one in far)


async def test_a_word_that_was_read_otherwise_is_shown_and_recorded() -> None:
    async with talking(bundle(rules=[{"id": "hours", "if": "the user asks for the timetable", "then": "From nine."},
                                     {"id": "other", "if": "somebody sings", "then": "Lovely."}])) as talk:
        found = await explained(talk, "the timetabel")
        assert found.repaired == (("timetabel", "timetable"),)
        assert rule(found, "hours").verdict == "applied"
        run = await talk.say("the timetabel")
        assert run.decisions["retrieve"]["repaired"] == (("timetabel", "timetable"),)
        assert (await explained(talk, "the timetable")).repaired == ()


async def test_without_retrieval_the_fault_is_the_reason() -> None:
    class Away:
        async def retrieve(self, *_: Any, **__: Any) -> Any:
            raise Unavailable("the index is away")

        prepare = retrieve

    async with talking(taxi(), retrieval=Away()) as talk:
        found = await explained(talk, "when do you open")
        assert "the index is away" in found.fault
        assert {one.verdict for one in found.rules} == {"not a candidate"}
        assert all(found.fault in one.reason for one in found.rules)


async def test_nothing_is_called_and_nothing_is_remembered() -> None:
    async with talking(taxi()) as talk:
        await talk.say("I need a taxi")
        before = talk.session
        found = await explained(talk, "Main Street 5")
        (moved,) = found.scenarios
        assert (found.learned, moved.step, moved.actions[-1][0]) == (("place",), "when", "CONTINUE")
        assert talk.session is before
        assert talk.tools.calls == []
