"""What examples taught is kept with the published agent and taken as it is while nothing has changed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ruche.actors.retriever import Retriever
from ruche.actors.system import ActorSystem
from ruche.engine import Engine
from ruche.engine.cli.main import main
from ruche.engine.config import read_settings
from ruche.plugins.contracts import Hits, Vectors
from ruche.plugins.embedders import HashingEmbedder, MiniLmEmbedder
from ruche.plugins.errors import ProviderFailed
from ruche.storage.index.kept import KeptHead, read_heads
from ruche.storage.model.bundle import AgentBundle

EXAMPLES = {
    "parcel": ("where is my parcel", "it has not come yet", "the box is late"),
    "refund": ("I want my money back", "give me a refund", "send it back"),
    "hours": ("when do you open", "are you open on Sunday", "closing time"),
}


def desk(several: bool | None = None, **more: tuple[str, ...]) -> AgentBundle:
    rules = [{"id": name, "if": f"the user asks about {name}", "then": "so", "examples": examples}
             for name, examples in {**EXAMPLES, **more}.items()]
    return AgentBundle.model_validate({"id": "desk", "agent": {"name": "Desk", "several_rules": several},
                                       "rules": rules})


async def asked(embedder: HashingEmbedder | MiniLmEmbedder, bundle: AgentBundle,
                taught: bytes = b"") -> tuple[bytes, Hits]:
    async with ActorSystem() as system:
        retriever = Retriever(embedder, system)
        learned = await retriever.prepare(bundle, 1, taught=taught)
        return learned, await retriever.retrieve("default", "desk", 1, "my box did not come")


def spoilt(taught: bytes) -> bytes:
    """The same heads with weights of nothing."""
    heads = {kind: msgspec.structs.replace(head, weights=bytes(len(head.weights)))
             for kind, head in read_heads(taught).items()}
    return msgspec.msgpack.encode(heads)


@pytest.mark.anyio
@pytest.mark.parametrize("several", [False, True])
async def test_a_kept_head_scores_to_the_last_digit_like_the_one_that_was_fitted(several: bool) -> None:
    learned, hits = await asked(HashingEmbedder(), desk(several))
    again, others = await asked(HashingEmbedder(), desk(several), learned)
    assert (again, others) == (learned, hits)


@pytest.mark.anyio
async def test_a_kept_head_is_used_and_not_fitted_again() -> None:
    learned, hits = await asked(HashingEmbedder(), desk())
    _, others = await asked(HashingEmbedder(), desk(), spoilt(learned))
    assert others != hits


@pytest.mark.anyio
async def test_what_was_fitted_to_other_examples_or_another_embedder_is_fitted_anew(minilm: MiniLmEmbedder) -> None:
    learned, _ = await asked(HashingEmbedder(), desk())
    changed = desk(hours=("when do you close",))
    assert await asked(HashingEmbedder(), changed, spoilt(learned)) == await asked(HashingEmbedder(), changed)
    assert await asked(minilm, desk(), spoilt(learned)) == await asked(minilm, desk())


@pytest.mark.anyio
async def test_the_same_examples_teach_the_same_bytes() -> None:
    assert (await asked(HashingEmbedder(), desk()))[0] == (await asked(HashingEmbedder(), desk()))[0]


@example(b"\x81\xa4\x00\x00\x00\x80")
@given(st.binary(max_size=60))
def test_bytes_that_hold_no_heads_are_left_aside(content: bytes) -> None:
    assert isinstance(read_heads(content), dict)


@pytest.mark.anyio
@pytest.mark.parametrize("damage", [b"nonsense", msgspec.msgpack.encode({"rule": 3})])
async def test_damaged_heads_are_fitted_anew(damage: bytes) -> None:
    assert await asked(HashingEmbedder(), desk(), damage) == await asked(HashingEmbedder(), desk())


@pytest.mark.anyio
async def test_weights_of_a_wrong_size_are_fitted_anew() -> None:
    learned, hits = await asked(HashingEmbedder(), desk())
    cut = {kind: msgspec.structs.replace(head, weights=head.weights[:-2]) for kind, head in read_heads(learned).items()}
    assert (await asked(HashingEmbedder(), desk(), msgspec.msgpack.encode(cut)))[1] == hits


def heads_of(engine: Engine, version: int) -> dict[str, KeptHead]:
    kept = engine._host.store.tenant("default").agent("desk", version)
    assert kept is not None
    return read_heads(kept.taught)


@pytest.mark.parametrize("command", [True, False])
def test_a_published_agent_carries_its_heads_however_it_is_published(
        command: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ruche.toml").write_text('[models]\nembedder = "hashing"\n')
    folder = tmp_path / "agents" / "desk"
    folder.mkdir(parents=True)
    (folder / "agent.yaml").write_text("name: Desk\n")
    rules = [{"id": rule.id, "if": rule.if_, "then": rule.then, "examples": list(rule.examples)}
             for rule in desk().rules]
    (folder / "rules.yaml").write_text(json.dumps(rules))
    if command:
        with pytest.raises(SystemExit) as end:
            main(["publish", "agents/desk"])
        assert end.value.code == 0
    settings = read_settings(tmp_path / "ruche.toml", data=tmp_path / "data", agents=tmp_path / "agents")
    with Engine.blocking(settings=settings) as engine:
        first = heads_of(engine.engine, 1)
        assert first["rule"].counts == (3, 3, 3)
        assert sorted(first) == ["rule"]


@pytest.mark.anyio
async def test_more_lanes_teach_the_same_bytes(minilm: MiniLmEmbedder) -> None:
    many = desk(song=tuple(f"sing number {number} for me" for number in range(21)))
    taught = []
    for lanes in (1, 2, 3):
        async with ActorSystem() as system:
            taught.append(await Retriever(minilm, system, lanes=lanes).prepare(many, 1))
    assert taught[0] == taught[1] == taught[2] != b""


class Failing(HashingEmbedder):
    """Fails in every lane."""

    immediate, parallel = False, True

    def encode(self, texts: Sequence[str]) -> Vectors:
        raise ValueError("broken")


@pytest.mark.anyio
async def test_a_lane_that_fails_fails_the_preparation_with_its_own_error() -> None:
    async with ActorSystem() as system:
        with pytest.raises(ProviderFailed, match="ValueError"):
            await Retriever(Failing(), system, lanes=3).prepare(desk(), 1)
