"""What a superseded turn had done and nobody wants any more is undone, once, by the tool that the author named."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from aiohttp import web

from ruche.actors.recovery import recover
from ruche.actors.supersede import Decision
from ruche.plugins.contracts import Effect, EffectOutcome, Stage, TurnInput
from ruche.plugins.tape import Tape
from ruche.storage.model.event import OutboxItem
from tests.actors.hosted import hosted
from tests.actors.rig import WEB, Rig, ScriptedBrain, rig
from tests.actors.test_session_recovery import died
from tests.actors.test_session_supersede import AT_ONCE

pytestmark = pytest.mark.anyio

TOOLS = """
- {id: book, http: "URL/book", allow_private: true, policy: COMPENSATABLE, compensation: unbook,
   outputs: {booking: booking},
   parameters: {type: object, properties: {room: {type: string}}, required: [room]}}
- {id: unbook, http: "URL/unbook", allow_private: true, policy: IDEMPOTENT,
   parameters: {type: object, properties: {booking: {type: string}, room: {type: string}}, required: [booking]}}
"""


class Hotel:
    """A real server of bookings; the first `failures` cancellations answer 503."""

    def __init__(self, failures: int = 0) -> None:
        self.failures, self.booked = failures, set[str]()
        self.undone: list[tuple[str, str]] = []

    async def unbook(self, request: web.Request) -> web.Response:
        asked = await request.json()
        self.undone.append((asked["booking"], request.headers["Idempotency-Key"]))
        if len(self.undone) <= self.failures:
            return web.Response(status=503)
        self.booked.discard(asked["booking"])
        return web.json_response({"ok": True})


@asynccontextmanager
async def served(hotel: Hotel) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_post("/unbook", hotel.unbook)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


class Booking(ScriptedBrain):
    """Books every room that is named in the messages, and waits when the last of them says so."""

    def __init__(self) -> None:
        async def script(turn: TurnInput, stage: Stage, tape: Tape) -> str:
            last = turn.messages[-1].text
            for room in ["A"] if last == "also breakfast" else [last.removesuffix(" and wait")]:
                effect = Effect(tool="book", key=f"{turn.turn_group}:book:{room}", policy="COMPENSATABLE",
                                arguments={"room": room})
                known = await stage.reserve(effect)
                self.answers.append((room, known.status))
                if known.status == "new":
                    await stage.settle(effect, EffectOutcome(status="ok", result={"booking": f"b-{room}"}))
            if last.endswith(" and wait"):
                self.waits.set()
                await asyncio.Event().wait()
            return "booked"

        super().__init__(script)
        self.answers: list[tuple[str, str]] = []
        self.waits = asyncio.Event()


def outbox(it: Rig) -> Any:
    return it.scribe.read(lambda store: [item for _, item in store.outbox()])


def told(item: OutboxItem) -> tuple[Any, ...]:
    return item.kind, item.target, item.payload["arguments"], item.payload["result"]


UNDO_A = ("compensation", "book", {"room": "A"}, {"booking": "b-A"})


@pytest.mark.parametrize("decision", [Decision.SUPERSEDE, Decision.ABSORB])
async def test_what_the_kept_attempt_did_not_ask_for_is_to_be_undone_and_the_rest_is_not_done_twice(
        tmp_path: Path, decision: Decision) -> None:
    for number, (newer, expected) in enumerate((("B", [UNDO_A]), ("also breakfast", []))):
        brain = Booking()
        async with rig(tmp_path / str(number), brain, channel_bases=AT_ONCE, decider=lambda _: decision) as it:
            first = asyncio.ensure_future(it.turn("A and wait", WEB))
            await brain.waits.wait()
            turn = await it.turn(newer, WEB)
            assert (await first) == turn
            assert [told(item) for item in await outbox(it)] == expected
            again = ("B", "new") if newer == "B" else ("A", "ok")
            assert brain.answers == [("A", "new"), again]


async def test_a_crash_forgets_nothing_that_is_to_be_undone(tmp_path: Path) -> None:
    brain = Booking()
    async with rig(tmp_path, brain, channel_bases=AT_ONCE, decider=lambda _: Decision.SUPERSEDE) as it:
        await it.say("A and wait", WEB, want="accepted")
        await brain.waits.wait()
        brain.waits.clear()
        await it.say("B and wait", WEB, want="accepted")
        await brain.waits.wait()
        image = died(tmp_path)
    brain = Booking()
    async with rig(image, brain, channel_bases=AT_ONCE, decider=lambda _: Decision.SUPERSEDE) as it:
        await recover(it.directory, it.hosting, it.store.unanswered())
        await brain.waits.wait()
        await it.turn("C", WEB)
        undone = [told(item)[2]["room"] for item in await outbox(it)]
        assert sorted(undone) == ["A", "B"]
        assert brain.answers == [("B", "ok"), ("C", "new")]


async def test_the_named_tool_is_called_until_it_succeeds_and_then_no_more(tmp_path: Path) -> None:
    hotel, brain = Hotel(failures=2), Booking()
    hotel.booked = {"b-A"}
    async with served(hotel) as url, hosted(
            tmp_path, brain,
            files={"tools.yaml": TOOLS.replace("URL", url), "fields.yaml": "- {name: room, type: string}"},
            plugins={"decider": lambda _: Decision.SUPERSEDE}) as (engine, host):
        first = asyncio.ensure_future(engine.chat(agent="desk", user="kim", message="A and wait", channel="voice"))
        await brain.waits.wait()
        turn = await engine.chat(agent="desk", user="kim", message="B", channel="voice")
        assert (await first) == turn
        ahead, real = 0, host.hosting.clock_ms
        host.standing.courier._clock_ms = lambda: real() + ahead
        with anyio.fail_after(20):
            while await host.scribe.read(lambda store: store.outbox()):
                ahead += 4_000_000
                await host.standing.courier.deliver_due()
        assert [booking for booking, _ in hotel.undone] == ["b-A"] * 3
        assert len({key for _, key in hotel.undone}) == 1
        assert hotel.booked == set()
        undo = host.standing.courier._routes["compensation"]
        [effect] = [one for one in await host.scribe.read(
            lambda store: store.tenant("default").effects_of(brain.turns[0].turn_id)) if one.tool == "book"]
        await undo("default", OutboxItem(id="again", kind="compensation", target="book", at_ms=1, payload={
            "key": effect.key, "agent": "desk", "interlocutor": "kim", "session_id": turn.session_id,
            "turn_id": turn.turn_id, "arguments": {"room": "A"}, "result": {"booking": "b-A"}}))
        assert len(hotel.undone) == 3
