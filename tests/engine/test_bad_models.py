"""Models that are not fit, texts that nobody expects, and a device that goes away: the turn ends all the same."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.tinybert import SMALL, tokenizer, write_folder
from ruche.engine import Engine
from ruche.engine.config import read_settings
from ruche.plugins.errors import ConfigurationError, InvalidRequest
from tests.retrieval.test_folder_embedder import model

pytestmark = pytest.mark.anyio

RULES = """
- {id: hours, if: the visitor asks about the opening hours, then: We open at nine.}
- {id: price, if: the visitor asks about the price of a ticket, then: A ticket is nine euros.}
"""
PAGES = {"a.md": "# Cloakroom\n\nCoats are kept for free.", "b.md": "# Garden\n\nThe garden is open in summer.",
         "c.md": "# Shop\n\nThe shop sells cards."}


class Gone:
    """A session whose device was taken away: every run fails, as ONNX Runtime's does then."""

    def __init__(self, provider: str = "CPUExecutionProvider") -> None:
        self.provider = provider

    def run(self, *_: Any, **__: Any) -> Any:
        raise RuntimeError("CUDA failure 999: device lost")

    def get_providers(self) -> list[str]:
        return [self.provider]


@pytest.fixture
def models(tmp_path: Path) -> dict[str, Any]:
    """A small embedder and a small cross-encoder, real ones of random weights."""
    embedder = tmp_path / "embedder"
    embedder.mkdir()
    (embedder / "model.onnx").write_bytes(model().SerializeToString(deterministic=True))
    tokenizer(SMALL).save(str(embedder / "tokenizer.json"))
    cross = write_folder(tmp_path / "cross", SMALL)
    return {"embedder": "folder", "embedder_path": embedder, "embedder_threshold": 0.01, "reranker_path": cross,
            "rerank_timeout_ms": 10_000, "device": "cpu"}


@asynccontextmanager
async def opened(root: Path, models: dict[str, Any], environment: dict[str, str] | None = None,
                 ) -> AsyncIterator[Engine]:
    folder = root / "agents" / "hall"
    if not folder.exists():
        (folder / "knowledge").mkdir(parents=True)
        (folder / "agent.yaml").write_text("name: Hall\nmemory: true\n")
        (folder / "rules.yaml").write_text(RULES)
        for name, text in PAGES.items():
            (folder / "knowledge" / name).write_text(text)
    settings = read_settings(environment=environment or {}, data=root / "data", agents=root / "agents", samples=False,
                             models=models)
    async with Engine.open(settings=settings) as engine:
        yield engine


async def said(engine: Engine, text: str) -> Any:
    turn = await engine.chat(agent="hall", user="ada", message=text, channel="api")
    return await engine.run("default", turn.turn_id)


@pytest.mark.parametrize("text", [
    "tickets " * 1_250, "\U0001f642", "".join(chr(start) for start in range(0x100, 0x3100, 0x130)),
    "\x00\x01\x02\x1b[31m\x7f", "\u202e\u200d\ufeff", "e\u0301" * 300, "?" * 5_000])
async def test_a_turn_about_any_text_ends(tmp_path: Path, models: dict[str, Any], text: str) -> None:
    async with opened(tmp_path, models) as engine:
        run = await said(engine, text)
        assert run.reply
        assert "fault" not in run.decisions["retrieve"]


async def test_a_text_of_a_megabyte_is_refused_with_the_limit(tmp_path: Path, models: dict[str, Any]) -> None:
    async with opened(tmp_path, models) as engine:
        with pytest.raises(InvalidRequest, match="10,000 characters"):
            await said(engine, "tickets " * 125_000)


async def test_models_that_cannot_run_any_more_cost_their_own_results_and_the_turns_go_on(
        tmp_path: Path, models: dict[str, Any]) -> None:
    async with opened(tmp_path, models) as engine:
        host: Any = engine._host
        embedder, reranker = host.retriever.embedder, host.recalling.reranking.reranker
        before = await said(engine, "when do you open")
        assert before.decisions["retrieve"].get("unranked", "") == ""
        reranking, embedding = reranker._session.session, embedder._session.session
        reranker._session.session = Gone()
        for number in range(6):
            run = await said(engine, f"the price of ticket {number}")
            assert run.reply
            assert run.decisions["retrieve"].get("unranked") in ("failed", "open")
        told = next(one for one in await engine.health() if one.name == "reranker")
        assert told.status == "degraded"
        assert "breaker open" in told.message
        embedder._session.session = Gone()
        run = await said(engine, "something never said before")
        assert run.reply
        assert "embedder failed" in run.decisions["retrieve"]["fault"]
        embedder._session.session, reranker._session.session = embedding, reranking
        assert "fault" not in (await said(engine, "something else never said before")).decisions["retrieve"]


async def test_when_the_gpu_goes_away_models_go_on_on_the_cpu_with_the_same_answers(
        tmp_path: Path, models: dict[str, Any]) -> None:
    async with opened(tmp_path, models) as engine:
        host: Any = engine._host
        embedder, reranker = host.retriever.embedder, host.recalling.reranking.reranker
        vector, scores = embedder.encode(["when do you open"])[0], reranker.score("when", ["at nine", "never"])
        embedder._session.session = Gone("CUDAExecutionProvider")
        reranker._session.session = Gone("CUDAExecutionProvider")
        run = await said(engine, "when do you open")
        assert run.reply
        assert "fault" not in run.decisions["retrieve"]
        assert run.decisions["retrieve"].get("unranked", "") == ""
        assert (embedder.encode(["when do you open"])[0] == vector).all()
        assert reranker.score("when", ["at nine", "never"]) == scores
        assert {embedder.provider, reranker.provider} == {"CPUExecutionProvider"}


@pytest.mark.parametrize(("spoil", "why"), [
    (lambda folder: (folder / "model.onnx").unlink(), "no model.onnx"),
    (lambda folder: (folder / "tokenizer.json").unlink(), "no tokenizer.json"),
    (lambda folder: write_folder(folder, SMALL, ids="token_numbers"), "token_numbers"),
])
async def test_a_reranker_that_is_not_fit_costs_its_order_and_is_told(
        tmp_path: Path, models: dict[str, Any], spoil: Any, why: str) -> None:
    spoil(models["reranker_path"])
    async with opened(tmp_path, models) as engine:
        run = await said(engine, "when do you open")
        assert run.reply
        told = next(one for one in await engine.health() if one.name == "reranker")
        assert told.status == "degraded"
        assert why in told.message


async def test_a_reranker_of_another_hash_is_not_used(tmp_path: Path, models: dict[str, Any]) -> None:
    async with opened(tmp_path, {**models, "reranker_sha256": "0" * 64}) as engine:
        assert (await said(engine, "when do you open")).reply
        told = next(one for one in await engine.health() if one.name == "reranker")
        assert "SHA-256" in told.message


def replaced(**other: Any) -> Any:
    return lambda folder: (folder / "model.onnx").write_bytes(model(**other).SerializeToString())


@pytest.mark.parametrize(("spoil", "more", "why"), [
    (lambda folder: (folder / "model.onnx").unlink(), {}, "no model.onnx"),
    (lambda folder: (folder / "tokenizer.json").unlink(), {}, "no tokenizer.json"),
    (lambda folder: None, {"embedder_sha256": "0" * 64}, "SHA-256"),
    (replaced(ids="token_numbers"), {}, "token_numbers"),
    (replaced(fill=float("nan")), {}, "not finite"),
])
async def test_an_embedder_that_is_not_fit_is_refused_at_the_start(
        tmp_path: Path, models: dict[str, Any], spoil: Any, more: dict[str, Any], why: str) -> None:
    spoil(models["embedder_path"])
    with pytest.raises(ConfigurationError, match=why):
        async with opened(tmp_path, {**models, **more}):
            pass


class Confused:
    """A session whose every number is one that is none."""

    def __init__(self, session: Any) -> None:
        self._session = session

    def run(self, *words: Any, **named: Any) -> Any:
        return [np.full_like(values, np.nan) for values in self._session.run(*words, **named)]

    def get_providers(self) -> list[str]:
        return list(self._session.get_providers())


async def test_numbers_that_are_none_cost_a_models_own_result_and_the_turn_ends(
        tmp_path: Path, models: dict[str, Any]) -> None:
    async with opened(tmp_path, models) as engine:
        host: Any = engine._host
        embedder, reranker = host.retriever.embedder, host.recalling.reranking.reranker
        reranker._session.session = Confused(reranker._session.session)
        run = await said(engine, "when do you open")
        assert run.reply
        assert run.decisions["retrieve"]["unranked"] == "failed"
        embedder._session.session = Confused(embedder._session.session)
        run = await said(engine, "something never said before")
        assert run.reply
        assert "not finite" in run.decisions["retrieve"]["fault"]


async def test_knowledge_of_a_megabyte_without_an_end_of_line_is_cut_and_searched(
        tmp_path: Path, models: dict[str, Any]) -> None:
    async with opened(tmp_path, models) as engine:
        assert (await said(engine, "when do you open")).reply
    (tmp_path / "agents" / "hall" / "knowledge" / "long.md").write_text("coats are kept " * 70_000)
    async with opened(tmp_path, models) as engine:
        run = await said(engine, "are coats kept")
        assert run.reply
        assert "fault" not in run.decisions["retrieve"]


async def test_the_flag_leaves_every_order_as_the_search_has_it(tmp_path: Path, models: dict[str, Any]) -> None:
    environment = {"RUCHE_MODELS__RERANK_ENABLED": "false"}
    async with opened(tmp_path, models, environment) as engine:
        run = await said(engine, "when do you open")
        assert not [entry.site for entry in run.tape if entry.site.startswith("rerank")]
        told = next(one for one in await engine.health() if one.name == "reranker")
        assert (told.status, told.message) == ("ok", "switched off")
    async with opened(tmp_path, models) as engine:
        run = await said(engine, "when do you open")
        assert [entry.site for entry in run.tape if entry.site.startswith("rerank")]


async def test_memories_of_another_model_are_read_with_the_new_one(tmp_path: Path, models: dict[str, Any]) -> None:
    async def recalled() -> Any:
        async with opened(tmp_path, models) as engine:
            host: Any = engine._host
            run = await said(engine, "my aunt keeps bees")
            while await host.scribe.read(lambda store: store.outbox()):
                await host.standing.courier.deliver_due()
            turn = await engine.chat(agent="hall", user="ada", message="what about the bees of my aunt?", channel="api",
                                     new_session=True)
            return run, await engine.run("default", turn.turn_id)

    await recalled()
    models["embedder"] = "hashing"
    _, run = await recalled()
    assert not run.decisions["recall"].get("fault")
    assert run.decisions["recall"]["considered"] >= 2
