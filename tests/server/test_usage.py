"""What a tenant's models used, over HTTP: counted from the records, by day and agent."""

from __future__ import annotations

import asyncio
import io
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bench.model_server import Answer, ModelServer
from tests.server.served import served

pytestmark = pytest.mark.anyio


async def test_tokens_and_cost_are_counted_by_day_and_agent_and_survive_a_restart(tmp_path: Path) -> None:
    async with ModelServer(Answer("Hello.")) as server:
        folder = tmp_path / "agents" / "desk"
        folder.mkdir(parents=True)
        (folder / "agent.yaml").write_text(
            f"name: Desk\nmodels: {{generator: openai, url: '{server.url}', model: tiny, max_tokens: 20}}\n")
        (folder / "rules.yaml").write_text(
            "- {id: r, if: Somebody says hello, then: Hello., examples: [hello there], hard: true, "
            "enforce: {use: length, options: {min_words: 1}}}\n")

        def talk(turns: int) -> Any:
            with served(tmp_path / "data", tmp_path / "agents", io.StringIO(),
                        models={"embedder": "hashing", "prices": {"tiny": {"input": 1.0, "output": 2.0}}}) as site:
                for _ in range(turns):
                    assert site.chat("hello there", site.token(), agent="desk").status == 200
                operator = site.token("operator")
                today = datetime.now(UTC).date()
                long = f"/v1/admin/usage?from={today - timedelta(days=40)}&to={today}"
                assert [site.request("GET", path, token=operator).status for path in (
                    long, f"/v1/admin/usage?from={today}&to={today - timedelta(days=1)}",
                    "/v1/admin/usage?from=yesterday")] == [422, 422, 422]
                rival = site.request("GET", "/v1/admin/usage", token=site.token("operator", tenant="rival")).json
                assert rival["items"] == []
                path = f"/v1/admin/usage?from={today - timedelta(days=1)}&to={today + timedelta(days=1)}"
                return site.request("GET", path, token=operator).json

        first = await asyncio.to_thread(talk, 2)
        again = await asyncio.to_thread(talk, 1)
        for shown, turns in ((first, 2), (again, 3)):
            assert (shown["turns"], shown["model_calls"]) == (turns, turns)
            assert (shown["input_tokens"], shown["output_tokens"]) == (11 * turns, 7 * turns)
            assert shown["cost"] == pytest.approx((11 * turns + 2 * 7 * turns) / 1e6)
            assert {one["agent_id"] for one in shown["items"]} == {"desk"}


async def test_a_turn_keeps_the_price_that_it_was_made_at(tmp_path: Path) -> None:
    async with ModelServer(Answer("Hello.")) as server:
        folder = tmp_path / "agents" / "desk"
        folder.mkdir(parents=True)
        (folder / "agent.yaml").write_text(
            f"name: Desk\nmodels: {{generator: openai, url: '{server.url}', model: tiny}}\n")
        (folder / "rules.yaml").write_text("- {id: r, if: Somebody says hello, then: Hi., examples: [hello there]}\n")

        def talk(prices: dict[str, Any]) -> float:
            with served(tmp_path / "data", tmp_path / "agents", io.StringIO(),
                        models={"embedder": "hashing", "prices": prices}) as site:
                assert site.chat("hello there", site.token(), agent="desk").status == 200
                today = datetime.now(UTC).date()
                path = f"/v1/admin/usage?from={today - timedelta(days=1)}&to={today + timedelta(days=1)}"
                return float(site.request("GET", path, token=site.token("operator")).json["cost"])

        costs = [await asyncio.to_thread(talk, prices) for prices in (
            {}, {"tiny": {"input": 100, "output": 200}}, {"tiny": {"input": 1000, "output": 0}}, {})]
    first, second = (11 * 100 + 7 * 200) / 1e6, 11 * 1000 / 1e6
    assert costs == pytest.approx([0, first, first + second, first + second])
