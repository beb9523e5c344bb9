"""What this runtime relies on in pykka 4.5, and what it must not rely on: one test per hook and per fact."""

from __future__ import annotations

import asyncio
import inspect
import queue
import threading
from importlib.metadata import version
from typing import Any

import pykka
import pytest
from pykka._envelope import Envelope
from pykka.messages import ProxyCall, ProxyGetAttr, ProxySetAttr, _ActorStop

from ruche.actors.actor import AioActor
from ruche.actors.service import ServiceActor
from ruche.actors.system import ActorSystem


@pytest.fixture(params=[False, True], ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    return "asyncio", {"use_uvloop": request.param}


class Stock(pykka.ThreadingActor):
    """A plain pykka actor that notes which hooks ran."""

    use_daemon_thread = True

    def __init__(self, fail_on_start: bool = False) -> None:
        super().__init__()
        self.fail_on_start = fail_on_start
        self.failed = threading.Event()

    def on_start(self) -> None:
        if self.fail_on_start:
            raise OSError("no file")

    def on_failure(self, *_: Any) -> None:
        self.failed.set()

    def on_receive(self, message: Any) -> Any:
        if isinstance(message, BaseException):
            raise message
        if isinstance(message, threading.Event):
            return message.wait(0.2)
        return message


class Ours(AioActor):
    registered = False

    def __init__(self, fail_on_start: bool = False) -> None:
        super().__init__()
        self.fail_on_start = fail_on_start
        self.failed = threading.Event()

    def on_start(self) -> None:
        if self.fail_on_start:
            raise OSError("no file")

    def on_failure(self, *_: Any) -> None:
        self.failed.set()

    def on_receive(self, message: Any) -> Any:
        if isinstance(message, BaseException):
            raise message
        return message


class OursOnThread(ServiceActor):
    def on_receive(self, message: Any) -> Any:
        if isinstance(message, BaseException):
            raise message
        return message.wait(0.2) if isinstance(message, threading.Event) else message



def test_pykka_is_the_version_whose_private_parts_are_known() -> None:
    assert version("pykka").startswith("4.5.")


def test_a_new_actor_type_must_give_inbox_future_and_loop_and_nothing_else() -> None:
    assert pykka.Actor.__abstractmethods__ == {"_create_actor_inbox", "_create_future", "_start_actor_loop"}


def test_pykkas_constructor_sets_just_the_four_attributes_that_ours_sets() -> None:
    assert set(vars(pykka.ThreadingActor())) == {"actor_urn", "actor_inbox", "actor_stopped", "_actor_ref"}


def test_pykkas_address_holds_just_what_ours_provides() -> None:
    actor = pykka.ThreadingActor()
    assert set(vars(actor.actor_ref)) == {
        "_actor_weakref", "actor_class", "actor_urn", "actor_inbox", "actor_stopped"}


def test_an_envelope_is_a_message_and_where_to_reply() -> None:
    assert Envelope.__slots__ == ["message", "reply_to"]
    assert list(inspect.signature(Envelope.__init__).parameters) == ["self", "message", "reply_to"]


def test_the_stop_message_is_a_type_of_its_own_without_content() -> None:
    assert tuple(_ActorStop()) == ()
    assert type(_ActorStop()) is _ActorStop


def test_a_threading_actor_runs_actor_loop_on_its_thread() -> None:
    ran = queue.SimpleQueue[str]()

    class Loop(pykka.ThreadingActor):
        use_daemon_thread = True

        def _actor_loop(self) -> None:
            ran.put(threading.current_thread().name)

    actor = Loop()
    actor._start_actor_loop()
    assert ran.get(timeout=1).startswith("Loop-")


def test_handle_receive_serves_proxies_and_hands_the_rest_to_on_receive() -> None:
    actor = Stock()
    assert actor._handle_receive(ProxyCall(("on_receive",), ("a",), {})) == "a"
    assert actor._handle_receive("b") == "b"


@pytest.mark.anyio
async def test_a_proxy_reaches_the_actor_through_ask_and_the_weak_reference_of_our_address() -> None:
    async with ActorSystem():
        ref = Ours.start()
        proxy = ref.proxy()
        assert await proxy.on_receive("x") == "x"
        assert await proxy.fail_on_start is False
        assert ref._actor_weakref() is proxy._actor


@pytest.mark.anyio
@pytest.mark.parametrize("kind", [Ours, OursOnThread])
async def test_a_proxy_sets_an_attribute_by_a_message_of_its_own_type(kind: Any) -> None:
    assert tuple(ProxySetAttr.__annotations__) == ("attr_path", "value")
    assert tuple(ProxyGetAttr.__annotations__) == ("attr_path",)
    async with ActorSystem():
        proxy = kind.start().proxy()
        await proxy._actor.actor_ref.ask(ProxySetAttr(("failed",), "set"), block=False)
        assert await proxy.failed == "set"


@pytest.mark.anyio
async def test_the_registry_lists_what_says_so_and_broadcasts_to_it() -> None:
    class Listed(Ours):
        registered = True

        def on_start(self) -> None:
            self.heard: list[Any] = []

        def on_receive(self, message: Any) -> Any:
            self.heard.append(message)
            return list(self.heard)

    async with ActorSystem():
        ref, unlisted = Listed.start(), Ours.start()
        assert pykka.ActorRegistry.get_by_urn(ref.actor_urn) is ref
        assert pykka.ActorRegistry.get_by_urn(unlisted.actor_urn) is None
        pykka.ActorRegistry.broadcast("all", Listed)
        assert await ref.ask_async("z") == ["all", "z"]
        await ref.stop_async()
        assert pykka.ActorRegistry.get_by_urn(ref.actor_urn) is None


@pytest.mark.anyio
async def test_fact_a_awaiting_a_stock_future_blocks_the_loop_and_awaiting_ours_does_not() -> None:
    async def reached(ref: pykka.ActorRef[Any]) -> bool:
        event = threading.Event()
        future = ref.ask(event, block=False)
        asyncio.get_running_loop().call_later(0.01, event.set)
        return bool(await future)

    async with ActorSystem():
        stock, ours = Stock.start(), OursOnThread.start()
        assert await reached(stock) is False
        assert await reached(ours) is True
        stock.stop(block=False)


def test_fact_b_a_stock_handler_that_fails_under_ask_lives_on_without_on_failure() -> None:
    actor = Stock.start()
    with pytest.raises(ValueError, match="half"):
        actor.ask(ValueError("half done"))
    assert actor.ask("still here") == "still here"
    assert not actor.proxy().failed.get().is_set()
    actor.stop()


@pytest.mark.anyio
async def test_fact_b_ours_ends_with_on_failure_since_its_state_may_be_half_changed() -> None:
    async with ActorSystem():
        ref = Ours.start()
        actor = ref._actor_weakref()
        with pytest.raises(ValueError, match="half"):
            await ref.ask_async(ValueError("half done"))
        assert not ref.is_alive()
        assert actor is not None
        assert actor.failed.is_set()


def test_fact_c_a_stock_handler_that_fails_under_tell_dies_with_on_failure() -> None:
    ref = Stock.start()
    failed = ref.proxy().failed.get()
    ref.tell(ValueError("boom"))
    assert failed.wait(1)
    assert ref.actor_stopped.is_set()


@pytest.mark.anyio
async def test_fact_c_ours_does_the_same() -> None:
    async with ActorSystem():
        ref = Ours.start()
        actor = ref._actor_weakref()
        ref.tell(ValueError("boom"))
        with pytest.raises(pykka.ActorDeadError):
            await ref.ask_async("late")
        assert actor is not None
        assert actor.failed.is_set()


def test_fact_d_a_stock_actor_that_fails_to_start_dies_without_on_failure() -> None:
    actor = Stock(fail_on_start=True)
    pykka.ActorRegistry.register(actor.actor_ref)
    actor._start_actor_loop()
    assert actor.actor_stopped.wait(1)
    assert not actor.failed.is_set()


@pytest.mark.anyio
async def test_fact_d_ours_does_the_same_and_answers_who_asked() -> None:
    async with ActorSystem():
        ref = Ours.start(fail_on_start=True)
        actor = ref._actor_weakref()
        with pytest.raises(pykka.ActorDeadError):
            await ref.ask_async("x")
        assert actor is not None
        assert not actor.failed.is_set()


def test_fact_e_a_cancelled_error_in_one_stock_handler_stops_every_actor() -> None:
    bystander, culprit = Stock.start(), Stock.start()
    culprit.tell(asyncio.CancelledError())
    assert bystander.actor_stopped.wait(1)


@pytest.mark.anyio
@pytest.mark.parametrize("kind", [Ours, OursOnThread])
async def test_fact_e_a_cancelled_error_in_one_of_our_handlers_stops_that_actor_alone(kind: Any) -> None:
    async with ActorSystem():
        bystander, stock, culprit = Ours.start(), Stock.start(), kind.start()
        with pytest.raises(RuntimeError, match=r"of its own|from inside"):
            await culprit.ask_async(asyncio.CancelledError())
        assert not culprit.is_alive()
        assert await bystander.ask_async("x") == "x"
        assert stock.is_alive()
        stock.stop(block=False)


def test_fact_f_a_stock_ask_that_races_with_stop_is_never_answered() -> None:
    class SlowToPut(queue.Queue[Any]):
        def put(self, envelope: Any, *_: Any, **__: Any) -> None:
            if envelope.message == "late":
                threads["actor"].join(1)
            super().put(envelope)

    class Racing(Stock):
        @staticmethod
        def _create_actor_inbox() -> Any:
            return SlowToPut()

        def on_receive(self, message: Any) -> Any:
            threads["actor"] = threading.current_thread()
            begun.set()
            go.wait(1)

    threads: dict[str, threading.Thread] = {}
    begun, go = threading.Event(), threading.Event()
    ref = Racing.start()
    working = ref.ask("work", block=False)
    ref.stop(block=False)
    assert begun.wait(1)
    threading.Timer(0.02, go.set).start()
    late = ref.ask("late", block=False)
    working.get(timeout=1)
    with pytest.raises(pykka.Timeout):
        late.get(timeout=0.05)


@pytest.mark.anyio
@pytest.mark.parametrize("kind", [Ours, OursOnThread])
async def test_fact_f_an_ask_that_races_with_our_stop_is_answered(kind: Any) -> None:
    async with ActorSystem():
        for _ in range(100):
            ref = kind.start()
            ref.tell("x")
            stopped, late = ref.stop(block=False), ref.ask("late", block=False)
            async with asyncio.timeout(2):
                with pytest.raises(pykka.ActorDeadError):
                    await late
                assert await stopped is True
