"""The same promise while an enforcer, the service that asks it, or any other call of the turn is broken."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from ruche.plugins.contracts import Draft, Prompt, ToolResult, Verdict
from ruche.plugins.errors import ProviderFailed
from tests.brain.talk import Functions, bundle, talking
from tests.brain.test_enforce import NO_MAGIC, SAFE, SPELL, magician

pytestmark = pytest.mark.anyio


class Crashing:
    """An enforcer that dies, hangs on to nonsense, or lies about its verdict."""

    name = "crashing"
    monotone = False

    def __init__(self, answer: Any) -> None:
        self._answer = answer

    def prepare(self, rule: Any) -> None:
        return None

    def check(self, draft: Draft, rule: Any, prepared: Any) -> Any:
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer


@pytest.mark.parametrize("answer", [RuntimeError("dead"), None, "pass", Verdict(outcome="error")])
async def test_an_enforcer_that_crashes_or_answers_nonsense_fails_closed(answer: Any) -> None:
    """Security item 36."""
    rule = {**NO_MAGIC, "enforce": {"use": "crashing"}}
    async with talking(magician(rule, templates=[SAFE]), enforcers={"crashing": Crashing(answer)}) as talk:
        run = await talk.say("what are your opening hours?")
        assert (run.reply, run.risk, run.outcome) == ("I am sorry, I cannot say that.", "UNKNOWN", "BLOCKED")


class Broken:
    """A service whose every method fails in the way a test chose."""

    def __init__(self, error: BaseException | None = None, answer: Any = None) -> None:
        self._error, self._answer = error, answer

    async def _fail(self, *arguments: Any, **options: Any) -> Any:
        if self._error is not None:
            raise self._error
        return self._answer

    check = retrieve = call = generate = close = prepare = _fail
    name = "broken"

    def stream(self, prompt: Prompt) -> AsyncIterator[str]:
        raise RuntimeError("no stream")

    def format(self, text: str) -> str:
        raise ValueError("cannot format")


FAULTS = [RuntimeError("bug"), ProviderFailed("down"), TimeoutError(), ValueError("odd"), MemoryError()]


@pytest.mark.parametrize("error", FAULTS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("part", ["retrieval", "enforcement", "tools", "generators", "channels"])
async def test_a_fault_at_any_call_of_the_turn_releases_no_reply_that_breaks_a_rule(
        part: str, error: Exception) -> None:
    """Security item 36: a fault is injected at each call that the turn makes."""
    broken = Broken(error)
    parts: dict[str, Any] = {part: {"generators": lambda use: broken, "channels": {"unknown": broken, "api": broken}
                                    }.get(part, broken)}
    rule = {**SPELL, "tools": [{"tool": "wand"}]}
    agent = bundle(rules=[rule, NO_MAGIC], templates=[SAFE], tools=[{"id": "wand", "python": "t.py:wand"}])
    tools = Functions(wand=lambda: {})
    async with talking(agent, tools, **parts) as talk:
        run = await talk.say("cast a spell")
        assert "magic" not in run.reply
        assert run.reply
        assert not talk.desk.released or "magic" not in "".join(talk.desk.released)
        if part == "enforcement":
            assert (run.outcome, run.risk) == ("BLOCKED", "UNKNOWN")


@pytest.mark.parametrize("answer", [None, [], [Verdict(outcome="pass")] * 9, "pass"])
async def test_an_enforcement_service_that_answers_too_little_or_too_much_fails_closed(answer: Any) -> None:
    async with talking(magician(NO_MAGIC, templates=[SAFE]), enforcement=Broken(answer=answer)) as talk:
        assert (await talk.say("cast a spell")).outcome == "BLOCKED"


async def test_a_tool_that_times_out_is_told_and_the_turn_still_ends_well() -> None:
    rule = {**SPELL, "then": "Done.", "tools": [{"tool": "wand"}]}
    agent = bundle(rules=[rule, NO_MAGIC], tools=[{"id": "wand", "python": "t.py:wand"}])
    async with talking(agent, Functions(wand=lambda: ToolResult(status="timeout", error="too slow"))) as talk:
        run = await talk.say("cast a spell")
        assert [call.status for call in run.tools] == ["timeout"]
        assert "SYSTEM_ERROR" in run.categories
        assert run.risk == "GREEN"
