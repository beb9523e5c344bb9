"""Plugins that answer nonsense: a hard rule stays closed, a reply comes without them, and all can be read again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from ruche.engine import Engine
from ruche.plugins.contracts import Draft, Generated, Prompt, Spent, Verdict
from ruche.plugins.embedders import HashingEmbedder
from ruche.storage.model.rule import Rule

HALF = "half \ud800 of it"
AUTHORED = "We open at nine."


@pytest.fixture
def agents(tmp_path: Path) -> Path:
    folder = tmp_path / "agents" / "hall"
    folder.mkdir(parents=True)
    (folder / "agent.yaml").write_text("name: Hall\nunmatched: Sorry.\n")
    (folder / "rules.yaml").write_text(
        "- {id: hours, if: asks about the opening hours, examples: [when do you open], then: We open at nine.}\n"
        "- {id: strict, if: a reply, then: Be strict, hard: true, templates: [instead], enforce: {use: odd}}\n")
    (folder / "templates.yaml").write_text("- {id: instead, mode: fallback, text: A colleague will answer.}\n")
    return tmp_path / "agents"


class Odd:
    """Says of the fallback that it is fine, and of everything else what it was given to say."""

    name = "odd"
    monotone = True

    def __init__(self, answer: Any) -> None:
        self._answer = answer

    def prepare(self, rule: Rule) -> None:
        return None

    def check(self, draft: Draft, rule: Rule, prepared: Any) -> Any:
        return Verdict(outcome="pass") if draft.text == "A colleague will answer." else self._answer


@pytest.mark.anyio
@pytest.mark.parametrize("answer", [
    "fine", None, True, Verdict(outcome="maybe"), Verdict(outcome=None), Verdict(outcome="PASS"),  # type: ignore[arg-type]
    Verdict(outcome="pass", reason=HALF), Verdict(outcome="pass", reason=b"x"),  # type: ignore[arg-type]
    Verdict(outcome="pass", span=("a", "b")), Verdict(outcome="pass", span=(1, 2, 3))])  # type: ignore[arg-type]
async def test_a_hard_rule_counts_every_verdict_that_is_none_as_broken(tmp_path: Path, agents: Path,
                                                                      answer: Any) -> None:
    async with Engine.open(tmp_path / "data", agents=agents, embedder=HashingEmbedder(),
                           enforcers={"odd": Odd(answer)}) as engine:
        turn = await engine.chat(agent="hall", user="desk", message="When do you open?")
        assert (turn.reply, turn.status) == ("A colleague will answer.", "blocked")
        [run] = (await engine.runs("default")).items
        assert [(one.rule, one.severity) for one in run.enforcement.violations] == [("strict", "hard")]


class Speaker:
    """Generates what it was given; streams it in one piece."""

    name = "speaker"

    def __init__(self, made: Any, pieces: tuple[Any, ...] = ()) -> None:
        self._made, self._pieces = made, pieces

    async def generate(self, prompt: Prompt) -> Any:
        await asyncio.sleep(0)
        return self._made

    async def stream(self, prompt: Prompt) -> AsyncIterator[Any]:
        for piece in self._pieces or (self._made,):
            yield piece


NONSENSE = [
    Speaker(42), Speaker(None), Speaker(b"bytes"), Speaker(HALF), Speaker(Generated(text=HALF), (HALF,)),
    Speaker(Generated(text=b"bytes"), (b"bytes",)),  # type: ignore[arg-type]
    Speaker(Generated(text="x" * 20_000_000), ("x" * 20_000_000,)),
    Speaker(Generated(text="fine", input_tokens="many"), (Spent("many", 1),)),  # type: ignore[arg-type]
    Speaker(Generated(text="fine", output_tokens=-1), (Spent(1, -1),)),
    Speaker(Generated(text="fine", cost=float("nan")), (Spent(1, 1, float("nan")),)),
    Speaker(Generated(text=""), ("",))]


@pytest.mark.anyio
@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("speaker", NONSENSE, ids=range(len(NONSENSE)))
async def test_a_generator_that_gives_nonsense_costs_style_and_not_the_reply(tmp_path: Path, agents: Path,
                                                                             speaker: Speaker, streamed: bool) -> None:
    (agents / "hall" / "rules.yaml").write_text(
        "- {id: hours, if: asks about the opening hours, examples: [when do you open], then: We open at nine.}\n"
        "- {id: fine, if: a reply, then: Be fine, hard: true, enforce: {use: odd}}\n")
    judge = Odd(Verdict(outcome="pass"))
    judge.monotone = streamed
    (agents / "hall" / "agent.yaml").write_text("name: Hall\nmodels: {generator: speaker}\n")
    async with Engine.open(tmp_path / "data", agents=agents, embedder=HashingEmbedder(),
                           generator=lambda models: speaker, enforcers={"odd": judge}) as engine:
        for _ in range(2):
            turn = await engine.chat(agent="hall", user="desk", message="When do you open?")
            assert (turn.reply, turn.status) == (AUTHORED, "complete")
        assert [run.reply for run in (await engine.runs("default")).items] == [AUTHORED, AUTHORED]
