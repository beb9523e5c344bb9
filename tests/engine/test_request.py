"""What a host program may say: whatever is let in can be kept and read for ever."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any, get_type_hints

import msgspec
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from ruche.engine import Engine
from ruche.engine.request import METADATA_DEPTH, Request, Said
from ruche.plugins.embedders import HashingEmbedder
from ruche.plugins.errors import InvalidRequest
from ruche.storage.model.conversation import Message

GOOD: dict[str, Any] = {"agent": "hall", "user": "desk", "message": "When do you open?"}
HALF = "a \ud800 b"


def deep(levels: int) -> Any:
    return {} if levels == 1 else {"in": deep(levels - 1)}


UNFIT = [("message", b"bytes"), ("message", 3), ("message", None), ("message", HALF), ("user", 7), ("user", HALF),
         ("agent", b"hall"), ("channel", None), ("tenant", HALF), ("session_id", 3), ("request_id", HALF),
         ("idempotency_key", b"k"), ("fingerprint", 1.5), ("idempotency_key", "k" * 257),
         ("metadata", "text"), ("metadata", {1: "a"}), ("metadata", {"a": object()}), ("metadata", {"a": b"b"}),
         ("metadata", {"a": {"b": {3, 4}}}), ("metadata", {"a": [HALF]}), ("metadata", {HALF: 1}),
         ("metadata", {"a": float("nan")}), ("metadata", {"a": [float("inf")]}), ("metadata", {"a": 1 << 63}),
         ("metadata", {"a": "x" * 8192}), ("metadata", deep(METADATA_DEPTH + 1))]


@pytest.fixture
def agents(tmp_path: Path) -> Path:
    folder = tmp_path / "agents" / "hall"
    folder.mkdir(parents=True)
    (folder / "agent.yaml").write_text("name: Hall\nunmatched: We are here.\n")
    return tmp_path / "agents"


@pytest.mark.parametrize(("name", "value"), UNFIT)
def test_what_could_not_be_kept_is_refused_by_the_name_of_its_keyword(name: str, value: Any) -> None:
    with pytest.raises(InvalidRequest) as refused:
        Request(**GOOD | {name: value}).check()
    assert refused.value.message.startswith(f"{name}: ")
    assert [field["path"] for field in refused.value.details["fields"]] == [name]


def test_a_refusal_repeats_nothing_of_what_was_said() -> None:
    for unfit in ({"message": "my secret \ud800"}, {"metadata": {"my secret": b"my secret"}}):
        with pytest.raises(InvalidRequest) as refused:
            Request(**GOOD | unfit).check()
        assert "secret" not in str(refused.value) + str(refused.value.details)


@pytest.mark.anyio
async def test_a_conversation_goes_on_after_every_refusal_and_can_be_read(tmp_path: Path, agents: Path) -> None:
    async with Engine.open(tmp_path / "data", agents=agents, embedder=HashingEmbedder()) as engine:
        for name, value in UNFIT:
            with pytest.raises(InvalidRequest):
                await engine.chat(**GOOD | {name: value})
        assert (await engine.chat(**GOOD)).reply == "We are here."
    async with Engine.open(tmp_path / "data", agents=agents, embedder=HashingEmbedder()) as engine:
        assert (await engine.chat(**GOOD, metadata=deep(METADATA_DEPTH))).reply == "We are here."
        assert [len(one.history) for one in (await engine.sessions("default")).items] == [2]


@pytest.mark.anyio
@pytest.mark.parametrize("unfit", [{"at_ms": 1.5}, {"at_ms": "soon"}, {"at_ms": -1}, {"at_ms": 1 << 62},
                                   {"message": b"later"}, {"metadata": "x"}, {"id": "n" * 250},
                                   {"metadata": {"a": "x" * 8180}}])
async def test_a_follow_up_that_could_never_be_said_is_refused_when_it_is_set(tmp_path: Path, agents: Path,
                                                                              unfit: dict[str, Any]) -> None:
    async with Engine.open(tmp_path / "data", agents=agents, embedder=HashingEmbedder()) as engine:
        with pytest.raises(InvalidRequest):
            await engine.follow_up(**{"at_ms": 1, **GOOD, **unfit})
        assert (await engine.follow_up(4_000_000_000_000, **GOOD)) != ""


def test_the_keywords_that_types_know_are_those_that_are_taken() -> None:
    assert list(get_type_hints(Said)) == [field.name for field in fields(Request)]


PLAIN = st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
                     lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner), max_leaves=8)


@settings(deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
@given(st.dictionaries(st.text(), PLAIN, max_size=3))
def test_metadata_that_is_let_in_comes_back_from_disk_as_it_was(metadata: dict[str, Any]) -> None:
    try:
        Request(**GOOD, metadata=metadata).check()
    except InvalidRequest:
        assume(False)
    message = Message(id="m", text="t", at_ms=1, metadata=metadata)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(message), type=Message) == message


@pytest.mark.anyio
async def test_what_people_write_down_about_a_conversation_can_be_read_again_as_well(tmp_path: Path,
                                                                                    agents: Path) -> None:
    async with Engine.open(tmp_path / "data", agents=agents, embedder=HashingEmbedder()) as engine:
        turn = await engine.chat(**GOOD)
        await engine.intervene("default", turn.session_id, "takeover", by="op")
        for unfit in ({"text": HALF}, {"text": b"x"}, {"by": 3}, {"by": HALF}, {"minutes": "3"}, {"minutes": 1.5},
                      {"request_id": HALF}, {"idempotency_key": b"k"}):
            with pytest.raises(InvalidRequest):
                await engine.intervene("default", turn.session_id, "reply", **{"by": "op", "text": "hello", **unfit})  # type: ignore[arg-type]
        for unfit in ({"note": HALF}, {"author": 3}, {"subject": b"x"}):
            with pytest.raises(InvalidRequest):
                await engine.advise("default", turn.turn_id, **{"kind": "note", "author": "human:op", **unfit})
        for unfit in ({"reason": HALF}, {"reason": 3}, {"by": b"x"}):
            with pytest.raises(InvalidRequest):
                await engine.hold("default", "desk", held=True, **{"reason": "r", "by": "op", **unfit})  # type: ignore[arg-type]
            with pytest.raises(InvalidRequest):
                await engine.erase("default", "desk", **{"reason": "r", "by": "op", **unfit})  # type: ignore[arg-type]
        for limit in (-3, 0, "x", 1.5):
            for ask in (engine.sessions, engine.runs):
                with pytest.raises(InvalidRequest, match="limit: a whole number from 1"):
                    await ask("default", limit=limit)
        assert (await engine.intervene("default", turn.session_id, "reply", by="op", text="hello")).reply == "hello"
        assert len((await engine.sessions("default")).items) == 1
