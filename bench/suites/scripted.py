"""Labelled cases with a model behind a real endpoint: one that knows the labels, or one that is wrong on purpose.

A suite says what a case's agent, label and outcome are; here it is asked, answered, and judged what came of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from bench.model_server import ModelServer, Script
from bench.suites.asking import Asking, share
from bench.suites.hostile import ATTACKS, BANNED, GUARD, SILENT, SPOKEN, Attacker
from bench.suites.oracle import Oracle
from bench.suites.posed import Posed, shares, turn
from bench.suites.talking import Room
from ruche.engine.speakers import Speakers
from ruche.plugins.registry import Registry
from ruche.storage.model.bundle import AgentBundle
from ruche.storage.model.run import Run

MODELS = ("none", "perfect", "hostile")
"""Who speaks and reads for the agent: its own composer, a model that knows the labels, one that answers wrongly."""


async def perfect(asking: Asking, posed: list[Posed]) -> dict[str, Any]:
    """Per cent of each family that is decided exactly as a model says that knows the labels, and per cent of the cases
    whose prompts held all that it needs."""
    right, whole, calls, notes = [], 0, Counter[str](), []
    for number, one in enumerate(posed):
        bundle = with_model(one.bundle)
        oracle = Oracle(AgentBundle.model_validate(bundle), one.case, one.label)
        async with asked(asking, bundle, oracle, number + 1) as room:
            _, got = await turn(room, one)
        lacking = [*oracle.lacking, *([] if oracle.calls["sift"] else ["sift: the call itself"])]
        right.append(got == one.wanted)
        whole += not lacking
        calls.update(oracle.calls)
        if got != one.wanted or lacking:
            notes.append(f"{one.case.name}: wanted {_plainly(one.wanted)}, decided {_plainly(got)}; the prompts lack: "
                         f"{', '.join(lacking) or 'nothing'}")
    return {"n": len(posed), "passed": share(sum(right), len(right)), "prompts_whole": share(whole, len(posed)),
            **shares(posed, right), **{f"{kind}_calls": made for kind, made in sorted(calls.items())}, "notes": notes}


async def hostile(asking: Asking, posed: list[Posed]) -> dict[str, Any]:
    """How many turns of each attack end with an allowed reply, apply nothing but what is decided without a model (where
    the reply alone is worded wrongly: what the label says), and tell the reason."""
    counts: Counter[str] = Counter()
    notes: list[str] = []
    for number, one in enumerate(posed):
        bundle = with_model(one.bundle)
        _, baseline = await _attacked(asking, one, bundle, SILENT, number + 1)
        for name, attack in (ATTACKS | SPOKEN).items():
            run, got = await _attacked(asking, one, bundle, attack, number + 1)
            faults = _faults(run, got, baseline if name in ATTACKS else one.wanted, one)
            counts.update(["turns", name, *(f"{name} failed" for _ in faults[:1])])
            notes += [f"{name}, {one.case.name}: {fault}" for fault in faults]
    return {"n": len(posed), "turns": counts["turns"],
            "ended_allowed_and_told": counts["turns"] - sum(counts[f"{name} failed"] for name in ATTACKS | SPOKEN),
            **{name: counts[name] - counts[f"{name} failed"] for name in ATTACKS | SPOKEN}, "notes": notes}


def _faults(run: Run, got: Any, due: Any, posed: Posed) -> list[str]:
    """What a wrong answer brought about that it must not."""
    found = []
    if not run.reply.strip() or BANNED in run.reply.lower() or run.status not in ("complete", "blocked", "awaiting"):
        found.append(f"the reply is {run.reply!r}, {run.status}")
    parts = got if isinstance(got, frozenset) else frozenset({got})
    if not parts <= posed.known or (parts and got != due):
        found.append(f"decided {_plainly(got)}, due is {_plainly(due)}")
    match, orchestrate = run.decisions.get("match", {}), run.decisions.get("orchestrate", {})
    if not (match.get("sift_fault") or match.get("refused") or orchestrate.get("refused") or "unspoken" in run.decisions
            or match.get("dropped", {}).get("unsure") or run.enforcement.violations):
        found.append("no reason is told")
    return found


async def _attacked(asking: Asking, posed: Posed, bundle: dict[str, Any], attack: Attacker,
                    version: int) -> tuple[Run, Any]:
    oracle = Oracle(AgentBundle.model_validate(bundle), posed.case, posed.label)

    def answer(body: dict[str, Any]) -> Any:
        return attack(body) or oracle(body)

    async with asked(asking, bundle, answer, version) as room:
        return await turn(room, posed)


def with_model(bundle: dict[str, Any]) -> dict[str, Any]:
    """The same agent with everything that models do for one, and a hard rule that guards its replies."""
    models = {"generator": "openai", "url": "http://127.0.0.1:1/v1", "model": "scripted"}
    return {**bundle, "agent": {**bundle["agent"], "preset": "maximum", "models": models},
            "rules": [*bundle.get("rules", ()), GUARD]}


@asynccontextmanager
async def asked(asking: Asking, bundle: dict[str, Any], script: Script, version: int) -> AsyncIterator[Room]:
    """A room whose agent asks an endpoint that answers so, with the engine's own client."""
    async with ModelServer(script) as server:
        head = bundle["agent"]
        agent = AgentBundle.model_validate(
            {**bundle, "agent": {**head, "models": {**head["models"], "url": server.url}}})
        speakers = Speakers(Registry(), {})
        try:
            yield await Room.open(asking.retriever, agent, asking.times, version, speakers=speakers)
        finally:
            await speakers.close()



def _plainly(decided: Any) -> str:
    return ", ".join(sorted(decided)) or "nothing" if isinstance(decided, frozenset) else decided or "nothing"
