"""A conversation that was passed on and that nobody has any more goes back to the agent at its time, once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import pytest

from ruche.engine import Engine
from ruche.engine.again import run_all_again
from ruche.engine.config import Settings
from ruche.engine.host import Host
from tests.actors.hosted import hosted

pytestmark = pytest.mark.anyio

FILES = {
    "agent.yaml": "name: Desk\nhandoff: {enabled: true, text: A person is coming., minutes: 15}\n",
    "rules.yaml": """
- {id: angry, if: Somebody wants to complain, then: I am sorry., examples: [I want to complain], effect: handoff}
"""}
MINUTE = 60_000


class Clock:
    """Time that passes when a test says so."""

    def __init__(self) -> None:
        self.now = 1_790_000_000_000

    def __call__(self) -> int:
        return self.now


async def returned(engine: Engine, session: str) -> list[dict[str, Any]]:
    """What was told of handoffs, up to the end of the first."""
    told = list[dict[str, Any]]()
    with anyio.fail_after(20):
        async for event in engine.events("default", session):
            if event.kind == "session.handoff":
                told.append(event.data)
                if event.data["state"] == "returned":
                    break
    return told


async def waiting(host: Host) -> list[int]:
    return [item.at_ms for _, item in await host.scribe.read(lambda store: store.outbox())]


async def passed_on(engine: Engine) -> str:
    turn = await engine.chat(agent="desk", user="kim", message="I want to complain")
    assert turn.status == "handed_off"
    return turn.session_id


async def test_when_nobody_comes_in_time_the_agent_has_the_conversation_again(tmp_path: Path) -> None:
    clock = Clock()
    async with hosted(tmp_path, None, files=FILES, plugins={"clock_ms": clock}) as (engine, host):
        session = await passed_on(engine)
        assert await waiting(host) == [clock.now + 15 * MINUTE]
        before = await engine.session("default", session)
        clock.now += 15 * MINUTE
        assert await returned(engine, session) == [{"state": "waiting"}, {"state": "returned", "reason": "timeout"}]
        after = await engine.session("default", session)
        assert (after.handed_off, after.handover, after.turn_count) == (False, None, 2)
        assert after.last_activity_ms == before.last_activity_ms
        assert (await engine.verify("default", session)).ok
        await engine.chat(agent="desk", user="kim", message="hello?")
    again = await run_all_again(Settings(data=tmp_path / "data"))
    assert (again.same, again.differences) == (3, ())


async def test_a_time_that_passes_while_nothing_runs_is_up_at_the_next_start(tmp_path: Path) -> None:
    clock = Clock()
    async with hosted(tmp_path, None, files=FILES, plugins={"clock_ms": clock}) as (engine, _):
        session = await passed_on(engine)
    clock.now += 20 * MINUTE
    for _ in range(2):
        async with hosted(tmp_path, None, files=FILES, plugins={"clock_ms": clock}) as (engine, _):
            assert len(await returned(engine, session)) == 2
            assert (await engine.session("default", session)).turn_count == 2


async def test_whoever_adds_time_keeps_the_conversation_until_that_is_up(tmp_path: Path) -> None:
    clock = Clock()
    async with hosted(tmp_path, None, files=FILES, plugins={"clock_ms": clock}) as (engine, host):
        session = await passed_on(engine)
        await engine.intervene("default", session, "takeover", by="omar", minutes=10)
        clock.now += 9 * MINUTE
        await engine.intervene("default", session, "reply", by="omar", text="One moment.")
        clock.now += 6 * MINUTE + 1
        with anyio.fail_after(20):
            while len(await waiting(host)) > 1:
                await anyio.lowlevel.checkpoint()
        assert (await engine.session("default", session)).handover is not None
        clock.now += 4 * MINUTE
        told = [one["state"] for one in await returned(engine, session)]
        assert told == ["waiting", "taken", "returned"]


async def test_a_time_out_that_is_delivered_again_or_too_late_does_nothing(tmp_path: Path) -> None:
    clock = Clock()
    async with hosted(tmp_path, None, files=FILES, plugins={"clock_ms": clock}) as (engine, host):
        session = await passed_on(engine)
        [(tenant, item)] = await host.scribe.read(lambda store: store.outbox())
        deliver = host.standing.courier._routes["handoff_timeout"]
        await deliver(tenant, item)  # before its time
        assert (await engine.session("default", session)).handed_off
        clock.now += 15 * MINUTE
        for _ in range(3):
            await deliver(tenant, item)
        assert (await engine.session("default", session)).turn_count == 2
        await engine.close_session("default", session)
        await deliver(tenant, item)
        assert (await engine.session("default", session)).turn_count == 2


async def test_a_conversation_without_a_time_out_stays_with_the_person(tmp_path: Path) -> None:
    async with hosted(tmp_path, None, files={**FILES, "agent.yaml": "name: Desk\n"}) as (engine, host):
        turn = await engine.chat(agent="desk", user="kim", message="hello")
        await engine.intervene("default", turn.session_id, "takeover", by="omar", minutes=0)
        assert await waiting(host) == []
