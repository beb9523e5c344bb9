"""The contract tests that ship for plugin authors: they accept what is right and name what is wrong."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

import numpy as np
import pytest

from ruche.plugins.channels import built_in_channels
from ruche.plugins.contracts import Draft, Generated, Prompt, Selection, ToolResult, Verdict
from ruche.plugins.enforcers import built_in
from ruche.plugins.errors import ConfigurationError, ProviderFailed
from ruche.plugins.generators import Composer
from ruche.plugins.testing import (
    ContractBroken,
    check_channel,
    check_embedder,
    check_enforcer,
    check_generator,
    check_reranker,
    check_selector,
    check_tools,
)
from ruche.storage.model.bundle import AgentBundle
from ruche.storage.model.rule import Rule
from ruche.storage.model.tool import Tool
from tests.plugins.conftest import rule

RULE = rule({"use": "good"})


class Good:
    """An enforcer that forbids a word."""

    name: Any = "good"
    monotone: Any = True

    def prepare(self, rule: Rule) -> Any:
        return "damn"

    def check(self, draft: Draft, rule: Rule, prepared: Any) -> Any:
        at = draft.text.lower().find(prepared)
        return Verdict(outcome="pass") if at < 0 else Verdict(outcome="fail", reason="rude", span=(at, at + 4))


@pytest.mark.parametrize(("name", "enforce", "passing", "failing"), [
    ("expression", "amount <= 50 and not contains_promise", ["$5", "Hello."], ["$60.", "I promise."]),
    ("phrase", {"use": "phrase", "options": {"forbidden": ["damn"]}}, ["Hello."], ["Damn!", "DÀMN"]),
    ("pattern", {"use": "pattern", "options": {"forbidden": [r"\d{4}"]}}, ["123"], ["1234"]),
    ("length", {"use": "length", "options": {"max_words": 3}}, ["a b c"], ["a b c d"]),
])
def test_the_built_in_enforcers_keep_their_contract(name: str, enforce: Any, passing: list[str],
failing: list[str]) -> None:
    check_enforcer(built_in()[name], rule(enforce), passing=passing, failing=failing)
    assert built_in()[name].name == name


def test_an_enforcer_that_is_right_is_accepted() -> None:
    check_enforcer(Good(), RULE, passing=["Hello."], failing=["Damn."])
    with pytest.raises(ContractBroken, match="gave pass instead of fail"):
        check_enforcer(Good(), RULE, failing=["Hello."])


class Nameless(Good):
    name = ""


class Uncertain(Good):
    monotone = "yes"


class Refusing(Good):
    def prepare(self, rule: Rule) -> Any:
        raise ConfigurationError("no")


class Raising(Good):
    def check(self, draft: Draft, rule: Rule, prepared: Any) -> Any:
        return Verdict(outcome="pass") if draft.text[0] else None


class Meddling(Good):
    def check(self, draft: Draft, rule: Rule, prepared: Any) -> Any:
        draft.names["amount"] = 0
        return Verdict(outcome="pass")


class Silent(Good):
    def check(self, draft: Draft, rule: Rule, prepared: Any) -> Any:
        return Verdict(outcome="fail")


class Wide(Good):
    def check(self, draft: Draft, rule: Rule, prepared: Any) -> Any:
        return Verdict(outcome="fail", reason="x", span=(0, 10**6))


class Wavering(Good):
    turn = 0

    def check(self, draft: Draft, rule: Rule, prepared: Any) -> Any:
        self.turn += 1
        return Verdict(outcome="pass", reason=str(self.turn))


class Truthful(Good):
    def check(self, draft: Draft, rule: Rule, prepared: Any) -> Any:
        return True


class Forgetful(Good):
    def check(self, draft: Draft, rule: Rule, prepared: Any) -> Any:
        return Verdict(outcome="fail", reason="x") if draft.text.endswith("Damn.") else Verdict(outcome="pass")


@pytest.mark.parametrize(("enforcer", "promise"), [
    (object(), "is not an Enforcer"), (Nameless(), "name must be"), (Uncertain(), "monotone must be"), (Refusing(),
    "prepare refused"),
    (Raising(), "must not raise; it raised IndexError"), (Meddling(), "must not change"), (Silent(), "must say why"),
    (Wide(), "span must lie"), (Wavering(), "same verdict each time"), (Truthful(), "must give a Verdict"),
    (Forgetful(), "gave pass instead of fail"),
])
def test_each_broken_promise_of_an_enforcer_is_named(enforcer: Any, promise: str) -> None:
    with pytest.raises(ContractBroken, match=promise):
        check_enforcer(enforcer, RULE, failing=["Damn."])


class Speaker:
    """A generator as told."""

    name = "speaker"

    def __init__(self, text: Any = "Hello.", error: Exception | None = None) -> None:
        self._text, self._error = text, error

    async def generate(self, prompt: Prompt) -> Any:
        if self._error is not None:
            raise self._error
        return Generated(text=self._text)

    async def stream(self, prompt: Prompt) -> AsyncIterator[str]:
        yield self._text


@pytest.mark.anyio
async def test_generators_are_held_to_text_and_typed_failures() -> None:
    await check_generator(Composer())
    await check_generator(Speaker(error=ProviderFailed("down")))
    with pytest.raises(ContractBroken, match="with a text"):
        await check_generator(Speaker(text=" "))
    with pytest.raises(ContractBroken, match="not KeyError"):
        await check_generator(Speaker(error=KeyError("x")))


class Vectors:
    """An embedder as told."""

    name = "vectors"
    dimensions = 3
    rule_threshold = 0.5

    def __init__(self, fault: str = "") -> None:
        self._fault = fault

    def encode(self, texts: Sequence[str]) -> Any:
        rows = [np.array([1.0, len(text), 2.0 * (self._fault == "batch") * len(texts)]) for text in texts]
        made = np.array([row / np.linalg.norm(row) for row in rows]).reshape(len(rows), 3)
        made = made * 2 if self._fault == "long" else made
        return made.astype(np.float64 if self._fault == "type" else np.float32)[:, :2 if self._fault == "shape" else 3]


def test_embedders_are_held_to_shape_length_and_independence() -> None:
    check_embedder(Vectors())
    for fault, promise in (("shape", "dimensions"), ("type", "float32"), ("long", "length 1"), ("batch",
    "neighbours")):
        with pytest.raises(ContractBroken, match=promise):
            check_embedder(Vectors(fault))


class Ranker:
    name = "ranker"

    def __init__(self, scores: Any) -> None:
        self._scores = scores

    def score(self, query: str, passages: Sequence[str]) -> Any:
        return self._scores(passages)


def test_rerankers_are_held_to_one_finite_score_for_each_passage() -> None:
    check_reranker(Ranker(lambda passages: [len(passage) for passage in passages]))
    for scores, promise in ((lambda passages: [1.0], "one score for each"),
                            (lambda passages: [float("nan")] * len(passages), "finite"),
                            (lambda passages: list(np.random.default_rng().random(len(passages))), "same each time")):
        with pytest.raises(ContractBroken, match=promise):
            check_reranker(Ranker(scores))


class Picker:
    def __init__(self, fault: str = "") -> None:
        self._fault = fault

    def select(self, scores: Sequence[float], *, max_k: int = 20, min_k: int = 1) -> Selection:
        keep = min(max_k + (self._fault == "many"), len(scores))
        return Selection(keep=keep, cutoff=scores[0 if self._fault == "cutoff" else keep - 1] if keep else 0.0,
        method="all")


def test_selectors_are_held_to_their_bounds() -> None:
    check_selector(Picker())
    for fault, promise in (("many", "out of its bounds"), ("cutoff", "lowest kept")):
        with pytest.raises(ContractBroken, match=promise):
            check_selector(Picker(fault))


class Line:
    name = "line"

    def __init__(self, window_ms: int = 0, shown: Any = str) -> None:
        self.window_ms = window_ms
        self._shown = shown

    def format(self, text: str) -> Any:
        return self._shown(text)


def test_channels_are_held_to_windows_and_texts() -> None:
    for channel in built_in_channels().values():
        check_channel(channel)
    for broken, promise in ((Line(-1), "window_ms"), (Line(shown=len), "must give a text"),
    (Line(shown=lambda text: text[0]),
                                                                                           "IndexError")):
        with pytest.raises(ContractBroken, match=promise):
            check_channel(broken)


class Gate:
    def __init__(self, answer: Any) -> None:
        self._answer = answer

    async def call(self, bundle: AgentBundle, tool: Tool, arguments: dict[str, Any], context: dict[str, str]) -> Any:
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer

    async def close(self) -> None: ...


@pytest.mark.anyio
async def test_gateways_are_held_to_results_of_plain_data() -> None:
    bundle = AgentBundle.model_validate({"id": "a", "agent": {"name": "A"}})
    tool = Tool(id="t")
    await check_tools(Gate(ToolResult(status="ok", value={"a": 1})), bundle, tool, {})
    for answer, promise in ((ValueError("x"), "must not raise"), (5, "must give a ToolResult"),
                            (ToolResult(status="error"), "must say why"), (ToolResult(status="ok", value={1}),
                            "plain data")):
        with pytest.raises(ContractBroken, match=promise):
            await check_tools(Gate(answer), bundle, tool, {})
