"""What is a change between two versions of a scenario, and what is none."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from ruche.engine.authoring.migration import changes_between, content_hash, scenario_change
from ruche.storage.model.scenario import Scenario
from tests.brain.test_migration import CITY, DAY, DONE, V1, trip

WORDING = st.sampled_from(["say", "ask", "description"])


@given(st.lists(st.tuples(st.integers(0, 2), WORDING, st.text(min_size=1, max_size=9)), max_size=4))
@settings(deadline=None)
def test_no_wording_makes_a_change(edits: list[tuple[int, str, str]]) -> None:
    old = V1.scenarios[0]
    steps = list(old.steps)
    for place, key, text in edits:
        if key != "ask" or steps[place].collects:
            steps[place] = steps[place].model_copy(update={key: text})
    assert scenario_change(old, old.model_copy(update={"steps": tuple(steps)})) is None


@given(st.permutations(range(3)))
def test_the_order_of_steps_in_the_file_is_no_change_while_the_first_is_the_same(order: list[int]) -> None:
    old = V1.scenarios[0]
    moved = old.model_copy(update={"steps": tuple(old.steps[place] for place in order), "start": "city"})
    assert scenario_change(old, moved) is None


@given(st.sampled_from(["collects", "requires", "can_skip", "required_action", "checkpoint", "when", "effect"]))
def test_what_a_step_does_is_in_its_hash(key: str) -> None:
    values = {"collects": ("city", "day"), "requires": ("city",), "can_skip": True, "required_action": True,
              "checkpoint": True, "when": "city == 'Rome'", "effect": "REFUSE"}
    step = V1.scenarios[0].steps[0]
    assert content_hash(step.model_copy(update={key: values[key]})) != content_hash(step)


@st.composite
def graphs(draw: st.DrawFn) -> Scenario:
    names = draw(st.lists(st.sampled_from("abcdef"), min_size=1, max_size=6, unique=True))
    steps = [{"id": name, "collects": draw(st.sampled_from([[], ["city"], ["day"]])),
              "next": [{"to": to} for to in draw(st.lists(st.sampled_from(names), max_size=2, unique=True))]}
             for name in names]
    return Scenario.model_validate({"id": "g", "entry": "begin", "steps": steps})


@given(graphs(), graphs())
@settings(deadline=None)
def test_every_step_has_one_move_that_ends_in_a_step_of_the_later_version_or_says_that_none_is_left(
        old: Scenario, new: Scenario) -> None:
    change = scenario_change(old, new)
    assert scenario_change(old, old) is None
    if change is None:
        return
    assert set(change.steps) == {step.id for step in old.steps}
    targets = [move.to for move in change.steps.values() if move.to]
    assert len(set(targets)) == len(targets)
    assert set(targets) <= {step.id for step in new.steps}
    assert all(bool(move.to) == (move.kind not in ("relocate", "exit")) for move in change.steps.values())


def test_scenarios_that_are_new_move_nobody() -> None:
    more = trip(CITY, DAY, DONE, scenarios=[*V1.model_dump(by_alias=True)["scenarios"], {
        "id": "other", "entry": "something else", "steps": [{"id": "a", "say": "A."}]}])
    assert changes_between(V1, more).scenarios == ()
