"""Which rules apply, in which order, and why others do not."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ruche.engine.brain.compiled import CompiledAgent
from ruche.engine.brain.ranked import Applied, law
from ruche.engine.brain.relations import related
from ruche.plugins.contracts import Hit, Hits
from ruche.plugins.selectors import FixedK
from ruche.storage.model.bundle import AgentBundle
from tests.brain.agents import RULES
from tests.brain.talk import bundle, talking

pytestmark = pytest.mark.anyio


class Ranked:
    """A retrieval that ranks as a test says."""

    def __init__(self, **hits: Any) -> None:
        self.hits = Hits(**hits)

    async def prepare(self, bundle: AgentBundle, version: int) -> None:
        return None

    async def retrieve(self, *request: Any) -> Hits:
        return self.hits


def rule(name: str, **parts: Any) -> dict[str, Any]:
    return {"id": name, "if": f"the user says {name}", "then": f"This is {name}.", **parts}


def scored(**scores: float) -> Ranked:
    ranked = sorted(scores.items(), key=lambda pair: (-pair[1], pair[0]))
    return Ranked(rules=tuple(Hit(id=name, score=score) for name, score in ranked))


async def test_a_rule_applies_when_the_message_resembles_it() -> None:
    async with talking(bundle(rules=RULES)) as talk:
        run = await talk.say("what are your opening hours?")
        assert [one.id for one in run.rules] == ["hours"]
        assert run.rules[0].score >= 0.35
        assert "scored" in run.rules[0].why


async def test_the_run_tells_for_every_candidate_why_it_was_dropped() -> None:
    rules = [rule("low"), rule("off", enabled=False), rule("rich", when="tier == 'gold'"),
             rule("unknown", when="age > 3"), rule("fine")]
    retrieval = scored(low=0.1, off=0.9, rich=0.9, unknown=0.9, fine=0.9)
    async with talking(bundle(rules=rules), retrieval=retrieval) as talk:
        run = await talk.say("hello there")
        assert [one.id for one in run.rules] == ["fine"]
        assert run.decisions["match"]["dropped"] == {
            "disabled": ["off"], "when: tier is not known": ["rich"], "when: age is not known": ["unknown"],
            "threshold": ["low"]}


async def test_rules_that_were_decided_one_by_one_are_not_cut_at_a_gap() -> None:
    names, scores = "abcdefghijkl", {name: 0.9 if name < "c" else 0.4 for name in "abcdefghijkl"}
    for several, applied in ((False, "ab"), (True, names[:10])):
        retrieval = Ranked(rules=scored(**scores).hits.rules, several=several)
        async with talking(bundle(rules=[rule(name) for name in names]), retrieval=retrieval) as talk:
            run = await talk.say("x")
            assert "".join(one.id for one in run.rules) == applied
            assert "".join(run.decisions["match"]["cut"]) == names[len(applied):]


@pytest.mark.parametrize(("cooldown", "fired"), [(0, [True, True, True, True]), (1, [True, False, True, False]),
                                                 (2, [True, False, False, True])])
async def test_a_rule_rests_for_as_many_turns_as_its_cooldown(cooldown: int, fired: list[bool]) -> None:
    async with talking(bundle(rules=[rule("a", cooldown=cooldown)]), retrieval=scored(a=0.9)) as talk:
        assert [bool((await talk.say("x")).rules) for _ in range(4)] == fired


async def test_a_rule_fires_no_more_often_than_its_author_allows() -> None:
    async with talking(bundle(rules=[rule("a", max_fires=2)]), retrieval=scored(a=0.9)) as talk:
        assert [bool((await talk.say("x")).rules) for _ in range(4)] == [True, True, False, False]
        assert talk.session.rule_fires == {"a": 2}


async def test_rules_of_a_step_apply_only_there_and_already_in_the_turn_that_enters_it() -> None:
    scenario = {"id": "s", "entry": "the user wants s", "steps": [
        {"id": "one", "ask": "What now?", "next": [{"to": "two"}]}, {"id": "two", "say": "Two.", "next": []}]}
    agent = bundle(rules=[rule("here", scope="STEP", scope_id="s/one"), rule("there", scope="STEP", scope_id="s/two")],
                   scenarios=[scenario])
    retrieval = Ranked(rules=(Hit(id="here", score=0.9), Hit(id="there", score=0.9)),
                       scenarios=(Hit(id="s", score=0.9),))
    async with talking(agent, retrieval=retrieval) as talk:
        assert [one.id for one in (await talk.say("start s")).rules] == ["here"]


async def test_which_of_two_equal_rules_survives_a_cut_is_decided_by_priority_then_id() -> None:
    rules = [rule("a"), rule("b", priority=5), rule("c", priority=5)]
    async with talking(bundle(rules=rules), retrieval=scored(a=0.9, b=0.9, c=0.9), selector=FixedK(k=1)) as talk:
        run = await talk.say("x")
        assert [one.id for one in run.rules] == ["b"]
        assert run.decisions["match"]["cut"] == ["c", "a"]


async def test_edges_between_rules_add_and_remove_after_certainty_two_steps_deep() -> None:
    rules = [rule(name) for name in "abcdef"]
    edges = [{"source": "a", "kind": "implies", "target": "c"}, {"source": "c", "kind": "depends_on", "target": "d"},
             {"source": "d", "kind": "implies", "target": "e"}, {"source": "a", "kind": "excludes", "target": "b"},
             {"source": "a", "kind": "related", "target": "f"}]
    async with talking(bundle(rules=rules, relationships=edges), retrieval=scored(a=0.9, b=0.88)) as talk:
        run = await talk.say("x")
        assert [one.id for one in run.rules] == ["a", "c", "d"]
        assert run.decisions["match"]["related"] == {"added": ["c", "d"], "removed": {"b": "excludes by a"}}


def test_a_special_rule_takes_the_place_of_the_general_one_it_specializes() -> None:
    assert related({"special": (("specializes", "general"),)}, ["general", "special"]) == (
        {}, {"general": "specializes by special"})


RULE_NAMES = st.sampled_from("abcdefgh")
GRAPHS = st.dictionaries(RULE_NAMES, st.lists(st.tuples(
    st.sampled_from(["depends_on", "implies", "excludes", "specializes", "related"]), RULE_NAMES), max_size=4).map(
        lambda edges: tuple(sorted(edges))))


@given(GRAPHS, st.lists(RULE_NAMES, unique=True))
def test_expansion_always_ends_and_never_both_adds_and_removes(edges: dict[str, Any], applied: list[str]) -> None:
    added, removed = related(edges, applied)
    assert not set(added) & (set(removed) | set(applied))
    assert set(removed) <= {target for pairs in edges.values() for _, target in pairs}


PRIORITIES = CompiledAgent(bundle(rules=[rule(f"r{number}", priority=number % 3) for number in range(9)]), 1).rules


@given(st.permutations(sorted(PRIORITIES)), st.dictionaries(st.sampled_from(sorted(PRIORITIES)), st.sampled_from(
    [0.5, 0.50004, 0.6])))
def test_the_order_of_rules_is_total_and_does_not_depend_on_where_they_came_from(names: list[str],
                                                                                scores: dict[str, float]) -> None:
    applied = [Applied(rule=PRIORITIES[name], score=scores.get(name, 0.5), why="") for name in names]
    ordered = sorted(applied, key=law)
    applied.reverse()
    assert ordered == sorted(applied, key=law)
    for one, other in pairwise(ordered):
        assert (-one.score, -one.rule.rule.priority, one.id) < (-other.score, -other.rule.rule.priority, other.id)
