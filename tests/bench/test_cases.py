"""The suites `matching` and `journeys`: labelled conversations, family by family, on files of any such content."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bench.suites import cases
from bench.suites.journeys import bundle_of
from ruche.engine.brain.compiled import CompiledAgent
from ruche.plugins.errors import ConfigurationError
from ruche.storage.model.bundle import AgentBundle
from tests.bench.measuring import measured

JOURNEY: dict[str, Any] = {
    "triggers": ["the customer wants to rent a boat"], "title": "Rent", "nodes": [
        {"id": "1", "condition": None, "action": "ask which boat", "follow_up_ids": ["2"], "kind": "CHAT",
         "customer_dependent_action": True},
        {"id": "2", "condition": "Always", "action": "ask for how long", "follow_up_ids": ["3", "4"], "kind": "CHAT"},
        {"id": "3", "condition": "it is for a whole day", "action": "say {that it is cheaper}", "follow_up_ids": [],
         "kind": "CHAT"},
        {"id": "4", "condition": "it is for an hour", "action": None, "follow_up_ids": [], "kind": "FORK"}]}


def said(*texts: str) -> list[dict[str, str]]:
    return [{"source": ("CUSTOMER", "AI_AGENT")[place % 2], "text": text} for place, text in enumerate(texts)]


def write(path: Path, name: str, content: Any) -> None:
    (path / name).write_text(json.dumps(content))


def test_rules_pass_where_exactly_the_right_ones_apply(tmp_path: Path) -> None:
    write(tmp_path, "guideline_cases.json", {
        "guidelines": {"stable": {"boats": {"condition": "the customer asks for a boat", "action": "offer one"},
                                  "songs": {"condition": "a song is to be sung", "action": "sing"}}},
        "cases": [
            {"test": "a", "suite": "stable",
             "conversation_context": said("hello", "hi", "the customer asks for a boat"),
             "conversation_guideline_names": ["boats", "songs"], "relevant_guideline_names": ["boats"]},
            {"test": "b", "suite": "stable", "conversation_context": said("it rains"),
             "conversation_guideline_names": ["boats", "songs"], "relevant_guideline_names": []},
            {"test": "c", "suite": "stable", "conversation_context": said("it rains"),
             "conversation_guideline_names": ["boats"], "relevant_guideline_names": ["boats"],
             "previously_applied_guidelines_names": ["boats"]}]})
    write(tmp_path, "batch.json", {"actionable": {
        "guidelines": {"x": {"condition": "the customer wants soup", "action": "serve it"}},
        "cases": [{"test": "d", "conversation_context": said("the customer wants soup"), "guidelines_names": ["x"],
                   "guidelines_target_names": ["x"]}]}})
    metrics = measured("matching", tmp_path)
    assert metrics["n"] == 4
    assert metrics["in context"] == metrics["nothing applies"] == metrics["actionable"] == 100.0
    assert metrics["applied before"] == 0.0
    assert [note.split(":")[0] for note in metrics["notes"]] == ["applied before"]


def test_a_scenario_is_placed_where_the_case_says_and_judged_by_where_it_goes(tmp_path: Path) -> None:
    write(tmp_path, "journeys.json", {"journeys": {"stable": {"rent": JOURNEY}}, "cases": [
        {"test": "a", "suite": "stable", "journey_name": "rent", "journey_previous_path": ["1"],
         "conversation_context": said("a boat", "which?", "the red one"), "expected_next_node_index": "2"},
        {"test": "b", "suite": "stable", "journey_name": "rent", "journey_previous_path": ["1"],
         "conversation_context": said("a boat", "which?", "never mind"), "expected_next_node_index": None}]})
    metrics = measured("journeys", tmp_path)
    assert (metrics["n"], metrics["next step"], metrics["leaving"]) == (2, 100.0, 100.0)


def test_a_journey_becomes_a_scenario_that_compiles() -> None:
    scenario = CompiledAgent(AgentBundle.model_validate(bundle_of(JOURNEY)), 1).scenarios["journey"]
    assert [edge.spec.if_ for edge in scenario.steps["n2"].next] == ["it is for a whole day", "it is for an hour"]
    assert scenario.steps["n1"].next[0].spec.if_ is None


@pytest.mark.parametrize("suite", ["matching", "journeys"])
def test_a_folder_of_another_format_is_refused(tmp_path: Path, suite: str) -> None:
    write(tmp_path, "other.json", {"a": 1})
    with pytest.raises(ConfigurationError, match="and cases"):
        measured(suite, tmp_path)


def test_messages_before_a_reply_belong_to_its_exchange(tmp_path: Path) -> None:
    case = cases._case("f", {"conversation_context": [
        {"source": "CUSTOMER", "text": "one"}, {"source": "CUSTOMER", "text": "two"},
        {"source": "AI_AGENT", "text": "reply"}, {"source": "CUSTOMER", "text": "three"}]})
    assert (case.exchanges[0].said, case.exchanges[0].reply, case.message) == (("one", "two"), "reply", "three")
