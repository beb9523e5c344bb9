"""What a model costs is counted where the endpoint tells; a model that cannot be asked costs the turn nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.model_server import Answer, ModelServer
from ruche.engine import Engine
from ruche.engine.config import Price
from ruche.engine.speakers import Speakers
from ruche.plugins.contracts import Prompt, Spent
from ruche.plugins.embedders import HashingEmbedder
from ruche.plugins.generators import OpenAICompatible
from ruche.plugins.registry import Registry
from tests.brain.agents import RULES
from tests.brain.talk import bundle, talking
from tests.brain.test_judge import judged

pytestmark = pytest.mark.anyio

MODELS = {"judge": None}


async def test_a_streamed_reply_costs_what_the_endpoint_says() -> None:
    async with judged(Answer("We open at 9. Until 17."), rules=tuple(RULES), models=MODELS) as (talk, _):
        run = await talk.say("when do you open?")
        assert len(run.segments) == 2
        assert (run.usage.model_calls, run.usage.input_tokens, run.usage.output_tokens) == (1, 11, 7)


async def test_a_stream_that_does_not_tell_its_cost_counts_as_a_call() -> None:
    async with judged(Answer("We open at 9.", counted=False), rules=tuple(RULES), models=MODELS) as (talk, _):
        run = await talk.say("when do you open?")
        assert (run.usage.model_calls, run.usage.input_tokens, run.usage.output_tokens) == (1, 0, 0)


async def test_the_cost_is_the_last_piece_and_no_text() -> None:
    async with ModelServer(Answer("Hello there.")) as server:
        generator = OpenAICompatible(server.url, "tiny")
        pieces = [piece async for piece in generator.stream(Prompt(instructions="", plan={}))]
        await generator.close()
    assert "".join(pieces) == "Hello there."
    assert [isinstance(piece, Spent) for piece in pieces] == [False] * (len(pieces) - 1) + [True]


KEYLESS = bundle(rules=RULES, agent={"preset": "balanced", "models": {
    "generator": "openai", "url": "http://127.0.0.1:9/v1", "model": "m", "api_key": "A_KEY_THAT_NOBODY_SET"}})


async def test_a_model_without_its_key_is_spoken_for_and_the_turn_says_so() -> None:
    speakers = Speakers(Registry(), {})
    async with talking(KEYLESS, generators=speakers) as talk:
        run = await talk.say("when do you open?")
        assert run.reply == "We are open from 9 to 17."
        assert run.status == "complete"
        assert "A_KEY_THAT_NOBODY_SET" in json.dumps(run.decisions)
        assert run.usage.model_calls == 0


async def test_an_engine_says_at_its_start_which_key_is_missing(tmp_path: Path) -> None:
    folder = tmp_path / "agents" / "desk"
    folder.mkdir(parents=True)
    (folder / "agent.yaml").write_text(
        "name: Desk\nmodels: {generator: openai, model: m, url: 'http://127.0.0.1:9/v1', "
        "api_key: A_KEY_THAT_NOBODY_SET}\n", encoding="utf-8")
    async with Engine.open(tmp_path / "data", agents=tmp_path / "agents", embedder=HashingEmbedder()) as engine:
        assert [notice for notice in engine._host.notices if "A_KEY_THAT_NOBODY_SET" in notice] == [
            "agent desk of tenant default: the variable A_KEY_THAT_NOBODY_SET, which should hold the API key of its "
            "model, is not set; it speaks without the model"]


async def test_an_endpoint_that_is_down_is_stood_in_for_and_the_cost_is_that_of_who_answered() -> None:
    prices = {"dear": Price(input=1000, output=1000), "cheap": Price(input=100, output=10)}
    async with ModelServer(Answer(status=503)) as down, ModelServer(Answer("We open at 9.")) as up:
        speakers = Speakers(Registry(), {}, prices)
        head = {"models": {"generator": "openai", "url": down.url, "model": "dear",
                           "fallbacks": [{"url": up.url, "model": "cheap", "api_key": "NOT_SET"},
                                         {"url": up.url, "model": "cheap"}]}}
        async with talking(bundle(rules=RULES, agent=head), generators=speakers) as talk:
            run = await talk.say("when do you open?")
        await speakers.close()
    assert run.reply == "We open at 9."
    assert (run.usage.model_calls, run.usage.cost) == (1, pytest.approx((11 * 100 + 7 * 10) / 1e6))
    assert len(up.requests) == 1


async def test_a_model_without_a_price_costs_nothing_and_one_that_nobody_counts_is_unknown() -> None:
    async with ModelServer(Answer("We open at 9.")) as server:
        speakers = Speakers(Registry(), {})
        head = {"models": {"generator": "openai", "url": server.url, "model": "tiny"}}
        async with talking(bundle(rules=RULES, agent=head), generators=speakers) as talk:
            assert (await talk.say("when do you open?")).usage.cost == 0.0
        await speakers.close()
    async with talking(bundle(rules=RULES)) as talk:
        assert (await talk.say("when do you open?")).usage.cost is None
