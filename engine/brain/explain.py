"""Why a text would match what it matches: the turn's phases up to orchestration, without a tool, a reply or a trace.

Every rule and every scenario of the agent is told about, also those that the text is far from.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import msgspec

from ruche.engine.brain.consult import intended
from ruche.engine.brain.doubt import reconsider
from ruche.engine.brain.graphs import CompiledScenario
from ruche.engine.brain.heed import OFFERED, heeded
from ruche.engine.brain.identify import Identified
from ruche.engine.brain.learn import learn
from ruche.engine.brain.match import Matched, in_force, match, match_entered
from ruche.engine.brain.memory import explained as recalled
from ruche.engine.brain.names import Names, names_of
from ruche.engine.brain.orchestrate import Orchestrated, orchestrate
from ruche.engine.brain.rerank import Ranking, reorder
from ruche.engine.brain.retrieve import Retrieved, retrieve
from ruche.engine.brain.sense import Sensed
from ruche.engine.brain.sift import Sifter
from ruche.engine.brain.walk import Standing
from ruche.plugins.contracts import Hit, Hits, Retrieval, Selector
from ruche.plugins.errors import RucheError
from ruche.plugins.tape import Tape
from ruche.storage.model.migration import Changes


class RuleExplained(msgspec.Struct, frozen=True, kw_only=True):
    """One rule. `candidate` tells that it was among the likeliest, which alone are looked at; scores are from 0 to 1.

    `filter` names what dropped it: disabled, scope, cooldown, max_fires, threshold, when, selection, not_related,
    unsure, unclear, weaker, offered, a relationship.
    """

    id: str
    name: str
    candidate: bool
    score: float
    vector: float
    lexical: float
    threshold: float
    verdict: Literal["applied", "dropped", "not a candidate"]
    filter: str
    reason: str
    always_judged: bool
    """True for a hard rule that this reply would be checked against, whether it is applied or not."""


class ScenarioExplained(msgspec.Struct, frozen=True, kw_only=True):
    """One scenario. `step` and `status` are where it would stand after the turn; empty when it is not in progress."""

    id: str
    score: float
    threshold: float
    step: str
    status: str
    actions: tuple[tuple[str, str], ...]
    """(START | CONTINUE | PAUSE | RESUME | COMPLETE | CANCEL, why), in order."""
    reason: str
    transitions: tuple[dict[str, Any], ...]
    """The transitions that were considered: {to, holds, score, why}."""


class Explained(msgspec.Struct, frozen=True, kw_only=True):
    """`fault` says why nothing was retrieved, `learned` which fields the text gives values for.

    `repaired` has (as written, as read) of the words whose spelling was repaired before anything was compared.
    """

    agent: str
    version: int
    text: str
    language: str
    intent: str
    intent_score: float
    learned: tuple[str, ...]
    fault: str
    repaired: tuple[tuple[str, str], ...]
    rules: tuple[RuleExplained, ...]
    """The applied ones first, then by score."""
    scenarios: tuple[ScenarioExplained, ...]
    read: dict[str, Any] = {}
    """What the agent's model read in the text, and what became of asking it; empty where no model is asked."""
    memory: dict[str, Any] = {}
    """What of earlier conversations was considered, kept and cited, where the agent remembers."""
    rivals: tuple[str, ...] = ()
    """Further intents that do about as well as `intent`, best first."""
    knowledge: dict[str, Any] = {}
    """The passages that were considered, those that were kept in their order, and how the others were cut."""


async def explain(who: Identified, sensed: Sensed, retrieval: Retrieval, selector: Selector, threshold: float,
                  tape: Tape, sifter: Sifter | None = None, changes: Changes | None = None,
                  ranking: Ranking | None = None) -> Explained:
    """What a turn with this input would decide before it acts and speaks."""
    knowledge = learn(who, sensed)
    found = intended(await retrieve(who, retrieval, threshold, tape), sensed)
    retrieved = await reorder(who, found, ranking, tape)
    sensed, knowledge = reconsider(who, sensed, knowledge, retrieved)
    names = names_of(who, knowledge, sensed.language, retrieved.intent)
    matched = await match(who, retrieved, names, selector, sifter)
    moved = orchestrate(who, sensed, knowledge, retrieved, names, matched, changes)
    matched = await match_entered(who, retrieved, moved.names, selector, matched, moved.positions(), sifter)
    matched = heeded(who, sensed, retrieved, moved, matched)
    everything = await _everything(who, retrieval)
    return Explained(
        agent=who.agent.id, version=who.agent.version, text=who.text, language=sensed.language,
        intent=retrieved.intent, intent_score=retrieved.intent_score, rivals=retrieved.rivals,
        learned=moved.knowledge.learned,
        fault=retrieved.fault, knowledge=_knowledge(found, retrieved), read=_read(who, sensed, sifter),
        repaired=retrieved.hits.repaired, memory=recalled(who),
        rules=tuple(_rules(who, retrieved, matched, everything, moved.names)),
        scenarios=tuple(_scenarios(who, retrieved, moved, everything)))


def _read(who: Identified, sensed: Sensed, sifter: Sifter | None) -> dict[str, Any]:
    if who.agent.sensor is None and sifter is None:
        return {}
    usage = sensed.usage if sifter is None else sensed.usage + sifter.usage
    found = {"intent": sensed.intent, "tone": sensed.tone, "sensor_fault": sensed.fault,
             "filter_fault": sifter.fault if sifter is not None else "", "model_calls": usage.model_calls}
    return {name: value for name, value in found.items() if value}


def _knowledge(found: Retrieved, kept: Retrieved) -> dict[str, Any]:
    if not found.hits.knowledge:
        return {}
    return {"considered": len(found.hits.knowledge), **kept.cut, "unranked": kept.unranked,
            "kept": [{"id": hit.id, "score": hit.score} for hit in kept.hits.knowledge]}


async def _everything(who: Identified, retrieval: Retrieval) -> Hits:
    """The scores of all rules and scenarios, not of the likeliest only; none where retrieval fails."""
    agent = who.agent
    try:
        return await retrieval.retrieve(who.turn.tenant, agent.id, agent.version, who.text,
                                        max(len(agent.rules), len(agent.scenarios), 1))
    except RucheError:
        return Hits()


def _rules(who: Identified, retrieved: Retrieved, matched: Matched, everything: Hits,
           names: Names) -> list[RuleExplained]:
    applied = {one.id: one for one in matched.rules}
    scores = {hit.id: hit for hit in (*everything.rules, *retrieved.hits.rules)}
    candidates = {hit.id for hit in retrieved.hits.rules}
    dropped = {**{rule.id: "disabled" for rule in who.agent.rules.values() if not rule.rule.enabled},
               **dict(_dropped(matched.notes))}
    always = {rule.id for rule in in_force(who, names)}
    found = []
    for rule in who.agent.rules.values():
        hit = scores.get(rule.id, Hit(id=rule.id, score=0.0))
        by = "" if rule.id in applied else dropped.get(rule.id, "")
        verdict: Literal["applied", "dropped", "not a candidate"] = (
            "applied" if rule.id in applied else "dropped" if by else "not a candidate")
        reason = applied[rule.id].why if rule.id in applied else _reason(by, hit, retrieved, matched.notes)
        found.append(RuleExplained(
            id=rule.id, name=rule.rule.if_, candidate=rule.id in candidates, score=hit.score, vector=hit.vector,
            lexical=hit.lexical, threshold=retrieved.threshold, verdict=verdict, filter=by.partition(":")[0],
            reason=reason, always_judged=rule.id in always))
    return sorted(found, key=lambda one: (one.verdict != "applied", -one.score, one.id))


def _dropped(notes: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """(rule, filter) of both passes; what the second pass says of a rule counts."""
    for reason, ids in notes.get("dropped", {}).items():
        yield from ((name, reason) for name in ids)
    yield from ((name, "selection") for name in notes.get("cut", ()))
    yield from ((name, "unclear") for name in notes.get("unclear", ()))
    yield from ((name, "weaker") for name in notes.get("weaker", ()))
    yield from ((name, "offered") for name in notes.get(OFFERED, ()))
    yield from notes.get("related", {}).get("removed", {}).items()
    if "entered" in notes:
        yield from _dropped(notes["entered"])


def _reason(by: str, hit: Hit, retrieved: Retrieved, notes: dict[str, Any]) -> str:
    if by == "threshold":
        return f"scored {hit.score:.4f}, less than {retrieved.threshold:g}"
    if by == "weaker":
        return (f"scored {hit.score:.4f}, less than {notes['bar']:g}, which a rule must reach where the message begins "
                "or serves a scenario")
    if by == "selection":
        cut = f"below the gap at {notes['cutoff']:.4f}" if "cutoff" in notes else "behind as many as may apply"
        return f"scored {hit.score:.4f}, {cut}"
    if by:
        return _REASONS.get(by, by)
    return retrieved.fault or "others are likelier, or it belongs to a scenario or step that is not in progress"


_REASONS = {"disabled": "the rule is disabled", "scope": "its scenario or step is not in progress",
            "cooldown": "it was applied too few turns ago", "max_fires": "it was applied as often as it may be",
            "when": "its expression is false", "not_related": "the model says that it does not apply",
            "unsure": "the model is not sure that it applies",
            "offered": "the message may mean no person; it is asked first",
            "unclear": "another that excludes it fits as well; the person is asked which is meant"}


def _scenarios(who: Identified, retrieved: Retrieved, moved: Orchestrated,
               everything: Hits) -> Iterator[ScenarioExplained]:
    scores = {hit.id: hit.score for hit in (*everything.scenarios, *retrieved.hits.scenarios)}
    standings = {one.scenario.id: one for one in moved.standings}
    threshold = retrieved.scenario_threshold
    for scenario in who.agent.scenarios.values():
        score, standing = scores.get(scenario.id, 0.0), standings.get(scenario.id)
        yield ScenarioExplained(
            id=scenario.id, score=score, threshold=threshold, step=standing.instance.step if standing else "",
            status=standing.instance.status if standing else "", actions=standing.actions if standing else (),
            reason=_standing(standing) if standing else _absent(scenario, score, threshold, moved.notes.get("cut")),
            transitions=tuple(_considered(standing)) if standing else ())


def _standing(standing: Standing) -> str:
    reasons = [why for _, why in standing.actions if why] + list(standing.why)
    return "; ".join(dict.fromkeys(reasons)) or "in progress, the text does not move it"


def _absent(scenario: CompiledScenario, score: float, threshold: float, cut: dict[str, Any] | None) -> str:
    if not scenario.spec.enabled:
        return "the scenario is disabled"
    if cut is not None and scenario.id in cut["left_out"]:
        return f"scored {score:.4f}; {cut['method']} left it out, the last that stood out had {cut['cutoff']:.4f}"
    if score < threshold:
        return f"scored {score:.4f}, less than {threshold:g}"
    return f"scored {score:.4f}; another scenario is likelier or in progress"


def _considered(standing: Standing) -> Iterator[dict[str, Any]]:
    for choice in standing.choices:
        yield from choice.considered
