"""Letting one key go: after its messages, whatever its state, and nothing of it is in memory afterwards."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from ruche.actors.actor import AioActor
from ruche.actors.directory import Directory, Policy
from ruche.actors.system import ActorSystem
from ruche.plugins.errors import Unavailable

made: list[str] = []
ended: list[str] = []


class Slow(AioActor):
    """Answers after a turn of the loop; crashes when told to."""

    registered = False

    def __init__(self, key: str) -> None:
        super().__init__()
        self.key = key
        made.append(key)

    async def on_receive(self, message: Any) -> Any:
        if message == "crash":
            raise RuntimeError("told to")
        await asyncio.sleep(0)
        return message

    async def on_stop(self) -> None:  # type: ignore[override]
        ended.append(self.key)


@pytest.fixture(autouse=True)
def _clear() -> None:
    made.clear()
    ended.clear()


@pytest.mark.anyio
async def test_an_evicted_key_answers_what_it_has_and_is_gone() -> None:
    async with ActorSystem():
        directory = Directory(Slow)
        answers = [asyncio.ensure_future(directory.ask("a", number)) for number in range(5)]
        await directory.ask("b", 1)
        await directory.evict("a")
        assert ended == ["a"]
        assert "a" not in directory
        assert directory.keys() == ["b"]
        assert [await one for one in answers] == list(range(5))
        assert await directory.ask("a", "again") == "again"
        assert made.count("a") == 2


@pytest.mark.anyio
async def test_a_key_that_is_leaving_already_is_waited_for() -> None:
    async with ActorSystem():
        directory = Directory(Slow)
        await directory.ask("a", 1)
        await asyncio.gather(directory.evict("a"), directory.evict("a"))
        assert ended == ["a"]
        assert len(directory) == 0


@pytest.mark.anyio
async def test_a_key_that_is_not_there_is_let_go_at_once() -> None:
    async with ActorSystem():
        directory = Directory(Slow)
        await directory.evict("nobody")
        assert made == []


@pytest.mark.anyio
async def test_what_waits_for_a_crashed_key_is_refused() -> None:
    async with ActorSystem():
        directory = Directory(Slow, policy=Policy(base=60.0, cap=60.0, jitter=0.0))
        with pytest.raises(RuntimeError, match="told to"):
            await directory.ask("a", "crash")
        waiting = asyncio.ensure_future(directory.ask("a", 1))
        await asyncio.sleep(0)
        assert directory.snapshot()["queued"] == 1
        await directory.evict("a")
        assert "a" not in directory
        with pytest.raises(Unavailable, match="ended"):
            await waiting
