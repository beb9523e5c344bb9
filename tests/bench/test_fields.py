"""The suite `fields`: a schema becomes an agent, and its calls are made when everything for them is known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bench.suites import fields
from bench.suites.services import services_of
from ruche.engine.brain.compiled import CompiledAgent
from ruche.plugins.errors import ConfigurationError
from tests.bench.measuring import measured

SCHEMA: list[dict[str, Any]] = [{
    "service_name": "Boats_1", "description": "Rowing boats",
    "slots": [
        {"name": "lake_city", "description": "City at the lake", "is_categorical": False, "possible_values": []},
        {"name": "kind", "description": "Kind of boat", "is_categorical": True, "possible_values": ["Canoe", "Punt"]},
        {"name": "day", "description": "Day of the trip", "is_categorical": False, "possible_values": []},
        {"name": "number_of_seats", "description": "Seats in the boat", "is_categorical": True,
         "possible_values": ["1", "2", "3"]},
        {"name": "covered", "description": "With a roof", "is_categorical": True,
         "possible_values": ["True", "False"]}],
    "intents": [
        {"name": "FindBoat", "description": "Find a boat at a lake", "is_transactional": False,
         "required_slots": ["lake_city", "kind"], "optional_slots": {"day": "dontcare"}, "result_slots": []},
        {"name": "RentBoat", "description": "Rent a boat for a day", "is_transactional": True,
         "required_slots": ["lake_city", "day", "number_of_seats"], "optional_slots": {}, "result_slots": []}]}]


def act(kind: str, slot: str = "", *values: str) -> dict[str, Any]:
    return {"act": kind, "slot": slot, "values": list(values), "canonical_values": list(values)}


def user(text: str, *acts: dict[str, Any], **state: str) -> dict[str, Any]:
    return {"speaker": "USER", "utterance": text, "frames": [{
        "service": "Boats_1", "slots": [], "actions": list(acts),
        "state": {"active_intent": "FindBoat", "requested_slots": [],
                  "slot_values": {name: [value] for name, value in state.items()}}}]}


def agent(text: str, *acts: dict[str, Any], call: tuple[str, dict[str, str]] | None = None) -> dict[str, Any]:
    frame: dict[str, Any] = {"service": "Boats_1", "slots": [], "actions": list(acts)}
    if call is not None:
        frame |= {"service_call": {"method": call[0], "parameters": call[1]}, "service_results": [{}]}
    return {"speaker": "SYSTEM", "utterance": text, "frames": [frame]}


def folder(path: Path, *turns: dict[str, Any]) -> Path:
    (path / "schema.json").write_text(json.dumps(SCHEMA))
    (path / "dialogues_001.json").write_text(json.dumps(
        [{"dialogue_id": "1", "services": ["Boats_1"], "turns": list(turns)}]))
    return path


FOUND = (
    user("find a boat at a lake"),
    agent("In which city?", act("REQUEST", "lake_city")),
    user("near Como", act("INFORM", "lake_city", "Como"), lake_city="Como"),
    agent("A canoe or a punt?", act("REQUEST", "kind")),
    user("a canoe", act("INFORM", "kind", "Canoe"), lake_city="Como", kind="Canoe"),
    agent("There is one on the 9th.", act("OFFER", "day", "2019-03-09"),
          call=("FindBoat", {"lake_city": "Como", "kind": "Canoe"})))


def test_a_call_is_made_with_what_was_said_once_everything_is_known(tmp_path: Path) -> None:
    metrics = measured("fields", folder(tmp_path, *FOUND))
    assert metrics["n"] == 1
    assert (metrics["premature_calls"], metrics["reasked_fields"], metrics["unwanted_calls"]) == (0, 0, 0)
    assert (metrics["calls_made_of_gold"], metrics["calls_right_of_gold"]) == (1.0, 1.0)
    assert metrics["joint_goal_accuracy"] == 100.0


def test_what_changes_something_is_done_after_the_yes_that_was_asked_for(tmp_path: Path) -> None:
    metrics = measured("fields", folder(
        tmp_path, *FOUND, user("rent a boat for a day please", lake_city="Como", kind="Canoe"),
        agent("How many seats?", act("REQUEST", "number_of_seats")),
        user("two", lake_city="Como", kind="Canoe", day="2019-03-09", number_of_seats="2"),
        agent("Two seats in Como on the 9th?", act("CONFIRM", "number_of_seats", "2"),
              act("CONFIRM", "lake_city", "Como")),
        user("yes, that is right", lake_city="Como", kind="Canoe", day="2019-03-09", number_of_seats="2"),
        agent("Done.", call=("RentBoat", {"lake_city": "Como", "day": "2019-03-09", "number_of_seats": "2"}))))
    assert (metrics["calls_made_of_gold"], metrics["gold_calls"], metrics["unwanted_calls"]) == (1.0, 2, 0)


def test_a_call_without_what_it_needs_is_not_made(tmp_path: Path) -> None:
    metrics = measured("fields", folder(tmp_path, *FOUND[:3], agent(
        "There is one.", call=("FindBoat", {"lake_city": "Como", "kind": "Canoe"}))))
    assert (metrics["calls_made_of_gold"], metrics["premature_calls"]) == (0.0, 0)


def test_slots_become_fields_of_their_types() -> None:
    services = services_of(SCHEMA)
    CompiledAgent(services.bundle, 1)
    types = {field.name: (field.type, field.allowed) for field in services.bundle.fields}
    assert types["kind"] == ("string", ("Canoe", "Punt"))
    assert types["day"][0] == "date"
    assert types["covered"][0] == "boolean"
    assert types["number_of_seats"] == ("number", ())


def test_a_folder_without_a_schema_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"schema\.json"):
        fields.read(tmp_path)
