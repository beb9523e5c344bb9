"""A person takes part in a conversation and gives it back: silent agents, time-outs, the chain, replay."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from ruche.engine import Engine
from ruche.engine.cli.main import main
from ruche.engine.config import Settings, read_settings
from ruche.engine.host import known_enforcers, open_store
from ruche.engine.replay import load
from ruche.engine.replay import replay as run_again
from ruche.plugins.errors import Conflict, IdempotencyMismatch, InvalidRequest, NotFound
from ruche.plugins.registry import Registry

pytestmark = pytest.mark.anyio

FILES = {
    "agent.yaml": "name: Desk\nunmatched: I do not know.\nhandoff: {enabled: true, text: A person is coming., "
                  "minutes: 15}\n",
    "rules.yaml": """
- {id: hours, if: Somebody asks when we open, then: We open at nine., examples: [when do you open]}
- {id: angry, if: Somebody wants to complain, then: I am sorry., examples: [I want to complain], effect: handoff}
""",
}
MINUTE = 60_000


class Clock:
    """Time that passes when a test says so."""

    def __init__(self) -> None:
        self.now = 1_790_000_000_000

    def __call__(self) -> int:
        self.now += 1
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    folder = tmp_path / "agents" / "desk"
    folder.mkdir(parents=True)
    for name, text in FILES.items():
        (folder / name).write_text(text)
    return read_settings(environment={}, data=tmp_path / "data", agents=tmp_path / "agents",
                         models={"embedder": "hashing"})


@pytest.fixture
async def engine(settings: Settings, clock: Clock) -> AsyncIterator[Engine]:
    async with Engine.open(settings=settings, clock_ms=clock) as opened:
        yield opened


async def say(engine: Engine, text: str = "when do you open") -> Any:
    return await engine.chat(agent="desk", user="ada", message=text)


async def act(engine: Engine, session: str, action: Any, text: str = "", by: str = "omar", **more: Any) -> Any:
    return await engine.intervene("default", session, action, by=by, text=text, **more)


async def test_the_agent_is_silent_while_a_person_has_the_conversation(engine: Engine) -> None:
    session = (await say(engine)).session_id
    await act(engine, session, "takeover")
    silent = await say(engine)
    assert (silent.reply, silent.status, silent.rules) == ("", "handed_off", ())
    spoken = await act(engine, session, "reply", "Good day, Omar here.")
    assert (spoken.reply, spoken.decisions["person"]["by"]) == ("Good day, Omar here.", "omar")
    await act(engine, session, "return")
    assert (await say(engine)).reply == "We open at nine."
    state = await engine.session("default", session)
    assert [(one.said, one.reply) for one in state.history] == [
        (("when do you open",), "We open at nine."), (("when do you open",), ""), ((), "Good day, Omar here."),
        (("when do you open",), "We open at nine.")]


async def test_a_person_who_says_nothing_for_too_long_gives_the_conversation_back(engine: Engine,
                                                                                  clock: Clock) -> None:
    session = (await say(engine)).session_id
    await act(engine, session, "takeover", minutes=10)
    clock.now += 9 * MINUTE
    await act(engine, session, "reply", "One moment.")
    clock.now += 9 * MINUTE
    assert (await say(engine)).reply == ""
    clock.now += 2 * MINUTE
    assert (await say(engine)).reply == "We open at nine."
    assert not (await engine.session("default", session)).handed_off
    with pytest.raises(Conflict):
        await act(engine, session, "reply", "Still here.")


async def test_an_agent_that_waits_for_a_person_in_vain_speaks_again(engine: Engine, clock: Clock) -> None:
    passed = await say(engine, "I want to complain")
    assert passed.status == "handed_off"
    assert (await say(engine)).reply == "A person is coming."
    clock.now += 16 * MINUTE
    assert (await say(engine)).reply == "We open at nine."


async def test_a_person_may_take_over_what_the_agent_passed_on_and_a_second_one_may_not(engine: Engine) -> None:
    session = (await say(engine, "I want to complain")).session_id
    await act(engine, session, "takeover")
    await act(engine, session, "takeover")
    for action, text in (("takeover", ""), ("reply", "Me too."), ("handoff", "")):
        with pytest.raises(Conflict):
            await act(engine, session, action, text, by="olga")
    await act(engine, session, "return", by="olga")
    await act(engine, session, "handoff", by="olga")
    assert (await say(engine)).reply == "A person is coming."
    await act(engine, session, "takeover", by="olga")
    assert (await say(engine)).reply == ""


async def test_what_a_session_does_not_allow_is_refused_and_keeps_nothing(engine: Engine) -> None:
    session = (await say(engine)).session_id
    for action, text in (("reply", "Hello."), ("return", "")):
        with pytest.raises(Conflict):
            await act(engine, session, action, text)
    for text in ("", "  ", "x" * 10_001):
        with pytest.raises(InvalidRequest):
            await act(engine, session, "reply", text)
    with pytest.raises(InvalidRequest):
        await act(engine, session, "takeover", minutes=-1)
    with pytest.raises(NotFound):
        await act(engine, "nowhere", "takeover")
    await engine.close_session("default", session)
    with pytest.raises(NotFound):
        await act(engine, session, "takeover")
    assert (await engine.session("default", session)).turn_count == 1


async def test_a_reply_that_is_repeated_with_its_key_is_said_once(engine: Engine) -> None:
    session = (await say(engine)).session_id
    await act(engine, session, "takeover")
    first = await act(engine, session, "reply", "Hello.", idempotency_key="k1")
    again = await act(engine, session, "reply", "Hello.", idempotency_key="k1")
    assert first == again
    with pytest.raises(IdempotencyMismatch):
        await act(engine, session, "reply", "Other.", idempotency_key="k1")
    assert [one.reply for one in (await engine.session("default", session)).history] == ["We open at nine.", "Hello."]


async def test_what_a_person_says_comes_after_the_turn_that_runs(engine: Engine) -> None:
    session = (await say(engine)).session_id
    await act(engine, session, "takeover")
    await asyncio.gather(*(say(engine, f"message {number}") for number in range(5)),
                         *(act(engine, session, "reply", f"answer {number}") for number in range(5)))
    page = await engine.runs("default", session=session, oldest_first=True, limit=100)
    assert [run.sequence for run in page.items] == list(range(len(page.items)))
    assert {run.reply for run in page.items if run.reply} == {"We open at nine.", *(f"answer {n}" for n in range(5))}
    assert (await engine.verify("default", session)).ok


async def test_subscribers_hear_the_person(engine: Engine) -> None:
    session = (await say(engine)).session_id
    before = (await engine.session("default", session)).event_seq
    await act(engine, session, "takeover")
    await act(engine, session, "reply", "Hello.")
    await act(engine, session, "return")
    heard = []
    async for event in engine.events("default", session, before):
        heard.append((event.kind, event.data.get("state") or event.data.get("reply")))
        if len(heard) == 3:
            break
    assert heard == [("session.handoff", "taken"), ("turn.completed", "Hello."), ("session.handoff", "returned")]


async def test_a_conversation_with_a_person_in_it_survives_a_restart_verifies_and_replays(
        settings: Settings, clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    async with Engine.open(settings=settings, clock_ms=clock) as engine:
        session = (await say(engine)).session_id
        await act(engine, session, "takeover", minutes=30)
        await say(engine, "are you there")
    async with Engine.open(settings=settings, clock_ms=clock) as engine:
        assert (await say(engine)).reply == ""
        await act(engine, session, "reply", "Yes.")
        clock.now += 31 * MINUTE
        assert (await say(engine)).reply == "We open at nine."
        await act(engine, session, "takeover")
        await act(engine, session, "return", by="olga")
        last = (await say(engine)).turn_id
        assert (await engine.verify("default", session)).ok
    with await open_store(settings) as store:
        page = store.tenant("default").runs(session=session, oldest_first=True)
        for run in page.items:
            replayed = await run_again(load(store.tenant("default"), run.id), known_enforcers(Registry()))
            assert replayed.difference is None
    assert page.items[-1].id == last
    with pytest.raises(SystemExit) as ended:
        await asyncio.to_thread(main, ["verify", str(settings.data), "--json"])
    assert ended.value.code == 0, capsys.readouterr().out
