"""What happens to a thinking turn when a newer message arrives."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ruche.actors.supersede import BUILT_IN, Decision, Situation, decide, default_decider
from ruche.plugins.errors import ConfigurationError
from ruche.storage.model.conversation import Message
from tests.actors.hosted import hosted


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


@pytest.mark.parametrize(("name", "decision"), [("supersede", Decision.SUPERSEDE), ("absorb", Decision.ABSORB),
                                                ("continue", Decision.CONTINUE), ("queue", Decision.QUEUE)])
def test_what_the_settings_can_name_differs_only_where_nothing_has_been_done(name: str, decision: Decision) -> None:
    assert BUILT_IN[name](_situation()) is decision
    for later in (_situation(effects=1), _situation(commit_reached=True), _situation(channel="api")):
        assert BUILT_IN[name](later) is Decision.QUEUE


@pytest.mark.anyio
async def test_a_name_that_no_decider_has_stops_the_start_with_those_that_there_are(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="called ignore; write one of supersede, absorb, continue, queue"):
        async with hosted(tmp_path, None, conversation={"newer_message": "ignore"}):
            pass
