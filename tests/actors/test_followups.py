"""A follow-up is said at its time, once, and not to somebody who spoke meanwhile."""

from __future__ import annotations

import asyncio
from pathlib import Path

import anyio
import pytest

from ruche.plugins.contracts import Stage, TurnInput
from ruche.plugins.errors import NotFound
from ruche.plugins.tape import Tape
from tests.actors.hosted import hosted
from tests.actors.rig import ScriptedBrain, echo

pytestmark = pytest.mark.anyio

FAR, DAY_MS = 4_000_000_000_000, 86_400_000


class Heard(ScriptedBrain):
    """Knows when it has heard some words."""

    def __init__(self) -> None:
        async def script(turn: TurnInput, stage: Stage, tape: Tape) -> str:
            self.words.append(turn.messages[-1].text)
            self.more.set()
            return await echo(turn, stage, tape)

        super().__init__(script)
        self.words: list[str] = []
        self.more = asyncio.Event()

    async def hears(self, words: str) -> None:
        with anyio.fail_after(20):
            while words not in self.words:
                self.more.clear()
                await self.more.wait()


async def test_a_follow_up_is_said_when_its_time_has_come_also_after_a_restart(tmp_path: Path) -> None:
    async with hosted(tmp_path, Heard()) as (engine, _):
        await engine.chat(agent="desk", user="kim", message="hello")
        await engine.follow_up(1, agent="desk", user="lee", message="later", unless_active=False, id="f1")
        await engine.follow_up(FAR, agent="desk", user="kim", message="much later")
    brain = Heard()
    async with hosted(tmp_path, brain) as (engine, host):
        await brain.hears("later")
        await engine.chat(agent="desk", user="lee", message="and now")
        [session] = (await engine.sessions("default", interlocutor="lee")).items
        runs = (await engine.runs("default", session=session.id, oldest_first=True)).items
        assert [run.said for run in runs] == [("later",), ("and now",)]
        [(_, left)] = await host.scribe.read(lambda store: store.outbox())
        assert left.payload["message"] == "much later"


async def test_a_follow_up_that_is_delivered_twice_is_said_once(tmp_path: Path) -> None:
    brain = Heard()
    async with hosted(tmp_path, brain) as (engine, host):
        await engine.follow_up(FAR, agent="desk", user="kim", message="all well?", id="f1")
        [(tenant, item)] = await host.scribe.read(lambda store: store.outbox())
        deliver = host.standing.courier._routes["follow_up"]
        for _ in range(3):  # as after a crash between the delivery and its record
            await deliver(tenant, item)
        await engine.chat(agent="desk", user="kim", message="thanks")
        assert brain.words == ["all well?", "thanks"]


async def test_somebody_who_spoke_meanwhile_is_left_alone(tmp_path: Path) -> None:
    brain = Heard()
    async with hosted(tmp_path, brain) as (engine, host):
        host.hosting.clock_ms = iter(range(10_000, 99_999)).__next__
        await engine.follow_up(FAR, agent="desk", user="kim", message="still there?", id="f1")
        await engine.chat(agent="desk", user="kim", message="yes")
        [(tenant, item)] = await host.scribe.read(lambda store: store.outbox())
        await host.standing.courier._routes["follow_up"](tenant, item)
        await engine.chat(agent="desk", user="kim", message="bye")
        assert brain.words == ["yes", "bye"]


async def test_a_follow_up_can_be_cancelled_and_needs_an_agent(tmp_path: Path) -> None:
    async with hosted(tmp_path, Heard()) as (engine, host):
        name = await engine.follow_up(FAR, agent="desk", user="kim", message="hello?")
        await engine.cancel_follow_up("default", name)
        assert await host.scribe.read(lambda store: store.outbox()) == []
        with pytest.raises(NotFound):
            await engine.follow_up(FAR, agent="nobody", user="kim", message="hello?")


async def test_retention_is_swept_once_a_day_also_when_the_engine_is_restarted(tmp_path: Path) -> None:
    storage, midnight, at = {"retention": {"sessions": 30}}, 20_001 * DAY_MS, 20_000 * DAY_MS + 5
    swept: list[int] = []
    for _ in range(2):
        async with hosted(tmp_path, Heard(), plugins={"clock_ms": lambda: at}, storage=storage) as (_, host):
            with anyio.fail_after(20):
                while [item.at_ms for _, item in await host.scribe.read(lambda store: store.outbox())] != [midnight]:
                    await anyio.lowlevel.checkpoint()
            swept.append(host.standing.courier.stats["delivered"])
    assert swept == [1, 0]
