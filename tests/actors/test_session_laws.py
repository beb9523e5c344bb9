"""Laws of a session that hold however messages, thoughts and cancellations interleave."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from ruche.actors.supersede import Decision
from ruche.plugins.contracts import Stage, TurnInput
from ruche.plugins.tape import Tape
from ruche.storage.model.turn import Turn
from tests.actors.rig import KEY, Rig, ScriptedBrain, all_of, rig

_sessions = itertools.count(1)
_wishes: list[Decision] = []
_plan: list[tuple[int, bool, bool]] = []
"""For the turns of an example: steps of thinking, whether a segment is released first, whether the turn fails."""


def wish(situation: object) -> Decision:
    return _wishes.pop() if _wishes else Decision.QUEUE


async def script(turn: TurnInput, stage: Stage, tape: Tape) -> str:
    steps, speaks, fails = _plan.pop() if _plan else (0, False, False)
    if speaks:
        await stage.release("So: ")
    for _ in range(steps):
        await asyncio.sleep(0)
    if fails:
        raise RuntimeError
    text = "|".join(message.text for message in turn.messages)
    if speaks:
        await stage.release(text)
    return f"So: {text}" if speaks else text


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[BlockingPortal, Rig, ScriptedBrain]]:
    path: Path = tmp_path_factory.mktemp("laws")
    with ExitStack() as stack:
        portal = stack.enter_context(start_blocking_portal())
        brain = portal.call(ScriptedBrain, script)
        opened = rig(path, brain, decider=wish, channel_bases={"web": 0, "api": 0})
        yield portal, stack.enter_context(portal.wrap_async_context_manager(opened)), brain


ACTIONS = st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=1, max_size=8)
"""Per message: steps of the loop before it is sent, and whether it begins a new session."""


@given(actions=ACTIONS, channel=st.sampled_from(["web", "api"]), wishes=st.lists(st.sampled_from(Decision), max_size=8),
       plan=st.lists(st.tuples(st.integers(0, 12), st.booleans(), st.booleans()), max_size=12))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_turns_are_serial_ordered_complete_and_chained(
        served: tuple[BlockingPortal, Rig, ScriptedBrain], actions: list[tuple[int, bool]], channel: str,
        wishes: list[Decision], plan: list[tuple[int, bool, bool]]) -> None:
    portal, it, brain = served
    _wishes[:], _plan[:] = wishes, plan
    portal.call(converse, it, brain, actions, channel)


async def converse(it: Rig, brain: ScriptedBrain, actions: list[tuple[int, bool]], channel: str) -> None:
    key = replace(KEY, interlocutor=f"p{next(_sessions)}", channel=channel)
    texts = [f"t{n}" for n in range(len(actions))]

    async def send(text: str, steps: int, new: bool) -> Any:
        for _ in range(steps):
            await asyncio.sleep(0)
        return await it.turn(text, key, new_session=new)

    begun, waits = [], itertools.accumulate(steps for steps, _ in actions)
    for text, steps, (_, new) in zip(texts, waits, actions, strict=True):
        begun.append(send(text, steps, new))
    turns = await all_of(*begun)
    assert brain.most_at_once == 1
    assert it.store.unanswered() == []
    runs = [run for session in dict.fromkeys(turn.session_id for turn in turns) for run in await it.runs(session)
            if run.status != "superseded"]
    assert [text for run in runs for text in run.said] == texts
    for text, turn in zip(texts, turns, strict=True):
        assert isinstance(turn, Turn)
        [run] = [run for run in runs if text in run.said]
        assert run.turn() == turn
    for session in {turn.session_id for turn in turns}:
        await _check(it, session)


async def _check(it: Rig, session: str) -> None:
    assert (await it.scribe.read(lambda store: store.tenant(KEY.tenant).verify_session(session))).ok
    events = await it.events(session)
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    runs = await it.runs(session)
    ended = [event.turn_id for event in events if event.kind in ("turn.completed", "turn.failed")]
    assert ended == [run.id for run in runs if run.status != "superseded"]
    replaced = {event.turn_id: event.data["superseded_by"] for event in events if event.kind == "turn.superseded"}
    assert replaced.keys() == {run.id for run in runs if run.status == "superseded"}
    assert all(run.superseded_by in ended for run in runs if run.status == "superseded")
    for run in runs:
        said = [e.data["text"] for e in events if e.kind == "message.segment" and e.turn_id == run.id]
        assert not said or run.reply == "".join(said)
