"""Task graphs become an agent folder that checks: steps, fields and tools under the names that the graphs give."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ruche.engine.authoring.importers.star import draft_of, import_star
from ruche.engine.authoring.load import load_folder
from ruche.plugins.errors import ConfigurationError
from ruche.storage.model.bundle import AgentBundle
from ruche.storage.model.scenario import Scenario
from tests.brain.talk import Functions, talking

GRAPH: dict[str, Any] = {
    "replies": {
        "hello": "Good day!", "ask_name": "Who is it for?", "boat_ask_lake": "On which lake will it be?",
        "boat_ask_length": "How many hours do you want it?", "boat_offer": "The {boat_name:s} is free. Shall I?",
        "boat_taken": "All boats are out.", "boat_booked": "It is yours.", "anything_else": "Anything else?",
        "out_of_scope": "Sorry, I can only help you rent a rowing boat.", "yes": "Yes", "no": "No", "free": "Free",
        "taken": "Taken", "query_check": "Look", "query_book": "Book"},
    "graph": {
        "hello": "ask_name", "ask_name": "boat_ask_lake", "boat_ask_lake": "boat_ask_length",
        "boat_ask_length": "query_check", "free": "boat_offer", "taken": "boat_taken", "no": "boat_ask_lake",
        "yes": "query_book", "query_book": "boat_booked", "boat_booked": "anything_else"}}
API: dict[str, Any] = {
    "input": [{"Name": "Lake", "Type": "Categorical", "Categories": ["North Lake", "Mirror Lake"]},
              {"Name": "Hours", "Type": "Integer", "Min": 1, "Max": 9},
              {"Name": "CustomerName", "Type": "ShortString"},
              {"Name": "RequestType", "Type": "RequestType", "Categories": ["Check", "Book"]}],
    "output": [{"Name": "BoatName", "Type": "ShortString"}], "required": ["Lake", "CustomerName"]}


def source(folder: Path, graph: dict[str, Any] = GRAPH) -> Path:
    for place, content in (("tasks/boat_rent/boat_rent.json", graph), ("tasks/boat_rent/responses.json", {"a": "b"}),
                           ("apis/apis/boat_rent.json", API)):
        path = folder / "corpus" / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content))
    return folder / "corpus"


def imported(folder: Path) -> AgentBundle:
    import_star(source(folder), folder / "harbour")
    loaded = load_folder(folder / "harbour")
    assert loaded.problems == ()
    return loaded.require()


def scenario(bundle: AgentBundle) -> Scenario:
    return bundle.scenarios[0]


def test_an_imported_graph_passes_the_authors_check_with_its_own_names(tmp_path: Path) -> None:
    bundle = imported(tmp_path)
    assert [step.id for step in scenario(bundle).steps] == [
        "hello", "ask_name", "boat_ask_lake", "boat_ask_length", "query_check", "boat_offer", "boat_taken",
        "query_book", "boat_booked", "anything_else"]
    assert scenario(bundle).entry == "The person wants to rent a rowing boat"
    assert {tool.id for tool in bundle.tools} == {"boat_rent_query_check", "boat_rent_query_book"}


def test_questions_collect_the_inputs_that_they_ask_for(tmp_path: Path) -> None:
    bundle = imported(tmp_path)
    collects = {step.id: step.collects for step in scenario(bundle).steps if step.collects}
    assert collects == {"ask_name": ("full_name",), "boat_ask_lake": ("boat_rent_lake",),
                        "boat_ask_length": ("boat_rent_hours",)}
    lake = next(field for field in bundle.fields if field.name == "boat_rent_lake")
    assert lake.allowed == ("North Lake", "Mirror Lake")


def test_states_of_affairs_are_conditions_of_the_query_that_brings_them_about(tmp_path: Path) -> None:
    check = next(step for step in scenario(imported(tmp_path)).steps if step.id == "query_check")
    assert [(edge.to, edge.when) for edge in check.next] == [
        ("boat_offer", "boat_rent_query_check_outcome == 'free'"),
        ("boat_taken", "boat_rent_query_check_outcome == 'taken'")]


@pytest.mark.anyio
async def test_the_scenario_can_be_talked_through(tmp_path: Path) -> None:
    parts = draft_of(source(tmp_path), "harbour").parts()
    bundle = AgentBundle.model_validate({"id": "harbour", **parts})
    tools = Functions(boat_rent_query_check=lambda **given: {"outcome": "free", "boat_name": "Swan"},
                      boat_rent_query_book=lambda **given: {})
    async with talking(bundle, tools) as talk:
        assert await talk.reply("I want to rent a rowing boat") == "Good day! Who is it for?"
        assert await talk.reply("Ada Low") == "On which lake will it be?"
        assert await talk.reply("mirror lake") == "How many hours do you want it?"
        assert await talk.reply("three hours") == "The Swan is free. Shall I?"
        assert "It is yours." in await talk.reply("yes")
    assert [name for name, _ in tools.calls] == ["boat_rent_query_check", "boat_rent_query_book"]
    assert tools.calls[0][1]["boat_rent_lake"] == "Mirror Lake"


def test_the_command_imports_and_says_what_to_do_next(tmp_path: Path) -> None:
    run = subprocess.run([sys.executable, "-m", "ruche.engine.cli.main", "import", "star", str(source(tmp_path)),
                          str(tmp_path / "harbour"), "--json"], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout)["errors"] == 0


def test_a_folder_without_graphs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="with a graph"):
        import_star(tmp_path, tmp_path / "out")
