"""The contract tests for plugin authors: each function proves one plugin right, or raises ContractBroken.

    def test_my_enforcer():
        check_enforcer(Profanity(), rule, passing=["Hello."], failing=["Damn."])
"""

from __future__ import annotations

import copy
import inspect
import json
import math
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ruche.plugins.contracts import (
    Channel,
    Draft,
    Embedder,
    Enforcer,
    Generated,
    Generator,
    Prompt,
    Reranker,
    Selector,
    ToolGateway,
    ToolResult,
    Verdict,
)
from ruche.plugins.enforcers import draft_names, extract_names, judges_prefixes
from ruche.plugins.errors import ConfigurationError, ProviderFailed, RucheError
from ruche.storage.model.bundle import AgentBundle
from ruche.storage.model.rule import Rule
from ruche.storage.model.tool import Tool

__all__ = ["ContractBroken", "check_channel", "check_embedder", "check_enforcer", "check_generator", "check_reranker",
           "check_selector", "check_tools"]

HOSTILE = ("", " ", "\n\n", "\x00", "\u202eevil\u202c", "🙂" * 500, "a" * 32_000, "{{ x }} %s {0}", "\ufffe")
"""Texts on which no plugin may fall over."""


class ContractBroken(RucheError):
    """The plugin does not keep its contract; the message says which promise, and what to change."""

    code = "CONTRACT_BROKEN"


def check_enforcer(enforcer: Enforcer, rule: Rule, *, passing: Sequence[str] = (), failing: Sequence[str] = (),
                   budget_ms: float = 50.0) -> None:
    """Protocol, determinism, no side effects on the draft, hostile texts, time, and what `monotone` promises."""
    _is(enforcer, Enforcer, "an Enforcer: name, monotone, prepare, check")
    _named(enforcer)
    _need(isinstance(enforcer.monotone, bool), "monotone must be True or False")
    try:
        prepared = enforcer.prepare(rule)
    except ConfigurationError as error:
        raise ContractBroken(f"prepare refused the rule that it is tested with: {error.message}") from None
    for text in (*HOSTILE, *passing, *failing):
        for whole in (True, False):
            _check_verdict(enforcer, rule, prepared, _draft(text, whole), budget_ms)
    for text in passing:
        _expect(enforcer, rule, prepared, text, ("pass", "not_applicable"))
    for text in failing:
        _expect(enforcer, rule, prepared, text, ("fail",))
        if judges_prefixes(enforcer, prepared):
            for more in (" And more.", "\n\nSorry, $5 and 3%.", " No?"):
                _expect(enforcer, rule, prepared, text + more, ("fail",))


async def check_generator(generator: Generator, prompt: Prompt | None = None) -> None:
    """`generate` gives text with counts, `stream` gives pieces of text; the only failure is ProviderFailed."""
    _is(generator, Generator, "a Generator: name, generate, stream")
    _named(generator)
    asked = prompt or Prompt(instructions="Be brief.", plan={
        "response_type": "ANSWER", "unmatched": "", "must_include": [], "must_avoid": [], "variables": {},
        "contributions": [{"kind": "INFORM", "text": "We open at nine.", "priority": 0, "scenario": None}]})
    try:
        found = await generator.generate(asked)
        pieces = [piece async for piece in generator.stream(asked)]
    except ProviderFailed:
        return
    except Exception as error:
        raise ContractBroken(f"a generator may raise ProviderFailed only, not {type(error).__name__}") from error
    _need(isinstance(found, Generated) and bool(found.text.strip()), "generate must give Generated with a text")
    _need(found.input_tokens >= 0 and found.output_tokens >= 0, "token counts must not be negative")
    _need(all(isinstance(piece, str) for piece in pieces), "stream must give texts")
    _need(bool("".join(pieces).strip()), "the streamed pieces must make a reply")


def check_embedder(embedder: Embedder) -> None:
    """Shape, type, unit length, determinism, and that a vector does not depend on its neighbours."""
    _is(embedder, Embedder, "an Embedder: name, dimensions, rule_threshold, encode")
    _named(embedder)
    _need(embedder.dimensions > 0, "dimensions must be positive")
    _need(0.0 <= embedder.rule_threshold <= 1.0, "rule_threshold must lie between 0 and 1")
    texts = ["Where is my order?", "I want my money back.", "", "Où est ma commande ? 🙂"]
    together = embedder.encode(texts)
    _need(together.shape == (len(texts), embedder.dimensions), "encode must give len(texts) x dimensions")
    _need(together.dtype == np.float32, "vectors must be float32")
    _need(bool(np.isfinite(together).all()), "vectors must be finite")
    lengths = np.linalg.norm(together[:2], axis=1)
    _need(bool(np.allclose(lengths, 1.0, atol=1e-3)), "vectors must have length 1")
    alone = np.vstack([embedder.encode([text]) for text in texts])
    _need(bool(np.array_equal(together, alone)), "a vector must not depend on its neighbours; encode texts one by one")
    _need(embedder.encode([]).shape == (0, embedder.dimensions), "no texts must give 0 x dimensions")


def check_reranker(reranker: Reranker) -> None:
    """One finite score for each passage, in order, the same each time."""
    _is(reranker, Reranker, "a Reranker: name, score")
    _named(reranker)
    passages = ["The parcel is on its way.", "We bake bread.", "", "Parcels take two days."]
    scores = list(reranker.score("Where is my parcel?", passages))
    _need(len(scores) == len(passages), "score must give one score for each passage")
    _need(all(math.isfinite(score) for score in scores), "scores must be finite")
    _need(list(reranker.score("Where is my parcel?", passages)) == scores, "scores must be the same each time")
    _need(list(reranker.score("anything", [])) == [], "no passages must give no scores")


def check_selector(selector: Selector) -> None:
    """`keep` stays within its bounds on every shape of scores; `cutoff` is the lowest score kept."""
    _is(selector, Selector, "a Selector: select")
    shapes: list[list[float]] = [[], [0.5], [0.5] * 10, [0.9, 0.89, 0.2, 0.1], [1.0, 0.0], [0.0] * 30,
                                 [1 / (n + 1) for n in range(100)]]
    for scores in shapes:
        for most, least in ((20, 1), (1, 1), (5, 3), (5, 0)):
            found = selector.select(scores, max_k=most, min_k=least)
            bounds = f"select({len(scores)} scores, max_k={most}, min_k={least}) kept {found.keep}"
            _need(min(least, len(scores)) <= found.keep <= min(most, len(scores)), f"{bounds}, out of its bounds")
            _need(found.keep == 0 or math.isclose(found.cutoff, scores[found.keep - 1]),
                  f"{bounds}; cutoff must be the lowest kept score")


def check_channel(channel: Channel) -> None:
    """A name, a window from 0 to 10 s, and a format that gives text for every text."""
    _is(channel, Channel, "a Channel: name, window_ms, format")
    _named(channel)
    _need(0 <= channel.window_ms <= 10_000, "window_ms must lie between 0 and 10000")
    for text in (*HOSTILE, "**Hello** [there](http://example.org)\n- one\n- two"):
        _need(isinstance(_call("format", channel.format, text), str), "format must give a text")


async def check_tools(gateway: ToolGateway, bundle: AgentBundle, tool: Tool, arguments: dict[str, Any]) -> None:
    """`call` gives a ToolResult of plain data in every case, also for arguments that make no sense."""
    for given in (arguments, {}, {"no_such_argument": "\x00", "nested": {"list": [1, None]}}):
        try:
            found = await gateway.call(bundle, tool, given, {"tenant": "t", "session": "s", "idempotency_key": "k"})
        except Exception as error:
            raise ContractBroken(f"call must not raise; it raised {type(error).__name__}") from error
        _need(isinstance(found, ToolResult), "call must give a ToolResult")
        _need(found.status in ("ok", "error", "timeout"), "status must be ok, error or timeout")
        _need(found.status == "ok" or bool(found.error), "a call that failed must say why in `error`")
        try:
            json.dumps(found.value, allow_nan=False)
        except (TypeError, ValueError):
            raise ContractBroken("value must be plain data, as JSON has it") from None


def _check_verdict(enforcer: Enforcer, rule: Rule, prepared: Any, draft: Draft, budget_ms: float) -> None:
    before = copy.deepcopy(draft.names)
    began = time.perf_counter()
    verdict = _call("check", enforcer.check, draft, rule, prepared)
    took = (time.perf_counter() - began) * 1_000
    again = enforcer.check(draft, rule, prepared)
    _need(not inspect.isawaitable(verdict), "check must not be async")
    _need(isinstance(verdict, Verdict), "check must give a Verdict")
    _need(verdict.outcome in ("pass", "fail", "not_applicable", "error"), f"{verdict.outcome} is no outcome")
    _need(verdict.outcome != "fail" or bool(verdict.reason), "a verdict that fails must say why in `reason`")
    _need(verdict == again, "check must give the same verdict each time")
    _need(draft.names == before, "check must not change the draft's names")
    _need(took <= budget_ms, f"check took {took:.0f} ms; at most {budget_ms:.0f} are allowed")
    if verdict.span is not None:
        start, end = verdict.span
        _need(0 <= start <= end <= len(draft.text), "the span must lie within the text")


def _expect(enforcer: Enforcer, rule: Rule, prepared: Any, text: str, outcomes: tuple[str, ...]) -> None:
    found = enforcer.check(_draft(text, True), rule, prepared).outcome
    _need(found in outcomes, f"{text!r} gave {found} instead of {' or '.join(outcomes)}")


def _draft(text: str, whole: bool) -> Draft:
    return Draft(text=text, question="Where is my order?", names=draft_names(extract_names(text), {}, {}), whole=whole)


def _call(what: str, called: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return called(*arguments)
    except Exception as error:
        raise ContractBroken(f"{what} must not raise; it raised {type(error).__name__}") from error


def _named(plugin: Any) -> None:
    _need(isinstance(plugin.name, str) and bool(plugin.name), "name must be a text")


def _is(plugin: Any, protocol: Any, what: str) -> None:
    _need(isinstance(plugin, protocol), f"{type(plugin).__name__} is not {what}")


def _need(holds: bool, promise: str) -> None:
    if not holds:
        raise ContractBroken(promise)
