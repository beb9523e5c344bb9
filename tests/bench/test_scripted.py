"""Labelled cases of our own with a model behind a real endpoint: one that knows the labels, one that is wrong on
purpose, and the look through each prompt for what a model needs."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from bench.model_server import Answer
from bench.quality import main
from bench.suites import journeys, matching, scripted
from bench.suites.asking import Asking
from bench.suites.cases import read_guidelines, read_journeys
from bench.suites.hostile import ATTACKS, SPOKEN
from bench.suites.oracle import Oracle, kind_of
from bench.suites.posed import Posed, turn
from ruche.actors.retriever import Retriever
from ruche.actors.system import ActorSystem
from ruche.plugins.embedders.hashing import HashingEmbedder
from ruche.storage.model.bundle import AgentBundle
from tests.bench.measuring import measured
from tests.bench.test_cases import said, write

GUIDELINES = {
    "calm": {"condition": "the guest has become annoyed", "action": "offer a cup of tea"},
    "nuts": {"condition": "the guest cannot eat something", "action": "name what is without it"},
    "snow": {"condition": "there may be snow on the road", "action": "advise to leave early"},
    "pier": {"condition": "the guest asks after the long plank", "action": "describe the way to it"},
    "cannot": {"condition": "the guest wants what the house does not do", "action": "say that it is not done here"},
    "room_sea": {"condition": "the guest wants the room to the sea", "action": "book the one to the sea"},
    "room_yard": {"condition": "the guest wants the room to the yard", "action": "book the one to the yard"},
    "room_roof": {"condition": "the guest wants the room under the roof", "action": "book the one under the roof"},
}
CASES = [
    {"test": "told long before", "conversation_context": said(
        "good day, walnuts make me ill", "I shall keep it in mind.", "is it far to the station", "Ten minutes.",
        "and what is there for dinner"), "conversation_guideline_names": ["calm", "nuts"],
     "relevant_guideline_names": ["nuts"]},
    {"test": "done already", "conversation_context": said("this takes for ever", "May I bring a tea?", "yes, do"),
     "conversation_guideline_names": ["calm", "nuts"], "relevant_guideline_names": [],
     "previously_applied_guidelines_names": ["calm"]},
    {"test": "by what the house knows", "conversation_context": said("when should I set out"),
     "conversation_guideline_names": ["snow", "cannot"], "relevant_guideline_names": ["snow"],
     "context_variables": [{"name": "road", "data": {"weather": "frost"}}],
     "capabilities": [{"title": "Wake up call", "description": "Rings the room at an hour that the guest names"}]},
    {"test": "a word of the house", "conversation_context": said("how do I come to the long plank"),
     "conversation_guideline_names": ["pier"], "relevant_guideline_names": ["pier"],
     "terms": [{"name": "long plank", "description": "The old pier behind the house"}]},
]
UNCLEAR = {"guidelines": GUIDELINES, "cases": [
    {"test": "one of three", "conversation_context": said("a room please, not to the yard"),
     "to_disambiguate_guidelines_names": ["room_sea", "room_yard", "room_roof"],
     "disambiguating_guideline_names": ["room_sea", "room_roof"]}]}
STAY: dict[str, Any] = {"triggers": ["the guest wants to stay the night"], "title": "Stay", "nodes": [
    {"id": "1", "condition": None, "action": "ask for how many nights", "follow_up_ids": ["2", "3"], "kind": "CHAT",
     "customer_dependent_action": True},
    {"id": "2", "condition": "for a week or longer", "action": None, "follow_up_ids": ["4"], "kind": "FORK"},
    {"id": "3", "condition": "for some nights", "action": "ask whether breakfast is wanted", "follow_up_ids": ["5"],
     "kind": "CHAT", "customer_dependent_action": True},
    {"id": "4", "condition": "always", "action": "ask whether laundry is wanted", "follow_up_ids": ["5"],
     "kind": "CHAT", "customer_dependent_action": True},
    {"id": "5", "condition": None, "action": "ask for the name", "follow_up_ids": ["6"], "kind": "CHAT",
     "customer_dependent_action": True},
    {"id": "6", "condition": None, "action": "thank the guest", "follow_up_ids": [], "kind": "CHAT"}]}


def journey(name: str, before: list[str | None], path: list[str], *texts: str, to: str | None = None,
            back: bool = False) -> dict[str, Any]:
    return {"test": name, "suite": "s", "journey_name": "stay", "journey_previous_path": before, "expected_path": path,
            "expected_next_node_index": path[-1] if path else to, "conversation_context": said(*texts),
            "run_backtrack_journey_selector": back}


JOURNEYS = [
    journey("next", ["1"], ["1", "3"], "a room", "How long?", "two nights"),
    journey("over a fork", ["1"], ["1", "2", "4", "5"], "a room", "How long?", "ten days, no laundry"),
    journey("from the beginning", [], ["1", "3", "5"], "a room for two nights without breakfast"),
    journey("to the end", ["1", "3", "5"], ["1", "3", "5", "6"], "a room", "How long?", "two, no breakfast",
            "And the name?", "Ada"),
    journey("changed", ["1", "3", "5"], ["1", "3", "5", "1", "2", "4"], "a room", "How long?", "two, no breakfast",
            "And the name?", "wait, make that three weeks", back=True),
    journey("once more", ["1", None], ["1"], "a room", "How long?", "none", "Fine.", "well, a room after all"),
    journey("no more", ["1", "3"], [], "a room", "How long?", "two", "Breakfast?", "let us forget about it"),
]


@pytest.fixture
def house(tmp_path: Path) -> Path:
    write(tmp_path, "rules.json", {"guidelines": {"s": GUIDELINES}, "cases": [{**one, "suite": "s"} for one in CASES]})
    write(tmp_path, "unclear.json", {"disambiguation": UNCLEAR})
    write(tmp_path, "journeys.json", {"journeys": {"s": {"stay": STAY}}, "cases": JOURNEYS})
    return tmp_path


@pytest.mark.parametrize("suite", ["matching", "journeys"])
def test_what_a_model_says_that_knows_the_labels_is_applied_exactly_and_its_prompts_are_whole(
        house: Path, suite: str) -> None:
    metrics = measured(suite, house, model="perfect")
    assert metrics["notes"] == []
    assert (metrics["passed"], metrics["prompts_whole"]) == (100.0, 100.0)
    assert metrics["sift_calls"] == metrics["sense_calls"] == metrics["n"] == {"matching": 5, "journeys": 7}[suite]


def test_the_embedded_default_alone_does_not_know_the_labels(house: Path) -> None:
    assert measured("matching", house)["passed"] < 100.0
    assert measured("journeys", house)["passed"] < 100.0


@pytest.mark.parametrize("suite", ["matching", "journeys"])
def test_wrong_answers_end_in_an_allowed_reply_apply_nothing_and_tell_why(house: Path, suite: str) -> None:
    metrics = measured(suite, house, limit=2, model="hostile")
    assert metrics["notes"] == []
    assert metrics["turns"] == metrics["ended_allowed_and_told"] == 2 * len(ATTACKS | SPOKEN)
    assert all(metrics[name] == 2 for name in ATTACKS | SPOKEN)


def test_the_command_prints_a_scripted_run_as_one_object(house: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["journeys", "--data", str(house), "--quick", "--model", "perfect", "--json"])
    printed = json.loads(capsys.readouterr().out)
    assert (printed["model"], printed["metrics"]["passed"], printed["n"]) == ("perfect", 100.0, 7)


# --- what the look through the prompts notices ------------------------------------------------------------------------


def asked(posed: list[Posed]) -> list[tuple[Posed, list[dict[str, Any]]]]:
    """Each case with the requests that the engine really made for it."""
    async def ask() -> list[tuple[Posed, list[dict[str, Any]]]]:
        found = []
        async with ActorSystem() as system:
            asking = Asking(Retriever(HashingEmbedder(), system))
            for number, one in enumerate(posed):
                bodies: list[dict[str, Any]] = []
                bundle = scripted.with_model(one.bundle)
                oracle = Oracle(AgentBundle.model_validate(bundle), one.case, one.label)

                def answer(body: dict[str, Any], bodies: list[dict[str, Any]] = bodies,
                           oracle: Oracle = oracle) -> Answer:
                    bodies.append(body)
                    return oracle(body)

                async with scripted.asked(asking, bundle, answer, number + 1) as room:
                    await turn(room, one)
                found.append((one, bodies))
        return found

    return anyio.run(ask)


def lost(posed: Posed, bodies: list[dict[str, Any]], kind: str, change: Callable[[str], str]) -> list[str]:
    """What is noticed when the prompts of one kind are changed so."""
    oracle = Oracle(AgentBundle.model_validate(scripted.with_model(posed.bundle)), posed.case, posed.label)
    for body in bodies:
        if kind_of(body) == kind:
            oracle(json.loads(change(json.dumps(body, ensure_ascii=False))))
    return oracle.lacking


def named(posed: list[Posed], name: str) -> list[Posed]:
    return [one for one in posed if one.case.name == name]


@pytest.mark.parametrize(("case", "kind", "gone", "noticed"), [
    ("told long before", "sift", "the guest cannot eat something", "the condition and the action of nuts"),
    ("told long before", "sift", "name what is without it", "the condition and the action of nuts"),
    ("told long before", "sift", "walnuts make me ill", "the conversation"),
    ("told long before", "sift", "Ten minutes.", "the conversation"),
    ("told long before", "sift", "and what is there for dinner", "the conversation"),
    ("told long before", "sift", "not_related", "the words that may be answered of nuts"),
    ("told long before", "sense", "and what is there for dinner", "the message"),
    ("told long before", "speak", "name what is without it", "the action of nuts"),
    ("told long before", "speak", "Ten minutes.", "the conversation"),
    ("done already", "sift", "ago", "when calm was applied"),
    ("by what the house knows", "sift", "frost", "the value of road_weather"),
    ("by what the house knows", "sift", "Rings the room", "that the agent can wake_up_call"),
    ("a word of the house", "sift", "The old pier", "what long plank means"),
    ("one of three", "sift", "excludes", "what room_sea excludes"),
    ("next", "sift", "ask whether breakfast is wanted", "what the agent does at n3"),
    ("next", "sift", "for some nights", "the ways out of n1"),
    ("next", "sift", r'\"at\"', "where the scenario stands"),
    ("changed", "sift", r'\"path\"', "where the scenario stands"),
    ("next", "sift", '"leave"', "the moves that may be answered"),
    ("next", "sift", "the guest wants to stay the night", "what the scenario is for"),
    ("next", "sift", "How long?", "the conversation"),
])
def test_a_piece_that_a_prompt_loses_is_noticed(house: Path, case: str, kind: str, gone: str, noticed: str) -> None:
    posed = [*(matching.posed(guidelines, one) for guidelines, one in read_guidelines(house)),
             *(journeys.posed(graph, one) for graph, one in read_journeys(house))]
    ((one, bodies),) = asked(named(posed, case))
    assert lost(one, bodies, kind, str) == []
    assert gone in json.dumps(bodies, ensure_ascii=False)
    assert any(noticed in found for found in lost(one, bodies, kind, lambda text: text.replace(gone, "x" * len(gone))
                                                  if '"' not in gone else text.replace(gone, gone.replace("a", "o"))))


def test_two_sides_of_a_conversation_that_are_mixed_up_are_noticed(house: Path) -> None:
    posed = [matching.posed(guidelines, one) for guidelines, one in read_guidelines(house)]
    ((one, bodies),) = asked(named(posed, "told long before"))
    swapped = copy.deepcopy(bodies)
    for body in swapped:
        text = body["messages"][-1]["content"]
        body["messages"][-1]["content"] = text.replace('"agent", "text": "Ten', '"person", "text": "Ten')
    assert swapped != bodies
    assert any("the conversation" in found for found in lost(one, swapped, "sift", str))


def test_a_scripted_model_goes_with_suites_whose_labels_it_can_know(
        tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["rules", "--data", str(tmp_path), "--model", "perfect"])
    assert "goes with matching and journeys" in capsys.readouterr().err
