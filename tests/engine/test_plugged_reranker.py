"""A reranker of somebody else's, named in the settings: it orders what was found, and costs its own order only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ruche.engine import Engine
from ruche.engine.cli.main import main
from ruche.engine.config import read_settings
from ruche.plugins.embedders import HashingEmbedder
from ruche.plugins.errors import ConfigurationError
from ruche.plugins.rerankers import open_reranker
from tests.engine.test_installed import Site, site

__all__ = ["site"]

RERANKER = """
class Longest:
    name = "longest"

    def score(self, query, passages):
        {score}


class Half:
    name = "half"
"""
PAGES = {"a.md": "# Coats\n\nCoats are kept.", "b.md": "# Coats\n\nCoats are kept in the hall, for free, all day."}


@pytest.fixture
def agents(tmp_path: Path) -> Path:
    folder = tmp_path / "agents" / "hall"
    (folder / "knowledge").mkdir(parents=True)
    (folder / "agent.yaml").write_text("name: Hall\nknowledge_threshold: 0.01\n")
    for name, text in PAGES.items():
        (folder / "knowledge" / name).write_text(text)
    return folder.parent


async def turned(agents: Path, name: str) -> tuple[Any, Any]:
    """The run of a turn, and what is told of the reranker."""
    settings = read_settings(environment={}, data=agents.parent / "data", agents=agents, samples=False,
                             models={"reranker": name})
    async with Engine.open(settings=settings, embedder=HashingEmbedder()) as engine:
        turn = await engine.chat(agent="hall", user="ada", message="are coats kept", channel="api")
        told = next(one for one in await engine.health() if one.name == "reranker")
        return await engine.run("default", turn.turn_id), told


@pytest.mark.anyio
async def test_a_plugin_orders_what_was_found(site: Site, agents: Path) -> None:
    source = RERANKER.format(score="return [len(one) for one in passages]")
    site.install("order_pkg", source, reranker_longest="Longest")
    run, told = await turned(agents, "longest")
    assert sorted(run.decisions["retrieve"]["ranked"]) == [0, 1]
    assert "unranked" not in run.decisions["retrieve"]
    assert (told.status, told.message) == ("ok", "longest (no model of its own), breaker closed")


@pytest.mark.anyio
@pytest.mark.parametrize(("package", "score", "why"), [
    ("short_pkg", "return [1.0]", "no finite score for each passage"),
    ("gone_pkg", "raise OSError('gone')", "OSError")])
async def test_one_that_answers_nonsense_costs_its_order(
        site: Site, agents: Path, package: str, score: str, why: str) -> None:
    site.install(package, RERANKER.format(score=score), reranker_longest="Longest")
    run, told = await turned(agents, "longest")
    assert run.reply
    assert told.status == "degraded"
    assert why in told.message


@pytest.mark.anyio
async def test_one_that_is_not_there_is_told_and_nothing_is_reranked(agents: Path) -> None:
    run, told = await turned(agents, "nowhere")
    assert run.reply
    assert told.status == "degraded"
    assert "there is no reranker called nowhere" in told.message


def test_one_that_lacks_a_part_is_refused(site: Site) -> None:
    site.install("half_pkg", RERANKER.format(score="return []"), reranker_half="Half")
    with pytest.raises(ConfigurationError, match="half lacks a part of the contract; it needs name and score"):
        open_reranker(read_settings(environment={}, models={"reranker": "half"}).models, HashingEmbedder())


def test_installed_rerankers_are_listed(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    site.install("listed_pkg", RERANKER.format(score="return []"), reranker_listed="Longest")
    with pytest.raises(SystemExit) as end:
        main(["plugins"])
    assert end.value.code == 0
    assert "listed" in capsys.readouterr().out
