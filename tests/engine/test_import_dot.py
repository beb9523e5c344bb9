"""Workflows in DOT become scenarios that check and can be walked through."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ruche.engine.authoring.importers.dot import import_dot, parse, scenario_of
from ruche.engine.authoring.load import load_folder
from ruche.plugins.errors import ConfigurationError
from tests.brain.talk import bundle, talking

LAMP = r'''
// How a lamp is mended.
digraph Lamp { rankdir=TB; node [shape=rectangle, fontsize=10];
    Begin [label="Start: the lamp is dark", shape=oval];
    Path [label="Path 1: Dark lamp"];
    Plugged [label="Is the lamp\nplugged in?", shape=diamond];
    Plug [label="Ask user to plug in their lamp"]; Lit [label="Does it shine?", shape=diamond]
    Done [label="The lamp shines"]; Person [label="Transfer to Human Agent", shape=oval];
    Begin -> Path -> Plugged;
    Plugged -> Plug [label="No (lamp not plugged)"]; Plugged -> Person [label="Yes"];
    Plug -> Lit; /* and so on */
    Lit -> Done [label="Yes"]
    Lit -> Person [label="No"]
}
'''


def test_an_imported_workflow_passes_the_authors_check(tmp_path: Path) -> None:
    (tmp_path / "lamp.dot").write_text(LAMP)
    files = import_dot([tmp_path / "lamp.dot"], tmp_path / "workshop")
    assert {path.name for path in files} == {"agent.yaml", "lamp.yaml"}
    loaded = load_folder(tmp_path / "workshop")
    assert loaded.problems == ()
    assert len(loaded.require().scenarios[0].steps) == 7


@pytest.mark.anyio
async def test_its_questions_are_asked_and_its_answers_lead_on() -> None:
    async with talking(bundle(scenarios=[scenario_of("lamp", parse(LAMP))])) as talk:
        assert await talk.reply("dark lamp") == "Is the lamp plugged in?"
        assert await talk.reply("no") == "Please plug in your lamp."
        assert await talk.reply("done") == "Does it shine?"
        run = await talk.say("no")
    assert run.reply == "Transfer to Human Agent."
    assert run.response_type == "HANDOFF"


def test_a_scenario_begins_where_nothing_leads_to_and_leaves_out_what_cannot_be_reached() -> None:
    scenario = scenario_of("s", parse("digraph { b -> c; a -> b; d -> d }"))
    assert (scenario["start"], [step["id"] for step in scenario["steps"]]) == ("a", ["a", "b", "c"])


def test_nodes_whose_names_differ_in_signs_only_stay_apart() -> None:
    scenario = scenario_of("s", parse('digraph { "a-b" -> "a b" -> "A_B" }'))
    assert [step["id"] for step in scenario["steps"]] == ["a_b", "a_b_2", "a_b_3"]


def test_what_an_agent_would_take_for_a_placeholder_is_said_as_it_stands() -> None:
    scenario = scenario_of("s", parse('digraph { a [label="Say {{ x }}"] }'))
    assert scenario["steps"][0]["say"] == "Say (( x ))."


@pytest.mark.parametrize("text", ["", "digraph", "lamp { a }", "digraph { }", "# only a comment"])
def test_what_is_no_graph_is_refused_with_the_files_name(tmp_path: Path, text: str) -> None:
    (tmp_path / "odd.dot").write_text(text)
    with pytest.raises(ConfigurationError, match=r"odd\.dot"):
        import_dot([tmp_path / "odd.dot"], tmp_path / "out")


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "lamp.dot").write_text(LAMP)
    with pytest.raises(ConfigurationError, match="not empty"):
        import_dot([tmp_path / "lamp.dot"], tmp_path)


@given(st.text(alphabet='digraph {}[];->="ab\\n/*#,', max_size=80))
def test_any_text_is_a_graph_or_is_refused(text: str) -> None:
    try:
        graph = parse(f"digraph {{ {text} }}")
    except ValueError:
        return
    assert {name for edge in graph.edges for name in edge[:2]} <= graph.nodes.keys()
