"""Retention by the clock, and erasing a person of whom something is under way."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from ruche.engine import Engine
from ruche.engine.config import Settings, read_settings
from ruche.engine.oversight import Sweeper
from ruche.plugins.embedders.cache import VectorCache
from ruche.plugins.errors import ConfigurationError, Erased, NotFound, Unavailable

DAY = 86_400_000


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    folder = tmp_path / "agents" / "one"
    folder.mkdir(parents=True)
    (folder / "agent.yaml").write_text("name: Agent\n")
    return read_settings(environment={}, data=tmp_path / "data", agents=folder, models={"embedder": "hashing"},
                         storage={"retention": {"runs": 2}})


class Time:
    """A clock that stands where it is put."""

    def __init__(self) -> None:
        self.now = 1_790_000_000_000

    def __call__(self) -> int:
        return self.now


@pytest.mark.anyio
async def test_old_days_go_once_a_day_by_the_engines_own_clock(settings: Settings) -> None:
    clock = Time()
    async with Engine.open(settings=settings, clock_ms=clock) as engine:
        for _ in range(5):
            await engine.chat(agent="one", message="hello", user="ada")
            clock.now += DAY
        sweeper = Sweeper(engine._host)
        dropped = await sweeper.sweep()
        assert dropped is not None
        assert len(dropped.days) == 3
        assert await sweeper.sweep() is None
        clock.now += DAY
        again = await sweeper.sweep()
        assert again is not None
        assert len(again.days) == 1
        left = (await engine.runs("default")).items
        assert [run.sequence for run in left] == [4]
        assert (await engine.verify("default", left[0].session)).ok


@pytest.mark.anyio
async def test_fields_of_profiles_go_by_the_days_that_their_agent_asks_for(settings: Settings) -> None:
    from ruche.storage.model.conversation import FieldValue, Profile
    from ruche.storage.model.record import ProfileSaved

    clock, folder = Time(), settings.agents
    assert folder is not None
    (folder / "fields.yaml").write_text("- {name: phone, retention_days: 10}\n- {name: city}\n")
    async with Engine.open(settings=settings, clock_ms=clock) as engine:
        known = {name: FieldValue(value="x", source="user_provided", at_ms=clock.now) for name in ("phone", "city")}
        await engine._host.scribe.commit(ProfileSaved(tenant="default", at_ms=clock.now, profile=Profile(
            interlocutor="ada", tenant="default", fields=known)))
        sweeper = Sweeper(engine._host)
        for days, left in ((9, {"phone", "city"}), (2, {"city"})):
            clock.now += days * DAY
            await sweeper.sweep()
            profile = await engine._host.scribe.read(lambda store: store.tenant("default").profile("ada"))
            assert profile is not None
            assert set(profile.fields) == left


@pytest.mark.anyio
async def test_without_rules_nothing_ever_goes(settings: Settings) -> None:
    bare = settings.model_copy(update={"storage": read_settings(environment={}).storage})
    clock = Time()
    async with Engine.open(settings=bare, clock_ms=clock) as engine:
        await engine.chat(agent="one", message="hello", user="ada")
        clock.now += 1000 * DAY
        assert await Sweeper(engine._host).sweep() is None
        assert len((await engine.runs("default")).items) == 1


def test_a_rule_that_cannot_be_meant_is_refused() -> None:
    for wrong in ({"runs": 0}, {"people": 3}):
        with pytest.raises(ConfigurationError, match="retention"):
            read_settings(environment={}, storage={"retention": wrong})


@pytest.mark.anyio
async def test_while_a_person_is_erased_their_messages_wait_and_others_do_not(settings: Settings) -> None:
    async with Engine.open(settings=settings) as engine:
        first = await engine.chat(agent="one", message="hello", user="ada")
        erasing = asyncio.ensure_future(engine.erase("default", "ada", reason="asked", by="officer"))
        await asyncio.sleep(0)
        assert ("default", "ada") in engine._host.leaving
        with pytest.raises(Unavailable, match="being erased"):
            await engine.chat(agent="one", message="hello", user="ada")
        assert (await engine.chat(agent="one", message="hello", user="bob")).reply is not None
        await erasing
        assert not engine._host.leaving
        with pytest.raises(Erased):
            await engine.run("default", first.turn_id)
        assert (await engine.chat(agent="one", message="hello", user="ada")).session_id != first.session_id


@pytest.mark.anyio
async def test_a_failed_erasure_lets_the_person_talk_on(settings: Settings) -> None:
    async with Engine.open(settings=settings) as engine:
        with pytest.raises(NotFound):
            await engine.erase("default", "nobody", reason="asked", by="officer")
        assert not engine._host.leaving


@pytest.mark.anyio
async def test_an_advisory_is_added_once_however_often_it_is_sent(settings: Settings) -> None:
    async with Engine.open(settings=settings) as engine:
        run = (await engine.chat(agent="one", message="hello", user="ada")).turn_id
        added = await asyncio.gather(*(engine.advise("default", run, kind="note", author="human:eve", note="seen")
                                       for _ in range(5)))
        assert len({one.id for one in added}) == 1
        assert len(await engine.advisories("default", run)) == 1
        assert (await engine.audit_head("default")).size == 2
        assert (await engine.audit_proof("default", run)).index == 0


def test_the_vectors_of_a_tenant_are_forgotten_and_no_others() -> None:
    import numpy as np

    cache, asked = VectorCache(), list[str]()

    def encode(text: str) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
        asked.append(text)
        return np.zeros(3, dtype=np.float32)

    for space in ("acme", "rival"):
        cache.row(space, "hello", encode)
    cache.forget("acme")
    for space in ("acme", "rival"):
        cache.row(space, "hello", encode)
    assert len(asked) == 3
