"""What happens to a thinking turn when a newer message arrives."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ruche.actors.supersede import Decision, Situation, decide, default_decider
from ruche.storage.model.conversation import Message


def _situation(channel: str = "web", commit_reached: bool = False, effects: int = 0) -> Situation:
    message = Message(id="m", text="x", at_ms=0)
    return Situation(channel, "t", (message,), message, commit_reached, effects)


def test_a_turn_that_did_nothing_yet_is_superseded() -> None:
    assert default_decider(_situation()) is Decision.SUPERSEDE


def test_a_turn_past_its_commit_point_is_finished_first() -> None:
    assert default_decider(_situation(commit_reached=True)) is Decision.QUEUE


def test_a_turn_with_a_side_effect_is_finished_first() -> None:
    assert default_decider(_situation(effects=1)) is Decision.QUEUE


def test_callers_of_the_api_channel_each_get_their_own_turn() -> None:
    assert default_decider(_situation(channel="api")) is Decision.QUEUE


@given(st.sampled_from(Decision), st.integers(0, 3))
def test_no_decider_can_restart_a_turn_past_its_commit_point(wish: Decision, effects: int) -> None:
    decision = decide(lambda _: wish, _situation(commit_reached=True, effects=effects))
    assert decision in (Decision.QUEUE, Decision.FORCE_COMPLETE)


@pytest.mark.parametrize("wish", list(Decision))
def test_before_the_commit_point_a_decider_is_free(wish: Decision) -> None:
    assert decide(lambda _: wish, _situation(effects=2)) is wish


def test_a_decider_that_raises_or_answers_nonsense_leaves_it_to_the_default() -> None:
    def torn(situation: Situation) -> Decision:
        raise LookupError

    assert decide(torn, _situation()) is Decision.SUPERSEDE
    assert decide(lambda _: "whatever", _situation(effects=1)) is Decision.QUEUE  # type: ignore[arg-type,return-value]
