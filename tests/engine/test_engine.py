"""The engine inside a host program: with a loop, without one, and what it refuses."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ruche.engine import Engine
from ruche.plugins.embedders import HashingEmbedder
from ruche.plugins.errors import ConfigurationError, DataLocked, InvalidRequest, NotFound

RULES = """
- {id: hours, if: the visitor asks about the opening hours, examples: [when do you open], then: We open at nine.}
"""


@pytest.fixture
def agents(tmp_path: Path) -> Path:
    folder = tmp_path / "agents" / "hall"
    folder.mkdir(parents=True)
    (folder / "agent.yaml").write_text("name: Hall\n")
    (folder / "rules.yaml").write_text(RULES)
    return tmp_path / "agents"


def test_a_host_without_a_loop_chats_streams_and_reads_what_was_kept(tmp_path: Path, agents: Path) -> None:
    with Engine.blocking(tmp_path / "data", agents=agents, embedder=HashingEmbedder()) as engine:
        turn = engine.chat(agent="hall", user="desk", message="When do you open?")
        assert turn.reply == "We open at nine."
        kinds = [event.kind for event in engine.stream(agent="hall", user="desk", message="When do you open?")]
        assert kinds[0] == "turn.accepted"
        assert kinds[-2:] == ["message.segment", "turn.completed"]
        assert engine.call("run", "default", turn.turn_id).reply == turn.reply
        with pytest.raises(NotFound):
            engine.call("run", "another", turn.turn_id)
    with pytest.raises(RuntimeError, match="enter the engine first"):
        Engine.blocking(tmp_path / "data").chat(agent="hall", user="desk", message="x")


def test_leaving_a_stream_early_stops_the_subscription_and_not_the_turn(tmp_path: Path, agents: Path) -> None:
    with Engine.blocking(tmp_path / "data", agents=agents, embedder=HashingEmbedder()) as engine:
        for event in engine.stream(agent="hall", user="desk", message="When do you open?"):
            session = event.session_id
            break
        again = engine.chat(agent="hall", user="desk", message="When do you open?")
        assert again.session_id == session
        assert len(engine.call("runs", "default", session=session).items) == 2
        assert engine.engine.actors()["listeners"] == 0


@pytest.mark.anyio
async def test_a_second_engine_on_the_same_directory_is_refused(tmp_path: Path, agents: Path) -> None:
    async with Engine.open(tmp_path / "data", agents=agents, embedder=HashingEmbedder()):
        with pytest.raises(DataLocked):
            async with Engine.open(tmp_path / "data", agents=agents, embedder=HashingEmbedder()):
                pytest.fail("two engines on one directory")


@pytest.mark.anyio
async def test_data_without_its_root_key_is_refused_and_no_new_key_is_made(tmp_path: Path, agents: Path) -> None:
    async with Engine.open(tmp_path / "data", agents=agents, embedder=HashingEmbedder()) as engine:
        await engine.chat(agent="hall", user="desk", message="When do you open?")
    key = tmp_path / "data" / "keys" / "root.key"
    key.rename(tmp_path / "elsewhere.key")
    with pytest.raises(ConfigurationError, match="root key"):
        async with Engine.open(tmp_path / "data", agents=agents, embedder=HashingEmbedder()):
            pytest.fail("opened without its key")
    assert not key.exists()


@pytest.mark.anyio
async def test_a_broken_agent_folder_stops_the_start_and_says_where(tmp_path: Path, agents: Path) -> None:
    (agents / "hall" / "rules.yaml").write_text("- {id: a, if: x, then: y, wenn: z}\n")
    with pytest.raises(ConfigurationError, match=r"hall/rules\.yaml:1:\d+"):
        async with Engine.open(tmp_path / "data", agents=agents, embedder=HashingEmbedder()):
            pytest.fail("served a broken folder")


@pytest.mark.anyio
@pytest.mark.parametrize(("request_", "error"), [
    ({"agent": "hall", "user": "u", "message": ""}, InvalidRequest),
    ({"agent": "hall", "user": "u", "message": " \n"}, InvalidRequest),
    ({"agent": "hall", "user": "u", "message": "x" * 10_001}, InvalidRequest),
    ({"agent": "hall", "user": "", "message": "x"}, InvalidRequest),
    ({"agent": "nobody", "user": "u", "message": "x"}, NotFound),
    ({"agent": "hall", "user": "u", "message": "x", "tenant": "other"}, NotFound),
    ({"agent": "hall", "user": "u", "message": "x", "session_id": "unknown"}, NotFound)])
async def test_what_cannot_be_answered_is_refused_and_leaves_nothing(tmp_path: Path, agents: Path,
                                                                    request_: dict[str, str], error: type) -> None:
    async with Engine.open(tmp_path / "data", agents=agents, embedder=HashingEmbedder()) as engine:
        with pytest.raises(error):
            await engine.chat(**request_)
        assert (await engine.sessions("default")).items == ()


def test_importing_the_engine_loads_none_of_its_heavy_parts() -> None:
    heavy = "duckdb", "onnxruntime", "aiohttp", "numpy", "tokenizers"
    code = f"import sys, ruche.engine; print([name for name in {heavy} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert found.strip() == "[]"
