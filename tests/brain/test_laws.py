"""What holds in every turn of every conversation, whatever is said and whatever the message resembles."""

from __future__ import annotations

from typing import Any

import anyio
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ruche.engine.brain.relations import related
from ruche.plugins.contracts import Hit, Hits
from ruche.storage.model.run import Run
from tests.brain.talk import Functions, Talk, bundle, talking
from tests.brain.test_match import rule

FIELDS = [{"name": "city", "ask": "Which city?", "scope": "CASE", "allowed": ["Rome", "Oslo"]},
          {"name": "day", "type": "date", "ask": "Which day?", "scope": "CASE"},
          {"name": "guests", "type": "number", "ask": "How many?", "scope": "CASE", "minimum": 1, "maximum": 9},
          {"name": "email", "type": "email", "ask": "Your e-mail?", "scope": "SESSION"}]
TOOLS = [{"id": "book", "python": "t.py:book", "policy": "IRREVERSIBLE", "outputs": {"ticket": "id"}},
         {"id": "look", "python": "t.py:look", "outputs": {"free": "free"}}]


def scenario(name: str, *steps: dict[str, Any], **parts: Any) -> dict[str, Any]:
    return {"id": name, "entry": f"the user wants {name}", "steps": list(steps), **parts}


SCENARIOS = [
    scenario("trip", {"id": "a", "collects": ["city"], "next": [{"to": "b", "when": "city == 'Rome'"}, {"to": "c"}]},
             {"id": "b", "ask": "Shall we?", "next": [{"to": "c", "if": "the user says yes"},
                                                      {"to": "a", "if": "the user says no", "reopen": ["city"]}]},
             {"id": "c", "tools": [{"tool": "look"}], "next": [{"to": "d", "when": "free > 0"}, {"to": "e"}]},
             {"id": "d", "tools": [{"tool": "book"}], "checkpoint": True, "say": "Booked.", "next": [{"to": "e"}]},
             {"id": "e", "say": "Bye."}),
    scenario("table", {"id": "a", "collects": ["day", "guests"], "can_skip": True, "next": [{"to": "b"}]},
             {"id": "b", "needs": [{"field": "email", "level": "SOFT"}], "say": "Reserved."}),
    scenario("outer", {"id": "a", "scenario": "inner", "next": [{"to": "b"}]},
             {"id": "b", "collects": ["guests"], "next": [{"to": "c"}]}, {"id": "c", "say": "Outside."}),
    scenario("inner", {"id": "a", "collects": ["email"], "next": [{"to": "b"}]}, {"id": "b", "say": "Inside."}),
    *(scenario(f"more{number}", {"id": "a", "ask": "And?", "next": [{"to": "b", "if": "the user goes on"}]},
               {"id": "b", "say": "More."}) for number in range(2)),
    *(scenario(f"open{number}", {"id": "a", "collects": ["day"], "next": [{"to": "b"}]}, {"id": "b", "say": "So."})
      for number in range(3))]
RULES = [rule("card", topic="your card"), rule("account", topic="your account"), rule("plain", then="Plainly."),
         rule("free", then="Look.", tools=[{"tool": "look"}])]
EDGES = [{"source": "card", "kind": "excludes", "target": "account"},
         {"source": "account", "kind": "excludes", "target": "card"},
         {"source": "plain", "kind": "implies", "target": "free"}]
AGENT = bundle(fields=FIELDS, tools=TOOLS, scenarios=SCENARIOS, rules=RULES, relationships=EDGES)
EDGE_IDS = [f"{one['id']}/{step['id']}>{way['to']}" for one in SCENARIOS for step in one["steps"]
            for way in step.get("next", ()) if "if" in way]

SAID = st.sampled_from(["Rome", "Oslo", "on 3 March 2027", "4 people", "ada@example.org", "yes", "no", "never mind",
                        "go back", "actually Oslo", "not now", "go on", "hello", "what is this?", "hm", "12 people",
                        "the first", "the second", "later on 5 March 2027 for 3 people in Rome"])
SCORE = st.sampled_from([0.3, 0.4, 0.6, 0.61, 0.9])


def some(ids: list[str]) -> st.SearchStrategy[tuple[Hit, ...]]:
    ranked = st.dictionaries(st.sampled_from(ids), SCORE, max_size=3)
    return ranked.map(lambda found: tuple(Hit(id=name, score=score) for name, score in sorted(
        found.items(), key=lambda pair: (-pair[1], pair[0]))))


HITS = st.builds(lambda rules, scenarios, ways: Hits(rules=rules, scenarios=scenarios, transitions=ways),
                 some([one["id"] for one in RULES]), some([one["id"] for one in SCENARIOS]), some(EDGE_IDS))
TURNS = st.lists(st.tuples(SAID, HITS, st.sampled_from([0, 1])), min_size=1, max_size=12)


class Drawn:
    """A retrieval that finds what was drawn."""

    def __init__(self) -> None:
        self.hits = Hits()

    async def prepare(self, agent: Any, version: int) -> None:
        return None

    async def retrieve(self, *request: Any) -> Hits:
        return self.hits


CAP = 5
"""Of scenarios in progress, as the specification has it (`simultaneous`), whatever the engine's constant says."""
ONE_AFTER_ANOTHER = [("hello", Hits(scenarios=(Hit(id=one["id"], score=0.9),)), 0)
                     for one in SCENARIOS if one["id"] != "inner"]


@given(TURNS)
@example(ONE_AFTER_ANOTHER)
@example([("on 3 March 2027", Hits(scenarios=(Hit(id="trip", score=0.4),)), 0), ("not now", Hits(), 0),
          ("Rome", Hits(), 0)])
@settings(max_examples=100, deadline=None)
def test_every_turn_keeps_the_laws(turns: list[tuple[str, Hits, int]]) -> None:
    anyio.run(held, turns)


async def held(turns: list[tuple[str, Hits, int]]) -> None:
    found, free = Drawn(), [1]
    tools = Functions(book=lambda: {"id": "T1"}, look=lambda: {"free": free[0]})
    async with talking(AGENT, tools, retrieval=found) as talk:
        for said, hits, places in turns:
            found.hits, free[0] = hits, places
            before = len([call for call in talk.tools.calls if call[0] == "book"])
            check(await talk.say(said), talk)
            assert len([call for call in talk.tools.calls if call[0] == "book"]) <= before + 1


def check(run: Run, talk: Talk) -> None:
    assert run.reply
    assert run.reply.count("?") <= 1, run.reply
    names = [one.scenario for one in talk.session.scenarios]
    assert len(set(names)) == len(names)
    assert len(names) <= CAP
    assert all(move.why for move in run.scenarios), run.scenarios
    assert all(one.why for one in run.rules)
    assert not {"card", "account"} <= {one.id for one in run.rules}
    booked = [call for call in run.tools if call.name == "book" and call.status == "ok"]
    assert not booked or said_yes(talk)


def said_yes(talk: Talk) -> bool:
    return any(message.text == "yes" for message in talk.inputs[-1].messages)


KINDS = st.sampled_from(["depends_on", "implies", "excludes", "specializes", "related"])
GRAPHS = st.dictionaries(st.sampled_from("abcde"), st.lists(st.tuples(KINDS, st.sampled_from("abcde")), max_size=4).map(
    tuple), max_size=5)


@given(GRAPHS, st.lists(st.sampled_from("abcde"), unique=True))
def test_what_relationships_take_out_stays_out_and_applying_them_again_takes_out_nothing_else(
        edges: dict[str, tuple[tuple[str, str], ...]], applied: list[str]) -> None:
    added, removed = related(edges, applied)
    left = [name for name in applied if name not in removed]
    assert not set(added) & set(applied)
    assert not set(added) & set(removed)
    directed = {source: tuple(one for one in found if one[0] in ("excludes", "specializes"))
                for source, found in edges.items()}
    kept, again = related(directed, [*left, *added])
    assert (kept, {name for name in again if name in left}) == ({}, set())


async def _together(turns: list[tuple[str, Hits, int]]) -> int:
    found = Drawn()
    async with talking(AGENT, Functions(), retrieval=found) as talk:
        most = 0
        for said, hits, _ in turns:
            found.hits = hits
            await talk.say(said)
            most = max(most, len(talk.session.scenarios))
        return most


def test_as_many_scenarios_as_may_be_are_in_progress_when_one_begins_after_another() -> None:
    """Else the law about how many there may be would hold for want of any."""
    assert anyio.run(_together, ONE_AFTER_ANOTHER) == CAP
