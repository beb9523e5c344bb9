"""What is promised when clients, brains and the disk misbehave: one test for each fault, on both event loops."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from aiohttp import web
from msgspec.structs import replace

from ruche.actors.feed import Feeds, Listener, ListenerDropped
from ruche.actors.session import Say
from ruche.plugins.contracts import Prompt, Stage, TurnInput
from ruche.plugins.errors import DeadlineExceeded, MailboxFull, Unavailable
from ruche.plugins.generators.openai import OpenAICompatible
from ruche.plugins.tape import Tape
from ruche.plugins.tools import Tools
from ruche.storage.model.agent import Agent
from ruche.storage.model.bundle import AgentBundle
from ruche.storage.model.tool import Tool
from ruche.storage.model.turn import Turn
from tests.actors.rig import KEY, WEB, Rig, ScriptedBrain, all_of, echo, ended, message, rig
from tests.actors.test_session_storage import FaultyDisk
from tests.actors.test_session_supersede import AT_ONCE

pytestmark = pytest.mark.anyio


@pytest.fixture(params=[False, True], ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    return "asyncio", {"use_uvloop": request.param}


async def verified(it: Rig, session_id: str) -> bool:
    return await it.scribe.read(lambda store: store.tenant(KEY.tenant).verify_session(session_id).ok)


async def test_a_delivery_that_comes_again_and_again_is_one_message_with_one_answer(tmp_path: Path) -> None:
    async with rig(tmp_path, ScriptedBrain()) as it:
        turns = await all_of(*(it.turn("hello", idempotency_key="d1", fingerprint="f") for _ in range(50)))
        assert {turn.turn_id for turn in turns} == {turns[0].turn_id}
        assert [run.said for run in await it.runs(turns[0].session_id)] == [("hello",)]


async def test_deliveries_out_of_their_senders_order_are_answered_in_the_order_in_which_they_came(
        tmp_path: Path) -> None:
    async with rig(tmp_path, ScriptedBrain()) as it:
        said = [Say(message(f"sent at {at_ms}", at_ms=at_ms)) for at_ms in (3_000, 1_000, 2_000)]
        turns = await all_of(*(it.directory.ask(str(KEY), one) for one in said))
        assert [run.said for run in await it.runs(turns[0].session_id)] == [
            ("sent at 3000",), ("sent at 1000",), ("sent at 2000",)]
        assert await verified(it, turns[0].session_id)


async def test_of_a_thousand_messages_at_once_each_is_answered_in_order_or_refused_and_none_is_lost(
        tmp_path: Path) -> None:
    async with rig(tmp_path, ScriptedBrain()) as it:
        outcomes = await all_of(*(it.turn(str(number)) for number in range(1_000)))
        kinds = Counter(type(outcome) for outcome in outcomes)
        assert kinds.keys() == {Turn, MailboxFull}
        assert all(outcome.retry_after for outcome in outcomes if isinstance(outcome, MailboxFull))
        taken = [(str(number),) for number, outcome in enumerate(outcomes) if isinstance(outcome, Turn)]
        session = next(outcome.session_id for outcome in outcomes if isinstance(outcome, Turn))
        page = await it.scribe.read(lambda store: store.tenant(KEY.tenant).runs(
            session=session, oldest_first=True, limit=2_000))
        assert [run.said for run in page.items] == taken
        assert len(taken) >= it.hosting.waiting_limit
        assert it.store.unanswered() == []


async def test_a_client_that_disconnects_costs_its_own_answer_only(tmp_path: Path) -> None:
    go = asyncio.Event()

    async def wait(turn: TurnInput, stage: Stage, tape: Tape) -> str:
        await go.wait()
        return await echo(turn, stage, tape)

    brain = ScriptedBrain(wait)
    async with rig(tmp_path, brain) as it:
        gone = asyncio.ensure_future(it.turn("one"))
        await brain.begun.wait()
        gone.cancel()
        await asyncio.wait([gone])
        go.set()
        turn = await it.turn("two")
        assert [run.said for run in await it.runs(turn.session_id)] == [("one",), ("two",)]


async def read_all(listener: Listener) -> None:
    while True:
        await listener.next()


async def test_a_listener_that_never_reads_is_dropped_and_comes_back_without_loss_or_repetition(tmp_path: Path) -> None:
    async with rig(tmp_path, ScriptedBrain(), feeds=Feeds(limit=4)) as it:
        first = await it.turn("0")
        deaf = it.hosting.feeds.listen(first.session_id, 0)
        for number in range(1, 20):
            await it.turn(str(number))
        with pytest.raises(ListenerDropped) as dropped:
            await read_all(deaf)
        assert dropped.value.details["cursor"] == deaf.cursor
        seen: list[int] = []
        async with aclosing(it.hosting.feeds.follow(first.session_id, deaf.cursor, it.replay)) as events:
            async for event in events:
                seen.append(event.seq)
                if event.seq == 40:
                    break
        assert seen == list(range(deaf.cursor + 1, 41))


@pytest.mark.parametrize("fault", [ZeroDivisionError(), asyncio.CancelledError(), SystemError()], ids=repr)
async def test_a_brain_that_raises_costs_its_own_turn_whatever_it_raises(tmp_path: Path, fault: BaseException) -> None:
    async def torn(turn: TurnInput, stage: Stage, tape: Tape) -> str:
        if turn.messages[0].text == "one":
            raise fault
        return await echo(turn, stage, tape)

    async with rig(tmp_path, ScriptedBrain(torn)) as it:
        first, second = await all_of(it.turn("one"), it.turn("two"))
        assert (first.status, second.status) == ("failed", "complete")
        assert await verified(it, first.session_id)


async def test_a_brain_that_hangs_is_given_up_recorded_and_the_session_goes_on(tmp_path: Path) -> None:
    async def hang(turn: TurnInput, stage: Stage, tape: Tape) -> str:
        if turn.messages[0].text == "hang":
            await asyncio.Event().wait()
        return await echo(turn, stage, tape)

    async with rig(tmp_path, ScriptedBrain(hang), turn_seconds=0.05) as it:
        with pytest.raises(DeadlineExceeded) as late:
            await it.turn("hang")
        it.hosting.turn_seconds = 60.0
        turn = await it.turn("two")
        run = (await it.runs(turn.session_id))[0]
        assert (run.id, run.risk, run.error) == (late.value.details["turn_id"], "ERROR", "TIMEOUT")


async def test_the_disk_stalls_for_five_seconds_and_callers_are_told_and_nothing_is_lost(tmp_path: Path) -> None:
    disk = FaultyDisk()
    async with rig(tmp_path, ScriptedBrain(), disk=disk) as it:
        first = await it.turn("one")
        it.hosting.commit_seconds = 0.05
        disk.free.clear()  # as long as it takes: the promise does not depend on the number of seconds
        told = await all_of(it.turn("two"))
        assert isinstance(told[0], Unavailable)
        assert len(await it.runs(first.session_id)) == 1, "reads go on"
        it.hosting.commit_seconds = 60.0
        disk.free.set()
        await ended(it, first.session_id, 2)
        turn = await it.turn("three")
        assert [run.said for run in await it.runs(turn.session_id)] == [("one",), ("two",), ("three",)]
        assert it.store.unanswered() == []


# --- work that is cancelled really ends --------------------------------------------------------------------------


class Endpoint:
    """A real server whose first answer never comes; knows when its caller has gone."""

    def __init__(self) -> None:
        self.reached, self.closed = asyncio.Event(), asyncio.Event()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        if self.reached.is_set():
            return web.json_response({"choices": [{"message": {"content": "fine"}}]})
        self.reached.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.closed.set()
        return web.Response()


@asynccontextmanager
async def served(endpoint: Endpoint) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", endpoint.answer)
    runner = web.AppRunner(app, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def by_model(url: str) -> tuple[Callable[[], Awaitable[object]], Callable[[], Awaitable[None]]]:
    model = OpenAICompatible(url + "/v1", "m")
    return lambda: model.generate(Prompt(instructions="x", plan={})), model.close


def by_tool(url: str) -> tuple[Callable[[], Awaitable[object]], Callable[[], Awaitable[None]]]:
    tools, tool = Tools(), Tool(id="t", http=f"{url}/t", allow_private=True)
    bundle = AgentBundle(tenant="acme", id="desk", agent=Agent(name="Desk"), tools=(tool,))
    return lambda: tools.call(bundle, tool, {}, {}), tools.close


@pytest.mark.parametrize("kind", [by_model, by_tool])
@pytest.mark.parametrize("end", ["superseded", "given up"])
async def test_a_call_of_a_turn_that_ends_is_cancelled_and_its_server_sees_the_connection_close(
        tmp_path: Path, kind: Any, end: str) -> None:
    endpoint = Endpoint()
    async with served(endpoint) as url:
        call, close = kind(url)

        async def ask(turn: TurnInput, stage: Stage, tape: Tape) -> str:
            await call()
            return await echo(turn, stage, tape)

        seconds = 60.0 if end == "superseded" else 0.2
        try:
            async with rig(tmp_path, ScriptedBrain(ask), channel_bases=AT_ONCE, turn_seconds=seconds) as it:
                first = asyncio.ensure_future(it.turn("one", WEB))
                await endpoint.reached.wait()
                with anyio.fail_after(20):
                    if end == "superseded":
                        assert (await it.turn("two", WEB)).reply == "you said: one / two"
                        assert (await first).reply == "you said: one / two"
                    else:
                        with pytest.raises(DeadlineExceeded):
                            await first
                    await endpoint.closed.wait()
        finally:
            await close()


async def test_one_session_that_is_cancelled_holds_no_other_up(tmp_path: Path) -> None:
    async def stubborn(turn: TurnInput, stage: Stage, tape: Tape) -> str:
        if turn.messages[-1].text == "wait":
            try:
                await asyncio.Event().wait()
            finally:
                with anyio.CancelScope(shield=True):
                    await released.wait()
        return await echo(turn, stage, tape)

    released, brain = asyncio.Event(), ScriptedBrain(stubborn)
    async with rig(tmp_path, brain, channel_bases=AT_ONCE) as it:
        slow = asyncio.ensure_future(it.turn("wait", WEB))
        await brain.begun.wait()
        newer = asyncio.ensure_future(it.turn("never mind", WEB))
        others = await all_of(*(it.turn("hello", replace(WEB, interlocutor=f"p{n}")) for n in range(20)))
        assert all(isinstance(turn, Turn) for turn in others)
        assert not newer.done()
        released.set()
        assert (await newer) == (await slow)
