"""What a coroutine actor does beside its mailbox: promised answers, works, commits."""

from __future__ import annotations

import asyncio
from typing import Any

import anyio
import pykka
import pytest

from ruche.actors.actor import AioActor
from ruche.actors.future import AioFuture
from ruche.actors.system import ActorSystem
from ruche.plugins.errors import Conflict
from tests.actors.test_actor import Noting, anyio_backend, log_of

__all__ = ["anyio_backend"]


@pytest.mark.anyio
async def test_a_promised_answer_comes_later_while_other_messages_are_handled() -> None:
    class Absorbing(AioActor):
        def on_start(self) -> None:
            self.waiting: list[AioFuture[str]] = []

        def on_receive(self, message: str) -> Any:
            if message == "answer":
                for reply in self.waiting:
                    reply.set("together")
                return self.busy
            self.waiting.append(self.promise())
            return "not sent"

    async with ActorSystem():
        ref = Absorbing.start()
        first, second = ref.ask("a", block=False), ref.ask("b", block=False)
        ref.tell("c")
        await anyio.wait_all_tasks_blocked()
        owner: Any = ref.actor_inbox.owner
        assert owner.busy
        await ref.ask_async("answer")
        assert [await first, await second] == ["together"] * 2
        assert not owner.busy


@pytest.mark.anyio
async def test_an_open_promise_fails_with_what_ended_the_actor() -> None:
    class Promises(AioActor):
        def on_receive(self, message: Any) -> Any:
            self.promise()
            if isinstance(message, Exception):
                raise message

    async with ActorSystem():
        crashing = Promises.start()
        open_one, refused = crashing.ask("a", block=False), crashing.ask(Conflict("no"), block=False)
        crash = crashing.ask(OSError("disk"), block=False)
        with pytest.raises(Conflict):
            await refused
        for reply in (open_one, crash):
            with pytest.raises(OSError, match="disk"):
                await reply
        stopping = Promises.start()
        never = stopping.ask("a", block=False)
        await stopping.stop_async()
        with pytest.raises(pykka.ActorDeadError):
            await never


@pytest.mark.anyio
async def test_a_work_runs_beside_the_mailbox_and_is_cancelled_and_awaited_at_the_end() -> None:
    seen: list[str] = []

    class Working(AioActor):
        async def on_receive(self, message: Any) -> Any:
            self.task = self.work(self.toil())
            return message

        async def toil(self) -> None:
            try:
                await asyncio.Event().wait()
            finally:
                seen.append("cleaned up")

        async def on_stop(self) -> None:
            seen.append("stopped")

    async with ActorSystem():
        ref = Working.start()
        assert await ref.ask_async("go") == "go"
        owner: Any = ref.actor_inbox.owner
        await anyio.wait_all_tasks_blocked()
        assert owner.busy
        assert not owner.task.done
        await ref.stop_async()
        assert seen == ["cleaned up", "stopped"]
        assert owner.task.done


@pytest.mark.anyio
@pytest.mark.parametrize("error", [OSError("disk"), Conflict("unheard"), asyncio.CancelledError()])
async def test_a_work_that_fails_ends_its_actor(error: BaseException) -> None:
    class Working(Noting):
        async def on_receive(self, message: Any) -> Any:
            self.work(self.toil())

        async def toil(self) -> None:
            raise error

    async with ActorSystem():
        ref = Working.start()
        log = log_of(ref)
        await ref.ask_async("go")
        await anyio.wait_all_tasks_blocked()
        assert not ref.is_alive()
        assert len(log) == 2


@pytest.mark.anyio
async def test_a_commit_inside_a_work_is_finished_when_the_actor_stops() -> None:
    written: list[str] = []

    class Writing(AioActor):
        async def on_receive(self, gate: AioFuture[str]) -> None:
            self.work(self.commit(self.write, gate))
            await asyncio.sleep(0)

        async def write(self, gate: AioFuture[str]) -> None:
            written.append(await gate)

    async with ActorSystem():
        ref = Writing.start()
        gate: AioFuture[str] = AioFuture()
        await ref.ask_async(gate)
        stopped = ref.stop(block=False)
        await anyio.wait_all_tasks_blocked()
        assert not stopped.done()
        gate.set("kept")
        assert await stopped is True
        assert written == ["kept"]
