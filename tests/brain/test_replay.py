"""A turn is a function of its inputs and its tape: run again anywhere, it gives the same bytes."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import anyio
import msgspec
import pytest

from ruche.engine.brain.compiled import CompiledAgent
from ruche.engine.brain.turn import PhasedBrain
from ruche.plugins.channels import built_in_channels
from ruche.plugins.contracts import TurnInput
from ruche.plugins.errors import Unavailable
from ruche.plugins.generators import Composer
from ruche.plugins.tape import Divergence, ReplayTape
from ruche.storage.model.bundle import AgentBundle
from ruche.storage.model.run import Run, canonical
from tests.brain.agents import taxi
from tests.brain.talk import ENGINE, Desk, Functions, Shelf, talking, without_times

pytestmark = pytest.mark.anyio

SAID = ("hello", "I need a taxi, my mail is ada@example.org", "where can I park?", "Main Street 5", "tomorrow at 7pm",
        "actually 8pm", "yes", "colourless green ideas")

AGENT = taxi(
    agent={"greeting": "Good {{ now.part_of_day }}!", "timezone": "Europe/Paris", "languages": ["en", "fr"]},
    fields=[*({"name": name, "type": kind, "scope": "CASE", "ask": question} for name, kind, question in (
        ("place", "string", "Where shall the taxi pick you up?"), ("pickup_time", "time", "At what time?"))),
        {"name": "email", "type": "email"}])

OTHER_PROCESS = """
import asyncio, sys
from pathlib import Path
from tests.brain.test_replay import replayed_all
sys.stdout.buffer.write(asyncio.run(replayed_all(Path(sys.argv[1]).read_bytes())))
"""


class Unreachable:
    """Nothing outside the turn may be asked in replay."""

    async def _refuse(self, *arguments: Any, **options: Any) -> Any:
        raise Unavailable("asked in replay")

    retrieve = prepare = check = call = close = generate = _refuse
    name = "composer"

    def stream(self, prompt: Any) -> Any:
        raise Unavailable("asked in replay")


class Recorded(msgspec.Struct):
    """Turns as they were: what went in and what came out."""

    bundle: bytes
    turns: list[tuple[TurnInput, Run]]


def replaying(agent: CompiledAgent) -> PhasedBrain:
    nothing = Unreachable()
    return PhasedBrain(agents=Shelf(agent), retrieval=nothing, tools=nothing, generators=lambda use: nothing,
                       enforcement=nothing, channels=built_in_channels(), engine_version=ENGINE, rule_threshold=99.0)


async def replayed_all(recorded: bytes) -> bytes:
    """The canonical runs, one per line, made again from their tapes alone."""
    record = msgspec.msgpack.decode(recorded, type=Recorded)
    brain = replaying(CompiledAgent(AgentBundle.model_validate_json(record.bundle), 1))
    runs = []
    for turn, run in record.turns:
        output = await brain.think(turn, ReplayTape(run.tape), Desk())
        runs.append(canonical(without_times(output.run)))
    return b"\n".join(runs)


async def recorded() -> Recorded:
    tools = Functions(book=lambda place, pickup_time: {"id": f"{place} {pickup_time}"})
    async with talking(AGENT, tools) as talk:
        runs = [await talk.say(said) for said in SAID]
        turns = list(zip(talk.inputs, runs, strict=True))
    return Recorded(bundle=AGENT.model_dump_json(by_alias=True).encode(), turns=turns)


async def test_a_conversation_replays_byte_for_byte_in_another_process_hash_seed_time_zone_and_directory(
        tmp_path: Path) -> None:
    record = await recorded()
    assert any(run.tools for _, run in record.turns)
    file = tmp_path / "recorded"
    file.write_bytes(msgspec.msgpack.encode(record))
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONHASHSEED": "12345", "TZ": "Pacific/Kiritimati", "PYTHONPATH": str(root)}
    made = await anyio.run_process([sys.executable, "-c", OTHER_PROCESS, str(file)], cwd=tmp_path, env=environment,
                                   check=False)
    assert made.returncode == 0, made.stderr.decode()
    assert made.stdout == b"\n".join(canonical(without_times(run)) for _, run in record.turns)


async def test_a_replay_of_a_changed_message_diverges_at_the_call_that_differs() -> None:
    record = await recorded()
    turn, run = record.turns[1]
    changed = msgspec.structs.replace(turn, messages=(msgspec.structs.replace(turn.messages[0], text="I want a bus"),))
    with pytest.raises(Divergence, match="retrieve"):
        await replaying(CompiledAgent(AGENT, 1)).think(changed, ReplayTape(run.tape), Desk())


async def test_a_failure_outside_is_replayed_as_the_same_failure() -> None:
    async with talking(AGENT, retrieval=Unreachable()) as talk:
        run = await talk.say("I need a taxi")
        assert "asked in replay" in run.decisions["retrieve"]["fault"]
        output = await replaying(CompiledAgent(AGENT, 1)).think(talk.inputs[0], ReplayTape(run.tape), Desk())
        assert canonical(without_times(output.run)) == canonical(without_times(run))


async def test_the_composer_is_asked_through_the_tape_like_any_generator() -> None:
    async with talking(AGENT, generators=lambda use: Composer()) as talk:
        run = await talk.say("hello")
        assert [entry.site for entry in run.tape] == ["clock", "threshold", "retrieve", "generate"]
