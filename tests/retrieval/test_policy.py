"""The policy for the next step: deterministic, explained, calibrated, and made of what a graph and a moment say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.suites import star
from ruche.engine.policy import policy as policies
from ruche.engine.policy.chart import Chart, Place, Way, chart_of
from ruche.engine.policy.habits import Habits, counted
from ruche.engine.policy.policy import policy_of, shipped
from ruche.engine.policy.situation import FEATURES, Situation, features
from ruche.plugins.errors import ConfigurationError

PLACES = [
    Place("hello", "Hello, how can I help?", ways=(Way("ask_name"),)),
    Place("ask_name", "May I have your name, please?", ways=(Way("ask_day"),)),
    Place("ask_day", "On which day do you arrive?", ways=(Way("query"),)),
    Place("query", "", tool=True, ways=(Way("found", "available"), Way("full", "unavailable"))),
    Place("found", "Great, there is a room. Shall I book it?", ways=(Way("book", "the user says yes"),
                                                                     Way("ask_day", "the user says no"))),
    Place("full", "Sorry, there is no room."),
    Place("book", "", tool=True, ways=(Way("done"),)),
    Place("done", "It is booked."),
    Place("goodbye", "Thank you and goodbye."),
]
CHART = Chart(PLACES, "hello")


def column(name: str, moment: Situation) -> dict[str, float]:
    values = features(CHART, moment)[:, FEATURES.index(name)]
    return {place.id: float(value) for place, value in zip(PLACES, values, strict=True)}


def first(**moment: Any) -> str:
    return shipped().forecast(CHART, Situation(**moment)).ranked[0].step


def test_after_an_answer_the_graphs_next_step_comes_first() -> None:
    assert first(done=("hello", "ask_name"), said="Rosa Feld", heard=("I need a room",)) == "ask_day"


@pytest.mark.parametrize(("message", "step"), [("Available", "found"), ("Unavailable", "full")])
def test_after_a_tool_the_condition_that_fits_its_result_decides(message: str, step: str) -> None:
    assert first(done=("hello", "ask_name", "ask_day", "query"), heard=("I need a room", "Rosa Feld", "on Friday"),
                 ran=True, result={"Message": message}) == step


def test_a_yes_and_a_no_lead_where_they_are_asked_for() -> None:
    before = {"done": ("hello", "ask_name", "ask_day", "query", "found"), "heard": ("a room", "Rosa Feld", "Friday")}
    assert first(said="Yes, please", **before) == "book"
    assert column("its condition fits the answer", Situation(said="No", **before))["ask_day"] == 1.0
    assert column("its condition fits the answer", Situation(said="No", **before))["book"] == -1.0


def test_shares_add_up_and_stand_in_order() -> None:
    ranked = shipped().forecast(CHART, Situation(said="hi")).ranked
    assert {one.step for one in ranked} == {place.id for place in PLACES}
    assert sum(one.share for one in ranked) == pytest.approx(1.0, abs=0.001)
    assert [one.share for one in ranked] == sorted((one.share for one in ranked), reverse=True)


def test_the_first_is_explained_by_features_that_set_it_apart() -> None:
    moment = Situation(done=("query",), ran=True, result={"Message": "Available"})
    found = shipped().forecast(CHART, moment)
    assert len(found.ranked[0].why) == policies.REASONS
    assert all(reason.rpartition(" (")[0] in FEATURES for reason in found.ranked[0].why)
    assert found.ranked[1].why == ()


def test_the_parts_of_a_score_add_up_to_it() -> None:
    rows = features(CHART, Situation(done=("hello",), said="Rosa"))
    forest = shipped()._forest
    whole = forest.values.mean() * len(forest.values)
    np.testing.assert_allclose(forest.parts(rows).sum(axis=1) + whole, forest.scores(rows), atol=1e-9)


def test_confidence_rises_with_the_share_and_stays_a_share() -> None:
    rates = [shipped().confidence(share / 100) for share in range(101)]
    assert rates == sorted(rates)
    assert 0.0 < rates[0] < policies.SURE < rates[-1] < 1.0


words = st.text(alphabet=st.characters(codec="utf-8"), max_size=60)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.sampled_from([place.id for place in PLACES] + ["elsewhere"]), max_size=12), words,
       st.lists(words, max_size=4), st.booleans(), st.dictionaries(words, words, max_size=3))
def test_any_moment_has_finite_features_and_the_same_forecast_twice(
        done: list[str], said: str, heard: list[str], ran: bool, result: dict[str, str]) -> None:
    moment = Situation(done=tuple(done), said=said, heard=tuple(heard), ran=ran, result=result)
    assert bool(np.isfinite(features(CHART, moment)).all())
    assert shipped().forecast(CHART, moment) == shipped().forecast(Chart(PLACES, "hello"), moment)


@pytest.mark.parametrize("said", ["", "\U0001f642", "\x00\x07\x1b", "words " * 2_000, "你好 привет مرحبا"])
def test_odd_messages_are_ranked_like_any_other(said: str) -> None:
    assert len(shipped().forecast(CHART, Situation(done=("hello",), said=said)).ranked) == len(PLACES)


def test_a_graph_of_one_step_and_one_without_ways_are_ranked() -> None:
    alone = Chart([Place("only", "Hello")], "only")
    assert shipped().forecast(alone, Situation()).ranked[0].step == "only"
    loop = Chart([Place("a", "A", ways=(Way("b"),)), Place("b", "B", ways=(Way("a"), Way("nowhere")))], "a")
    assert loop.distances(0).tolist() == [0.0, 1.0]


def test_habits_raise_what_followed_more_often_than_expected() -> None:
    moment = Situation(done=("hello",), said="I need a room")
    plain = shipped().forecast(CHART, moment)
    shares = {one.step: one.share for one in plain.ranked}
    habits = Habits(counted([(moment, shares, "query")] * 6))
    learned = shipped().forecast(CHART, moment, habits=habits)
    assert {one.step: one.share for one in learned.ranked}["query"] > shares["query"]
    assert learned.ranked[0].step == "query"
    assert learned.ranked[0].why[0].startswith("6 logged conversations went there")
    elsewhere = Situation(done=("ask_day",), said="Friday")
    assert shipped().forecast(CHART, elsewhere, habits=habits) == shipped().forecast(CHART, elsewhere)


def test_habits_that_only_confirm_what_was_expected_change_little() -> None:
    moment = Situation(done=("hello", "ask_name"), said="Rosa Feld")
    plain = shipped().forecast(CHART, moment)
    best = plain.ranked[0]
    habits = Habits(counted([(moment, {best.step: 1.0}, best.step)] * 20))
    found = shipped().forecast(CHART, moment, habits=habits).ranked[0]
    assert found.share == pytest.approx(best.share, abs=1e-4)
    assert found.why == best.why


def test_damaged_parameters_are_refused() -> None:
    content = json.loads(Path(policies.__file__).with_name("parameters.json").read_text(encoding="utf-8"))
    with pytest.raises(ConfigurationError, match="other features"):
        policy_of({**content, "names": content["names"][1:]})
    with pytest.raises(ConfigurationError, match="damaged"):
        policy_of({**content, "values": content["values"][1:]})
    with pytest.raises(ConfigurationError, match="calibration"):
        policy_of({**content, "confidence": {"shares": [0.5], "rates": [1.0]}})


def test_what_is_shipped_holds_numbers_and_the_names_of_features_only() -> None:
    content = json.loads(Path(policies.__file__).with_name("parameters.json").read_text(encoding="utf-8"))
    assert content.keys() == {"names", "confidence", "features", "thresholds", "values"}
    numbers = [*content["features"], *content["thresholds"], *content["values"], *content["confidence"].values()]
    assert all(isinstance(number, int | float) for row in numbers for number in row)


def written(folder: Path) -> Path:
    (folder / "tasks" / "room").mkdir(parents=True)
    graph = {"hello": "ask_day", "ask_day": "query", "available": "ask_confirm", "full": "sorry", "yes": "bye",
             "no": "ask_day"}
    texts = {"hello": "Hello?", "ask_day": "Which day?", "ask_confirm": "Shall I book?", "sorry": "No room.",
             "bye": "Goodbye.", "available": "Available", "full": "Full", "yes": "Yes", "no": "No"}
    (folder / "tasks" / "room" / "room.json").write_text(json.dumps({"graph": graph, "replies": texts}))
    (folder / "all.jsonl").write_text(json.dumps({"id": 1, "happy": True, "tasks": ["room"], "events": [
        {"who": "user", "text": "a room"}, {"who": "agent", "action": "ask_day", "text": "Which day?"},
        {"who": "user", "text": "today"}, {"who": "agent", "query": "rooms", "constraints": []},
        {"who": "kb", "item": {"APIName": "rooms", "Message": "Available"}},
        {"who": "agent", "action": None, "text": "well"}, {"who": "agent", "action": "other", "text": "so"},
        {"who": "agent", "action": "ask_confirm", "text": "Shall I book?"}]}))
    return folder


def test_a_task_graph_becomes_a_scenario_whose_states_are_conditions(tmp_path: Path) -> None:
    scenario = star.read_tasks(written(tmp_path))["room"].scenario
    ways = {step.id: [(way.to, bool(way.if_)) for way in step.next] for step in scenario.steps}
    assert ways["query"] == [("ask_confirm", True), ("sorry", True)]
    assert ways["ask_confirm"] == [("bye", True), ("ask_day", True)]
    assert ways["hello"] == [("ask_day", False)]
    assert not ways.keys() & {"yes", "no", "available", "full"}
    assert len(chart_of(scenario, str)) == len(scenario.steps)


def test_decisions_are_read_with_what_lay_before_them(tmp_path: Path) -> None:
    folder = written(tmp_path)
    found = star.decisions(star.read_tasks(folder), star.read_dialogues(folder))
    assert [one.step for one in found] == ["ask_day", "query", star.CUSTOM, "ask_confirm"]
    assert found[1].moment == Situation(done=("ask_day",), said="today", heard=("a room",))
    assert not found[3].moment.ran
    assert found[3].moment.done == ("ask_day", "query", star.CUSTOM, star.CUSTOM)


def test_a_folder_without_graphs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="graph"):
        star.read_tasks(tmp_path)
