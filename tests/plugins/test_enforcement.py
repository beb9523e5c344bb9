"""The enforcement service: built-ins at once, plugins within a deadline, and nobody pays for another's fault."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from ruche.actors.enforcer import Enforcement
from ruche.actors.system import ActorSystem
from ruche.plugins.contracts import Draft, Verdict
from ruche.plugins.enforcers import built_in, draft_names, extract_names, prepare_rule
from ruche.storage.model.rule import Rule
from tests.plugins.conftest import rule

pytestmark = pytest.mark.anyio

RULE = rule("amount <= 50")
DRAFT = Draft(text="You get $60.", question="", names=draft_names(extract_names("You get $60."), {}, {}))


class Plugin:
    """An enforcer of somebody else."""

    name = "plugin"
    monotone = False

    def __init__(self, answer: Any = None, error: BaseException | None = None) -> None:
        self._answer = answer or Verdict(outcome="pass")
        self._error = error
        self.threads: set[int] = set()

    def prepare(self, rule: Rule) -> None: ...

    def check(self, draft: Draft, rule: Rule, prepared: Any) -> Any:
        self.threads.add(threading.get_ident())
        if self._error is not None:
            raise self._error
        return self._answer


class Hanging(Plugin):
    """Hangs until it is let go."""

    name = "hanging"

    def __init__(self) -> None:
        super().__init__()
        self.released = threading.Event()

    def check(self, draft: Draft, rule: Rule, prepared: Any) -> Any:
        super().check(draft, rule, prepared)
        self.released.wait()
        return Verdict(outcome="pass")


@pytest.fixture
async def enforcement() -> AsyncIterator[Enforcement]:
    async with ActorSystem():
        yield Enforcement(seconds=0.15)


@pytest.fixture
def hanging() -> Iterator[Hanging]:
    plugin = Hanging()
    yield plugin
    plugin.released.set()


def builtin_check() -> tuple[Rule, Any, Any]:
    found = prepare_rule(RULE, built_in())
    assert found is not None
    return RULE, found[1], found[0]


async def test_verdicts_come_in_the_order_of_the_checks(enforcement: Enforcement) -> None:
    verdicts = await enforcement.check(DRAFT, [(RULE, None, Plugin()), builtin_check(), (RULE, None, Plugin(
        Verdict(outcome="not_applicable")))])
    assert [verdict.outcome for verdict in verdicts] == ["pass", "fail", "not_applicable"]
    assert await enforcement.check(DRAFT, []) == []


async def test_built_ins_are_judged_without_leaving_the_task(enforcement: Enforcement) -> None:
    coroutine = enforcement.check(DRAFT, [builtin_check()] * 3)
    with pytest.raises(StopIteration) as end:
        coroutine.send(None)
    assert [verdict.outcome for verdict in end.value.value] == ["fail"] * 3


async def test_plugins_run_on_threads_of_their_own(enforcement: Enforcement) -> None:
    first, second = Plugin(), Plugin()
    await enforcement.check(DRAFT, [(RULE, None, first), (RULE, None, second), (RULE, None, first)])
    assert len(first.threads) == len(second.threads) == 1
    assert first.threads.isdisjoint(second.threads | {threading.get_ident()})


@pytest.mark.parametrize("plugin", [
    Plugin(error=ValueError("secret")), Plugin(error=SystemExit(1)), Plugin(error=asyncio.CancelledError()),
    Plugin(error=KeyboardInterrupt()), Plugin(answer="pass"), Plugin(answer=5)], ids=range(6))
async def test_a_plugin_that_crashes_or_answers_nonsense_costs_its_own_verdict(enforcement: Enforcement,
                                                                               plugin: Plugin) -> None:
    """Security item 36: a fault at each call is an error, which fails closed under a hard rule."""
    for _ in range(2):
        verdicts = await enforcement.check(DRAFT, [(RULE, None, plugin), builtin_check(), (RULE, None, Plugin())])
        assert [verdict.outcome for verdict in verdicts] == ["error", "fail", "pass"]
        assert "secret" not in verdicts[0].reason


async def test_a_plugin_that_hangs_costs_its_own_verdict_and_no_more_than_its_deadline(enforcement: Enforcement,
                                                                                       hanging: Hanging) -> None:
    began = time.monotonic()
    verdicts = await enforcement.check(DRAFT, [(RULE, None, hanging), builtin_check(), (RULE, None, Plugin())])
    assert [verdict.outcome for verdict in verdicts] == ["error", "fail", "pass"]
    assert "did not answer within" in verdicts[0].reason
    assert time.monotonic() - began < 2


async def test_a_plugin_that_keeps_hanging_is_left_alone_and_gets_no_more_threads(enforcement: Enforcement,
                                                                                  hanging: Hanging) -> None:
    reasons = [(await enforcement.check(DRAFT, [(RULE, None, hanging)]))[0].reason for _ in range(6)]
    assert [("left alone" in reason) for reason in reasons] == [False] * 3 + [True] * 3
    assert len(hanging.threads) == 3


async def test_the_system_ends_at_once_although_a_plugin_hangs(hanging: Hanging) -> None:
    async with ActorSystem():
        await Enforcement(seconds=0.05).check(DRAFT, [(RULE, None, hanging)])
        began = time.monotonic()
    assert time.monotonic() - began < 1


async def test_a_failing_built_in_is_an_error_and_not_an_exception(enforcement: Enforcement) -> None:
    """Security item 36: what cannot be evaluated counts as failed, here a rule that was prepared wrongly."""
    _, _, enforcer = builtin_check()
    verdicts = await enforcement.check(DRAFT, [(RULE, "nonsense", enforcer), builtin_check()])
    assert [verdict.outcome for verdict in verdicts] == ["error", "fail"]
