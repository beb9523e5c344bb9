"""What goes wrong in a host program is told in words that say what to change, and costs the host nothing else."""

from __future__ import annotations

import gc
import subprocess
import sys
import weakref
from pathlib import Path
from typing import Any

import duckdb
import pytest

from ruche.engine import Engine
from ruche.plugins.embedders import HashingEmbedder
from ruche.plugins.errors import ConfigurationError, Unavailable

SAID = {"agent": "hall", "user": "desk", "message": "When do you open?"}


@pytest.fixture
def agents(tmp_path: Path) -> Path:
    folder = tmp_path / "agents" / "hall"
    folder.mkdir(parents=True)
    (folder / "agent.yaml").write_text("name: Hall\nunmatched: We are here.\n")
    return tmp_path / "agents"


class Half:
    """Has a name, and nothing else of any contract."""

    name = "half"


@pytest.mark.anyio
@pytest.mark.parametrize(("parts", "words"), [
    ({"embedder": 3}, "embedder: a int is no Embedder .*: it lacks name, dimensions, rule_threshold, encode"),
    ({"embedder": Half()}, "embedder: a Half is no Embedder .*: it lacks dimensions, rule_threshold, encode"),
    ({"embedder": HashingEmbedder}, r"embedder: an object is wanted here, not a class; write HashingEmbedder\(\)"),
    ({"brain": Half()}, "brain: .* it lacks think"),
    ({"tools": Half()}, "tools: .* it lacks call, close"),
    ({"enforcers": {"mine": Half()}}, "enforcers, mine: .* it lacks monotone, prepare, check"),
    ({"enforcers": [Half()]}, "enforcers: a dict of names and enforcers"),
    ({"generator": Half()}, "write generator=lambda models: your_generator"),
    ({"decider": "queue"}, "decider: a function is wanted here"), ({"clock_ms": 0}, "clock_ms: a function"),
    ({"entropy": b"x"}, "entropy: a function")])
async def test_a_part_that_is_none_is_refused_before_anything_starts(tmp_path: Path, parts: dict[str, Any],
                                                                    words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        async with Engine.open(tmp_path / "data", **parts):
            pytest.fail("started with a part that cannot work")
    assert not (tmp_path / "data").exists()


@pytest.mark.anyio
@pytest.mark.parametrize("name", ["a file", "a file/below", "back\\slash", "x" * 300])
async def test_a_place_that_cannot_hold_data_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / "a file").write_text("here already")
    with pytest.raises(ConfigurationError) as refused:
        async with Engine.open(tmp_path / name):
            pytest.fail("opened where nothing can be kept")
    assert name in refused.value.message


@pytest.mark.anyio
async def test_an_empty_name_is_not_taken_for_the_current_directory() -> None:
    with pytest.raises(ConfigurationError, match=r'write "\."'):
        async with Engine.open(""):
            pytest.fail("opened the current directory")


@pytest.mark.anyio
async def test_a_second_engine_on_the_same_loop_is_told_where_it_can_run(tmp_path: Path) -> None:
    async with Engine.open(tmp_path / "one", embedder=HashingEmbedder()):
        with pytest.raises(ConfigurationError, match=r"open a second engine with Engine\.blocking"):
            async with Engine.open(tmp_path / "two", embedder=HashingEmbedder()):
                pytest.fail("two engines on one loop")


def test_two_engines_answer_side_by_side_on_loops_of_their_own(tmp_path: Path, agents: Path) -> None:
    with (Engine.blocking(tmp_path / "one", agents=agents, embedder=HashingEmbedder()) as one,
          Engine.blocking(tmp_path / "two", agents=agents, embedder=HashingEmbedder()) as two):
        assert [each.chat(**SAID).reply for each in (one, two)] == ["We are here."] * 2


def test_a_closed_engine_says_so_and_opens_again(tmp_path: Path, agents: Path) -> None:
    engine = Engine.blocking(tmp_path / "data", agents=agents, embedder=HashingEmbedder())
    with engine:
        left = engine.stream(**SAID)
        assert next(left).kind == "turn.accepted"
        never = engine.stream(**SAID)
    left.close()
    for use in (lambda: engine.chat(**SAID), lambda: next(never), lambda: engine.call("health")):
        with pytest.raises(Unavailable, match="was closed; open it again"):
            use()
    with engine:
        assert engine.chat(**SAID).reply == "We are here."


def test_an_engine_that_is_entered_twice_goes_on_where_it_was_entered_first(tmp_path: Path, agents: Path) -> None:
    engine = Engine.blocking(tmp_path / "data", agents=agents, embedder=HashingEmbedder())
    with engine:
        with pytest.raises(Exception, match="in use by process"), engine:
            pytest.fail("entered twice")
        assert engine.chat(**SAID).reply == "We are here."


def test_a_host_that_keeps_its_closed_engine_keeps_no_store_in_memory(tmp_path: Path, agents: Path) -> None:
    with Engine.blocking(tmp_path / "data", agents=agents, embedder=HashingEmbedder()) as engine:
        engine.chat(**SAID)
        behind = weakref.ref(engine.engine)
    gc.collect()
    assert behind() is None


def test_a_host_that_keeps_the_engine_behind_keeps_no_connection(tmp_path: Path, agents: Path) -> None:
    """The tables' library complains at the end of a program, of connections that somebody still holds."""
    def connections() -> int:
        gc.collect()
        return sum(isinstance(one, duckdb.DuckDBPyConnection) for one in gc.get_objects())

    before = connections()
    with Engine.blocking(tmp_path / "data", agents=agents, embedder=HashingEmbedder()) as engine:
        kept = engine.engine
        engine.chat(**SAID)
        assert connections() > before
    assert connections() == before
    assert kept.settings.data == tmp_path / "data"


FORK = """
import os
from ruche.engine import Engine
from ruche.plugins.errors import StorageStopped

SAID = {"agent": "hall", "user": "desk", "message": "When do you open?"}
with Engine.blocking("data", agents="agents") as engine:
    engine.chat(**SAID)
    if not os.fork():
        try:
            engine.chat(**SAID)
        except StorageStopped as error:
            engine.__exit__(None, None, None)  # as whoever leaves the `with` of its parent
            os._exit(7 if "open one of its own here" in error.message else 1)
    assert os.waitstatus_to_exitcode(os.wait()[1]) == 7
    print(engine.chat(**SAID).reply)
"""


def test_a_forked_child_is_told_so_at_once_and_its_parent_goes_on(tmp_path: Path, agents: Path) -> None:
    done = subprocess.run([sys.executable, "-c", FORK], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.returncode) == ("We are here.\n", 0), done.stderr


FORK_LOOP = """
import asyncio, os
from ruche.engine import Engine
from ruche.plugins.errors import StorageStopped

async def main():
    async with Engine.open("data", agents="agents") as engine:
        if not os.fork():
            try:
                await engine.sessions("default")
            except StorageStopped:
                os._exit(7)
        assert os.waitstatus_to_exitcode(os.wait()[1]) == 7
        print(len((await engine.sessions("default")).items))

asyncio.run(main())
"""


def test_a_child_that_was_forked_on_the_loop_is_told_so_too(tmp_path: Path, agents: Path) -> None:
    done = subprocess.run([sys.executable, "-c", FORK_LOOP], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.returncode) == ("0\n", 0), done.stderr
