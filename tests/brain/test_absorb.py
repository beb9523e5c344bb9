"""A turn that takes newer messages in while it runs says what it would have said, had they all come together."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from ruche.engine.brain.absorb import MOST
from ruche.engine.brain.compiled import CompiledAgent
from ruche.plugins.contracts import ToolResult
from ruche.plugins.tape import Divergence, ReplayTape
from ruche.storage.model.conversation import Message
from ruche.storage.model.run import Run, canonical
from tests.brain.talk import START_MS, Desk, Functions, Talk, bundle, talking, without_times
from tests.brain.test_replay import replaying

pytestmark = pytest.mark.anyio

AGENT = bundle(
    rules=[{"id": "hours", "if": "the visitor asks when it opens", "examples": ["when do you open"],
            "then": "We open at {{ opens }}.", "tools": [{"tool": "look"}]},
           {"id": "price", "if": "the visitor asks what it costs", "examples": ["what does it cost"],
            "then": "It costs nine euros."},
           {"id": "order", "if": "the visitor orders a taxi", "examples": ["order me a taxi"],
            "then": "Ordered.", "tools": [{"tool": "order"}]}],
    tools=[{"id": "look", "http": "https://example.org/look", "policy": "PURE", "outputs": {"opens": "opens"}},
           {"id": "order", "http": "https://example.org/order", "policy": "IDEMPOTENT"}])
PHASES = {"sense": 0, "orchestrate": 1, "speak": 2}
"""At how many-th time of asking a newer message is there."""


class Absorbing(Desk):
    """Hands out the next of its messages when it is asked for the n-th time."""

    def __init__(self, *newer: tuple[int, str]) -> None:
        super().__init__()
        self._newer, self.asked = dict(newer), 0

    def absorb(self) -> tuple[Message, ...]:
        text = self._newer.get(self.asked)
        self.asked += 1
        return () if text is None else (Message(id=f"newer-{self.asked}", text=text, at_ms=START_MS),)


def tools() -> Functions:
    return Functions(look=lambda: {"opens": "nine"}, order=lambda: ToolResult(status="ok", value={"id": 1}))


async def again(talk: Talk, run: Run) -> bytes:
    output = await replaying(CompiledAgent(AGENT, 1)).think(talk.inputs[-1], ReplayTape(run.tape), Desk())
    return canonical(without_times(output.run))


def decided(run: Run) -> dict[str, Any]:
    """What a turn comes to, whenever its messages came."""
    told: dict[str, Any] = msgspec.to_builtins(run)
    told["decisions"].pop("absorbed", None)
    return {name: told.get(name) for name in ("said", "reply", "rules", "tools", "status", "decisions", "enforcement",
                                              "response_type", "language", "categories", "sequence")}


@pytest.mark.parametrize("phase", PHASES)
async def test_what_is_taken_in_after_a_phase_is_answered_as_if_it_had_come_with_the_rest(phase: str) -> None:
    texts = ("When do you open?", "And what does it cost?")
    async with talking(AGENT, tools()) as together:
        expected = await together.say(*texts)
    async with talking(AGENT, tools()) as talk:
        talk.desk = Absorbing((PHASES[phase], texts[1]))
        run = await talk.say(texts[0])
        assert decided(run) == decided(expected)
        assert len(run.message_ids) == 2
        [taken] = run.decisions["absorbed"]
        assert taken == {"after": phase, "messages": [run.message_ids[1]]}
        assert await again(talk, run) == canonical(without_times(run))


async def test_a_turn_begins_anew_so_often_and_no_oftener() -> None:
    async with talking(AGENT, tools()) as talk:
        talk.desk = desk = Absorbing(*((place, f"part {place}") for place in range(20)))
        run = await talk.say("When do you open?")
        assert len(run.said) == 1 + MOST
        assert desk.asked == MOST
        assert await again(talk, run) == canonical(without_times(run))


async def test_nothing_is_taken_in_once_a_tool_with_consequences_was_asked_for() -> None:
    async with talking(AGENT, tools()) as talk:
        talk.desk = desk = Absorbing((2, "And what does it cost?"))
        run = await talk.say("Order me a taxi")
        assert ([call.name for call in run.tools], run.said) == (["order"], ("Order me a taxi",))
        assert desk.asked == 2
        assert await again(talk, run) == canonical(without_times(run))


async def test_a_stage_that_offers_nothing_leaves_no_trace_on_the_tape() -> None:
    runs = []
    for desk in (Desk(), Absorbing()):
        async with talking(AGENT, tools()) as talk:
            talk.desk = desk
            runs.append(await talk.say("When do you open?"))
    assert canonical(without_times(runs[0])) == canonical(without_times(runs[1]))
    assert "absorbed" not in runs[0].decisions


async def test_a_tape_without_the_newer_messages_diverges() -> None:
    async with talking(AGENT, tools()) as talk:
        talk.desk = Absorbing((0, "And what does it cost?"))
        run = await talk.say("When do you open?")
        forged = msgspec.structs.replace(run, tape=tuple(one for one in run.tape if one.site != "absorb"))
        with pytest.raises(Divergence):
            await again(talk, forged)
