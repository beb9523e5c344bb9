"""Plugins that answer nonsense: a hard rule stays closed, a reply comes without them, and all can be read again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from ruche.engine import Engine
from ruche.plugins.contracts import Draft, Generated, Prompt, Spent, ToolResult, Verdict
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


class Gateway:
    """Answers every call with what it was given."""

    def __init__(self, result: Any) -> None:
        self._result = result

    async def call(self, *_: Any) -> Any:
        return self._result

    async def close(self) -> None:
        return None


def deep(levels: int) -> Any:
    value: Any = 3
    for _ in range(levels):
        value = {"left": [value]}
    return value


@pytest.mark.anyio
@pytest.mark.parametrize("result", [
    None, "3", ToolResult(status="odd", value={"left": 3}), ToolResult(status="ok", value={"left": HALF}),  # type: ignore[arg-type]
    ToolResult(status="ok", value={"left": b"3"}), ToolResult(status="ok", value={"left": float("nan")}),
    ToolResult(status="ok", value={"left": object()}), ToolResult(status="ok", value={1: 3}),
    ToolResult(status="ok", value={"left": 1 << 80}), ToolResult(status="ok", value={"left": {3}}),
    ToolResult(status="ok", value={"left": "x" * 2_000_000}), ToolResult(status="ok", value=deep(200)),
    ToolResult(status="ok", value=deep(3000)), ToolResult(status="ok", value={"left": 3}, ms="slow"),  # type: ignore[arg-type]
    ToolResult(status="error", error=HALF)], ids=range(15))
async def test_a_gateway_that_gives_nonsense_costs_its_own_call(tmp_path: Path, agents: Path, result: Any) -> None:
    (agents / "hall" / "rules.yaml").write_text(
        "- {id: stock, if: asks about the stock, examples: [how many are left], then: 'We have {{ left }}.', "
        "tools: [stock]}\n")
    (agents / "hall" / "tools.yaml").write_text(
        "- {id: stock, description: How many are left, python: 'stock.py:stock', outputs: {left: left}, "
        "parameters: {type: object, properties: {}}}\n")
    (agents / "hall" / "stock.py").write_text("def stock():\n    return {'left': 3}\n")
    async with Engine.open(tmp_path / "data", agents=agents, embedder=HashingEmbedder(),
                           tools=Gateway(result)) as engine:
        turn = await engine.chat(agent="hall", user="desk", message="How many are left?")
        assert (turn.reply, turn.status) == ("I could not do that just now.", "complete")
        [run] = (await engine.runs("default")).items
        assert [(call.name, call.status) for call in run.tools] == [("stock", "error")]
        assert (await engine.replay("default", run.id)).difference is None
