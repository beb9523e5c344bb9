"""What is explained is what a turn then does."""

from __future__ import annotations

from pathlib import Path

import pytest

from ruche.engine import Engine
from ruche.engine.authoring.samples import sample_folder
from ruche.engine.config import read_settings
from ruche.plugins.errors import InvalidRequest, NotFound

pytestmark = pytest.mark.anyio

TEXTS = {
    "kiosk": ("When do you open?", "where can I get a coffee", "may I use my camera", "hello", "zzz",
              "toilet and tickets"),
    "frontdesk": ("I need a table for four at Lucca", "at 7 pm", "my name is Omar Haddad", "what is my balance?", "no"),
}


@pytest.mark.parametrize("agent", TEXTS)
async def test_a_turn_applies_the_rules_and_moves_the_scenarios_that_were_explained(agent: str, tmp_path: Path) -> None:
    settings = read_settings(environment={}, data=tmp_path, agents=sample_folder(agent), models={"embedder": "hashing"})
    async with Engine.open(settings=settings) as engine:
        session: str | None = None
        for text in TEXTS[agent]:
            explained = await engine.explain("default", agent, text, session)
            turn = await engine.chat(agent=agent, message=text, user="ada")
            session = turn.session_id
            applied = [rule.id for rule in explained.rules if rule.verdict == "applied"]
            assert [(rule.id, rule.score) for rule in turn.rules] == [
                (rule.id, rule.score) for rule in explained.rules if rule.id in applied]
            assert {move.id for move in turn.scenarios} == {one.id for one in explained.scenarios if one.actions}
            assert len(explained.rules) == len({rule.id for rule in explained.rules})


async def test_what_is_not_there_cannot_be_explained(tmp_path: Path) -> None:
    settings = read_settings(environment={}, data=tmp_path, agents=sample_folder("kiosk"),
                             models={"embedder": "hashing"})
    async with Engine.open(settings=settings) as engine:
        with pytest.raises(NotFound):
            await engine.explain("default", "nobody", "hello")
        with pytest.raises(NotFound):
            await engine.explain("default", "kiosk", "hello", "unknown")
        with pytest.raises(InvalidRequest):
            await engine.explain("default", "kiosk", " ")
