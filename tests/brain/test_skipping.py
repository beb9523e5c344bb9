"""Skipping follows only what holds, may land on a checkpoint, never passes one, and never skips a required action."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from ruche.engine.brain.compiled import CompiledAgent
from ruche.engine.brain.transitions import View, choose
from ruche.engine.brain.walk import begin, missing, walk
from ruche.storage.model.conversation import FieldValue
from tests.brain.talk import bundle

FIELD_NAMES = ("a", "b", "c", "d")
STEPS = 8


@st.composite
def scenarios(draw: st.DrawFn) -> dict[str, Any]:
    """A graph of eight steps with loops, forks, checkpoints, conditions and required actions."""
    steps = []
    for number in range(STEPS):
        targets = draw(st.lists(st.integers(0, STEPS - 1), max_size=3))
        steps.append({
            "id": f"s{number}", "collects": draw(st.lists(st.sampled_from(FIELD_NAMES), max_size=2, unique=True)),
            "can_skip": draw(st.booleans()), "checkpoint": draw(st.booleans()),
            "required_action": draw(st.booleans()),
            "when": draw(st.sampled_from([None, "flag", "not flag", "unknown_name"])),
            "next": [{"to": f"s{target}", **draw(st.sampled_from(
                [{}, {"when": "flag"}, {"when": "not flag"}, {"when": "unknown_name"}, {"if": "the user says so"}]))}
                for target in targets]})
    return {"id": "g", "entry": "the user begins", "steps": steps}


@given(scenarios(), st.sets(st.sampled_from(FIELD_NAMES)), st.booleans())
@settings(max_examples=300, deadline=None)
def test_no_walk_passes_a_checkpoint_or_a_required_action_or_an_edge_that_does_not_hold(
        graph: dict[str, Any], known_names: set[str], flag: bool) -> None:
    agent = CompiledAgent(bundle(scenarios=[graph], fields=[{"name": name} for name in FIELD_NAMES]), 1)
    scenario = agent.scenarios["g"]
    known = {name: FieldValue(value="x", source="user_provided", at_ms=0) for name in known_names}
    view = View(names={"flag": flag, "session": {}, "profile": {}, "now": {}}, scores={}, threshold=0.5, intent="",
                intent_score=0.0, answer="", words=False)
    standing = walk(begin(scenario, view, known, 0, "begun"), view, known, 0)
    for name in standing.skipped:
        step = scenario.steps[name]
        assert not step.spec.checkpoint
        assert not step.spec.required_action
        wanted_off = step.spec.when in ("flag", "not flag") and (step.spec.when == "flag") is not flag
        assert wanted_off or (step.spec.can_skip and step.collects and not missing(step, known, view.names))
        assert choose(step, view).taken is not None
    path = {*standing.skipped, *(step.id for step in standing.entered)}
    for name in path - {scenario.first.id}:
        assert any(edge.to == name and edge.spec.if_ is None for other in path for edge in scenario.steps[other].next)
    for step in standing.entered[:-1]:
        assert standing.instance.step == step.id or not missing(step, known, view.names)
    assert len({step.id for step in standing.entered}) == len(standing.entered)


def skipping(*steps: dict[str, Any], known: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    """Where a walk from the first step ends, and what it skipped."""
    agent = CompiledAgent(bundle(scenarios=[{"id": "g", "entry": "begin", "steps": list(steps)}],
                                 fields=[{"name": name} for name in FIELD_NAMES]), 1)
    values = {name: FieldValue(value="x", source="user_provided", at_ms=0) for name in known}
    view = View(names={"session": {}, "profile": {}, "now": {}}, scores={}, threshold=0.5, intent="", intent_score=0.0,
                answer="", words=False)
    standing = walk(begin(agent.scenarios["g"], view, values, 0, "begun"), view, values, 0)
    return standing.instance.step, standing.skipped


def ask(name: str, to: str, **parts: Any) -> dict[str, Any]:
    return {"id": name, "collects": [name], "can_skip": True, "next": [{"to": to}], **parts}


def test_all_steps_whose_fields_are_known_are_skipped_along_the_way() -> None:
    end = {"id": "end", "say": "Done.", "next": []}
    assert skipping(ask("a", "b"), ask("b", "c"), ask("c", "end"), end, known=("a", "b")) == ("c", ("a", "b"))


def test_a_skip_may_land_on_a_checkpoint_and_goes_no_further() -> None:
    end = {"id": "end", "ask": "More?", "next": [{"to": "a"}]}
    assert skipping(ask("a", "b"), ask("b", "c", checkpoint=True, confirm="Sure?"), ask("c", "end"), end,
                    known=("a", "b", "c")) == ("b", ("a",))


def test_a_fork_is_not_skipped_across_where_no_branch_is_known_to_hold() -> None:
    fork = ask("a", "b", next=[{"to": "b", "when": "kind == 'b'"}, {"to": "c", "when": "kind == 'c'"}])
    assert skipping(fork, ask("b", "d"), ask("c", "d"), ask("d", "a"), known=("a", "b", "c")) == ("a", ())
