"""Coroutine actors from and to threads, their systems, and what is left of them."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from typing import Any

import anyio
import pykka
import pytest

from ruche.actors.actor import AioActorRef
from ruche.actors.future import AioFuture, WouldDeadlock
from ruche.actors.service import ServiceActor
from ruche.actors.system import ActorSystem
from ruche.plugins.errors import ConfigurationError
from tests.actors.test_actor import Noting, anyio_backend, log_of

__all__ = ["anyio_backend"]


@pytest.mark.anyio
async def test_a_blocking_ask_on_the_loop_is_refused_instead_of_hanging() -> None:
    async with ActorSystem():
        ref = Noting.start()
        with pytest.raises(WouldDeadlock):
            ref.ask("x")


@pytest.mark.anyio
async def test_threads_ask_and_tell_coroutine_actors_without_losing_anything() -> None:
    class Asks(pykka.ThreadingActor):
        use_daemon_thread = True

        def on_receive(self, ref: AioActorRef[Any]) -> Any:
            for number in range(200):
                ref.tell(number)
            return ref.ask("asked", timeout=2), ref.proxy().on_receive("proxied").get(timeout=2)

    async with ActorSystem():
        ref, thread = Noting.start(), Asks.start()
        answers = await anyio.to_thread.run_sync(lambda: thread.ask(ref, timeout=3))
        assert answers == ("asked", "proxied")
        assert log_of(ref) == ["start", *range(200), "asked", "proxied"]
        thread.stop(block=False)


@pytest.mark.anyio
async def test_a_thread_that_tells_an_actor_of_a_closed_system_is_told_so() -> None:
    class Unlisted(Noting):
        registered = False

    async with ActorSystem() as system:
        actor = system.make(Unlisted)
    errors: list[BaseException] = []

    def ask() -> None:
        try:
            actor.actor_ref.ask("x", timeout=1)
        except pykka.ActorDeadError as error:
            errors.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    await anyio.to_thread.run_sync(thread.join, 2)
    assert len(errors) == 1


@pytest.mark.anyio
async def test_an_actor_can_be_spawned_from_a_thread() -> None:
    async with ActorSystem() as system:
        ref = await anyio.to_thread.run_sync(system.spawn, Noting)
        assert await ref.ask_async("x") == "x"


@pytest.mark.anyio
async def test_a_second_system_on_the_loop_and_an_actor_without_one_are_refused() -> None:
    async with ActorSystem():
        with pytest.raises(ConfigurationError, match="has an actor system already"):
            await ActorSystem().__aenter__()
    with pytest.raises(RuntimeError, match="async with ActorSystem"):
        Noting.start()


@pytest.mark.anyio
async def test_post_runs_a_callback_on_the_loop_from_any_thread() -> None:
    async with ActorSystem() as system:
        ran: AioFuture[bool] = AioFuture()
        await anyio.to_thread.run_sync(lambda: system.post(lambda: ran.set(system.on_loop())))
        assert await ran is True
        assert system.on_loop()
        assert await anyio.to_thread.run_sync(system.on_loop) is False


@pytest.mark.anyio
async def test_a_stopped_actor_is_freed_without_the_garbage_collector() -> None:
    async with ActorSystem():
        ref = Noting.start()
        gone = weakref.ref(ref.actor_inbox.owner)
        await ref.ask_async("x")
        gc.disable()
        try:
            await ref.stop_async()
            await asyncio.sleep(0)
            assert gone() is None
        finally:
            gc.enable()


@pytest.mark.anyio
async def test_a_long_queue_lets_other_tasks_have_the_loop() -> None:
    async with ActorSystem():
        ref = Noting.start()
        for number in range(100):
            ref.tell(number)
        for _ in range(3):
            await asyncio.sleep(0)
        assert 0 < len(log_of(ref)) < 100


@pytest.mark.anyio
async def test_services_and_actors_are_addressed_alike() -> None:
    class Service(ServiceActor):
        def on_receive(self, message: Any) -> Any:
            return message, threading.get_ident()

    async with ActorSystem():
        message, thread = await Service.start().ask_async("x", timeout=2)
        assert message == "x"
        assert thread != threading.get_ident()
