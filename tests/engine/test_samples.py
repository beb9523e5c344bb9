"""The agents that ship with the engine: they check without a finding, and they do what is said of them."""

from __future__ import annotations

import importlib.util
import inspect
import json
from pathlib import Path
from types import ModuleType

import pytest

from ruche.engine.authoring.document import read_document
from ruche.engine.authoring.load import load_folder
from ruche.engine.authoring.samples import sample_folder, sample_names, served_samples
from ruche.engine.cli.check import agent_folders
from ruche.plugins.templates import compile_template
from ruche.storage.model.bundle import AgentBundle


@pytest.fixture(scope="module")
def frontdesk() -> AgentBundle:
    return load_folder(sample_folder("frontdesk")).require()


@pytest.fixture(scope="module")
def kiosk() -> AgentBundle:
    return load_folder(sample_folder("kiosk")).require()


@pytest.fixture(scope="module")
def tools() -> ModuleType:
    spec = importlib.util.spec_from_file_location("frontdesk_tools", sample_folder("frontdesk") / "tools.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", sample_names())
def test_a_sample_checks_without_any_finding(name: str) -> None:
    found = load_folder(sample_folder(name))
    assert [str(problem) for problem in found.problems] == []


def test_a_first_start_serves_the_front_desk_and_the_kiosk() -> None:
    assert [folder.name for folder in served_samples()] == ["frontdesk", "kiosk"]


def test_the_folder_of_all_samples_can_be_served_as_it_is() -> None:
    assert {folder.name for folder in agent_folders((sample_folder("kiosk").parent,))} == set(sample_names())


@pytest.mark.parametrize("name", sample_names())
def test_a_sample_has_conversations_to_test_it_with(name: str) -> None:
    for file in sorted((sample_folder(name) / "tests").glob("*.yaml")):
        document, problems = read_document(file.name, file.read_text(encoding="utf-8"))
        assert problems == []
        assert all(turn["say"] for conversation in document.data for turn in conversation["turns"])


def test_the_front_desk_covers_its_six_tasks(frontdesk: AgentBundle) -> None:
    assert {scenario.id for scenario in frontdesk.scenarios} == {
        "bank_balance", "doctor_followup", "hotel_search", "hotel_book", "restaurant_book", "ride_status"}


def test_the_front_desk_asks_before_anything_that_cannot_be_undone(frontdesk: AgentBundle) -> None:
    final = {tool.id for tool in frontdesk.tools if tool.policy == "IRREVERSIBLE"}
    steps = [step for scenario in frontdesk.scenarios for step in scenario.steps
             if final & {binding.tool for binding in step.tools}]
    assert len(steps) == 2
    assert all(step.confirm and step.checkpoint and not step.can_skip for step in steps)


def test_the_front_desk_marks_what_is_personal(frontdesk: AgentBundle) -> None:
    personal = {field.name for field in frontdesk.fields if field.pii}
    assert {"full_name", "account_number", "pin", "date_of_birth", "doctor"} <= personal
    assert all(field.encrypted for field in frontdesk.fields if field.pii)
    assert not next(field for field in frontdesk.fields if field.name == "pin").persist


def test_the_front_desk_holds_back_what_may_not_be_said(frontdesk: AgentBundle) -> None:
    hard = {rule.id for rule in frontdesk.rules if rule.hard}
    assert {"no_amount_before_authentication", "no_medical_advice", "balance_needs_a_balance"} <= hard
    assert all(rule.enforce for rule in frontdesk.rules if rule.hard)
    assert sum(template.mode == "FALLBACK" for template in frontdesk.templates) == 2


@pytest.mark.parametrize("part", ["morning", "afternoon", "evening"])
def test_the_greeting_knows_the_time_of_day(frontdesk: AgentBundle, kiosk: AgentBundle, part: str) -> None:
    for bundle in (frontdesk, kiosk):
        assert f"Good {part}" in compile_template(bundle.agent.greeting or "").render({"now": {"part_of_day": part}})


def test_the_kiosk_works_without_anything_else(kiosk: AgentBundle) -> None:
    assert len(kiosk.rules) == 10
    assert kiosk.agent.public
    assert kiosk.agent.models.generator == "composer"
    assert not kiosk.tools
    assert {template.mode for template in kiosk.templates} == {"EXCLUSIVE", "FALLBACK"}
    answered = {name for rule in kiosk.rules for name in rule.templates}
    assert answered == {template.id for template in kiosk.templates if template.mode == "EXCLUSIVE"}


CALLS = [
    ("bank_sign_out", {}, "authenticated", False),
    ("bank_check", {"full_name": "Rosa Feld", "account_number": "40718822", "pin": "4071"}, "status", "found"),
    ("bank_check", {"full_name": "Rosa Feld", "account_number": "40718822", "pin": "0000"}, "status", "refused"),
    ("bank_check", {"full_name": "Rosa Feld", "pin": "4071"}, "authenticated", False),
    ("bank_check", {"full_name": "Omar", "date_of_birth": "1971-03-03", "mothers_maiden_name": "Idris",
                    "pets_name": "Juno"}, "authenticated", True),
    ("doctor_note", {"full_name": "Omar", "doctor": "Dr. Morgan"}, "status", "found"),
    ("doctor_note", {"full_name": "Omar", "doctor": "Dr. Nobody"}, "status", "missing"),
    ("hotel_search", {"hotel_location": "North", "price_range": "Expensive"}, "hotel", "Hyatt Hotel"),
    ("hotel_search", {"rating": 6}, "status", "missing"),
    ("hotel_check", {"hotel": "Hyatt Hotel", "date_from": "2026-05-02", "date_to": "2026-05-09"}, "status",
     "available"),
    ("hotel_check", {"hotel": "Hyatt Hotel", "date_from": "2026-05-09", "date_to": "2026-05-02"}, "status",
     "unavailable"),
    ("hotel_book", {"full_name": "Omar", "hotel": "Nowhere", "date_from": "1", "date_to": "2"}, "status", "failed"),
    ("table_check", {"restaurant": "Tamarind", "party_size": 9}, "status", "unavailable"),
    ("table_book", {"full_name": "Omar", "restaurant": "Lucca", "table_time": "19:00", "party_size": 4}, "status",
     "booked"),
    ("ride_status", {"full_name": "Omar", "ride_number": 77}, "status", "found"),
    ("ride_status", {"full_name": "Omar", "ride_number": 5_000}, "status", "missing"),
]


@pytest.mark.parametrize(("name", "arguments", "key", "value"), CALLS)
def test_a_tool_gives_the_same_answer_every_time(tools: ModuleType, name: str, arguments: dict[str, object], key: str,
                                                 value: object) -> None:
    answer = getattr(tools, name)(**arguments)
    assert answer[key] == value
    assert answer == getattr(tools, name)(**arguments)
    json.dumps(answer)


def test_tools_take_what_they_declare(tools: ModuleType, frontdesk: AgentBundle) -> None:
    for tool in frontdesk.tools:
        taken = inspect.signature(getattr(tools, tool.id)).parameters
        needed = {name for name, parameter in taken.items() if parameter.default is inspect.Parameter.empty}
        assert set(tool.parameters.get("properties", {})) == set(taken)
        assert set(tool.parameters.get("required", ())) <= needed | set(taken)
        assert needed <= set(tool.parameters.get("required", ()))


def test_every_sample_is_plain_text_of_ours() -> None:
    for name in sample_names():
        for file in Path(sample_folder(name)).rglob("*"):
            assert file.is_dir() or file.suffix in (".yaml", ".py", ".md", ".pyc")
