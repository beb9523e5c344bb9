"""Agents that remember: what was said in one conversation is recalled in the next, and only by its person."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ruche.engine import Engine
from ruche.plugins.embedders import HashingEmbedder
from ruche.plugins.errors import RucheError
from ruche.storage.model.turn import Turn

pytestmark = pytest.mark.anyio

RULES = """
- {id: hours, if: the visitor asks about the opening hours, examples: [when do you open], then: We open at nine.}
- id: back
  if: the visitor asks what was said about the kettle
  examples: [what did I say about the kettle]
  when: memory_speaker == "user"
  then: "On {{ memory_date }} you said: {{ memory_text }}"
"""
SAID, ASKED = "My sister Lena ordered a blue kettle.", "What did I say about the kettle?"


@pytest.fixture(params=["memory: true\\n"])
def agents(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    folder = tmp_path / "agents" / "hall"
    folder.mkdir(parents=True)
    (folder / "agent.yaml").write_text("name: Hall\n" + request.param.replace("\\n", "\n"))
    (folder / "rules.yaml").write_text(RULES)
    return tmp_path / "agents"


def opened(tmp_path: Path, agents: Path, **more: Any) -> Any:
    return Engine.open(tmp_path / "data", agents=agents, embedder=HashingEmbedder(), **more)


async def say(engine: Engine, text: str, user: str = "ada", **more: Any) -> Turn:
    return await engine.chat(agent="hall", user=user, message=text, channel="api", **more)


async def learnt(engine: Engine) -> None:
    """What committed turns left to be learnt is learnt."""
    host = engine._host
    while await host.scribe.read(lambda store: store.outbox()):
        await host.standing.courier.deliver_due()


async def test_what_was_said_in_one_conversation_is_recalled_in_the_next(tmp_path: Path, agents: Path) -> None:
    async with opened(tmp_path, agents) as engine:
        first = await say(engine, SAID)
        await learnt(engine)
        turn = await say(engine, ASKED, new_session=True)
        assert turn.session_id != first.session_id
        assert turn.reply.endswith(f"you said: {SAID}")
        assert turn.memory[0].chunk_id == f"{first.turn_id}:0"
        told = (await engine.run("default", turn.turn_id)).decisions["recall"]
        assert told["cited"][0] == f"{first.turn_id}:0"
        assert told["kept"][0]["cues"] == ["speaker"]
        assert (told["considered"], told["reason"]) == (2, "held")


async def test_a_turn_that_recalled_something_is_replayed_without_a_memory(tmp_path: Path, agents: Path) -> None:
    async with opened(tmp_path, agents) as engine:
        await say(engine, SAID)
        await learnt(engine)
        turn = await say(engine, ASKED, new_session=True)
        again = await engine.replay("default", turn.turn_id)
        assert again.difference is None


async def test_nobody_else_is_told_and_the_first_turn_has_nothing_to_recall(tmp_path: Path, agents: Path) -> None:
    async with opened(tmp_path, agents) as engine:
        assert (await say(engine, SAID)).memory == ()
        await learnt(engine)
        turn = await say(engine, ASKED, user="bob")
        assert turn.memory == ()
        assert "Lena" not in turn.reply


async def test_what_stands_in_the_conversation_itself_is_not_recalled(tmp_path: Path, agents: Path) -> None:
    async with opened(tmp_path, agents) as engine:
        await say(engine, SAID)
        await learnt(engine)
        assert (await say(engine, ASKED)).memory == ()


async def test_memories_outlive_the_process(tmp_path: Path, agents: Path) -> None:
    async with opened(tmp_path, agents) as engine:
        await say(engine, SAID)
        await learnt(engine)
    async with opened(tmp_path, agents) as engine:
        assert "Lena" in (await say(engine, ASKED, new_session=True)).reply


async def test_a_turn_that_a_stop_left_unlearnt_is_learnt_at_the_next_start(tmp_path: Path, agents: Path) -> None:
    async with opened(tmp_path, agents) as engine:
        engine._host.standing.courier.route("memory", _refuse)
        await say(engine, SAID)
    async with opened(tmp_path, agents) as engine:
        await learnt(engine)
        assert "Lena" in (await say(engine, ASKED, new_session=True)).reply


async def _refuse(tenant: str, item: object) -> None:
    raise RucheError("not now")


async def test_what_was_recalled_is_on_the_tape(tmp_path: Path, agents: Path) -> None:
    async with opened(tmp_path, agents) as engine:
        await say(engine, SAID)
        await learnt(engine)
        turn = await say(engine, ASKED, new_session=True)
        sites = [entry.site for entry in (await engine.run("default", turn.turn_id)).tape]
        assert sites.count("recall") == 1


async def test_an_erased_person_is_forgotten_and_begins_anew(tmp_path: Path, agents: Path) -> None:
    async with opened(tmp_path, agents) as engine:
        await say(engine, SAID)
        await learnt(engine)
        await engine.erase("default", "ada", reason="asked for it", by="officer")
        turn = await say(engine, ASKED)
        assert (turn.memory, "Lena" in turn.reply) == ((), False)
        assert await engine._host.scribe.read(lambda store: store.tenant("default").memories("ada")) == []


@pytest.mark.parametrize("agents", [""], indirect=True)
async def test_an_agent_that_does_not_remember_leaves_and_asks_nothing(tmp_path: Path, agents: Path) -> None:
    (agents / "hall" / "rules.yaml").write_text(RULES.split("- id: back")[0])
    async with opened(tmp_path, agents) as engine:
        turn = await say(engine, SAID)
        assert await engine._host.scribe.read(lambda store: store.outbox()) == []
        run = await engine.run("default", turn.turn_id)
        assert "recall" not in run.decisions
        assert "recall" not in [entry.site for entry in run.tape]


async def test_explain_tells_what_would_be_recalled(tmp_path: Path, agents: Path) -> None:
    async with opened(tmp_path, agents) as engine:
        await say(engine, SAID)
        await learnt(engine)
        session = (await say(engine, "Good morning", new_session=True)).session_id
        explained = await engine.explain("default", "hall", ASKED, session)
        assert explained.memory["kept"][0]["id"] == explained.memory["cited"][0]
        assert (await engine.explain("default", "hall", ASKED)).memory == {}


async def test_health_and_metrics_tell_of_the_reranker(tmp_path: Path, agents: Path) -> None:
    async with opened(tmp_path, agents) as engine:
        await say(engine, SAID)
        await learnt(engine)
        await say(engine, ASKED, new_session=True)
        ranker = next(one for one in await engine.health() if one.name == "reranker")
        assert (ranker.status, ranker.message) == ("ok", "sentences-of-hashing-1 (no model), breaker closed")
        text = engine.memory_metrics().decode()
        assert 'memory_query_total{status="ok"} 2.0' in text
        assert "memory_index_total 2.0" in text
        assert 'memory_rerank_skipped_total{reason="held"} 1.0' in text
        assert "memory_rerank_breaker_state 0.0" in text
        assert "memory_chunk_count 2.0" in text
        assert float(text.partition("\nmemory_index_size_bytes ")[2].split()[0]) > 0.0
