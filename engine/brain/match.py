"""Phase 5: which rules apply: filters that are certain first, then the score, then the edges between rules.

Order is score descending, priority descending, id ascending, before the selection and after it; so which of two equal
rules survives a cut never depends on chance.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import msgspec

from ruche.engine.brain.choice import awaited, disentangled
from ruche.engine.brain.identify import Identified
from ruche.engine.brain.names import Names, holds, is_false
from ruche.engine.brain.outline import outlines
from ruche.engine.brain.parts import CompiledRule
from ruche.engine.brain.ranked import Applied, law
from ruche.engine.brain.relations import related, shut_out
from ruche.engine.brain.retrieve import Retrieved
from ruche.engine.brain.sift import MOST_RULES, Sifter
from ruche.plugins.contracts import Hit, Selector
from ruche.plugins.generators.sifter import Sifted
from ruche.plugins.generators.ways import ScenarioShown, Word
from ruche.storage.model.turn import RuleMatch

MAX_RULES = 10
LIKENESS, PRIORITY, NEARNESS = 0.6, 0.3, 0.1
"""Weights of the scoring mode `weighted` (specification section 4)."""
BELOW = 0.2
"""How far under its threshold a rule may score and still apply where a model is not sure of it."""
_NEAR = {"GLOBAL": 1.0, "SCENARIO": 1.1, "STEP": 1.2}


class Matched(msgspec.Struct, frozen=True, kw_only=True):
    rules: tuple[Applied, ...] = ()
    positions: frozenset[str] = frozenset()
    """Scenarios and `scenario/step`s in whose scope rules were looked for."""
    notes: dict[str, Any] = {}
    """What was dropped, by reason; rules by id."""
    begins: tuple[str, ...] = ()
    """Scenarios that a rule which applies brings with it."""
    barred: frozenset[str] = frozenset()
    """Scenarios that may not begin in this turn."""
    unclear: tuple[CompiledRule, ...] = ()
    """Rules that exclude each other and fit equally well: the person is asked which one is meant."""
    words: dict[str, Word] = {}
    """Where scenarios go, by a model's word."""

    def matches(self) -> tuple[RuleMatch, ...]:
        return tuple(RuleMatch(id=one.id, name=one.rule.rule.if_, score=one.score, why=one.why) for one in self.rules)


async def match(who: Identified, retrieved: Retrieved, names: Names, selector: Selector,
                sifter: Sifter | None = None) -> Matched:
    """The rules that apply where the session stood when the turn began."""
    active = [one for one in who.instances if one.status == "active"]
    positions = frozenset([one.scenario for one in active] + [f"{one.scenario}/{one.step}" for one in active])
    shown = outlines(who, retrieved) if sifter is not None and who.agent.guided else ()
    return await _match(who, retrieved, names, selector, positions, sifter, shown=shown)


async def match_entered(who: Identified, retrieved: Retrieved, names: Names, selector: Selector, before: Matched,
                        positions: frozenset[str], sifter: Sifter | None = None) -> Matched:
    """The second pass, for rules of the scenarios and steps that were entered in this turn. The same hits serve."""
    new = positions - before.positions
    if not new & (who.agent.scopes | who.agent.places):
        return before
    again = await _match(who, retrieved, names, selector, new, sifter, only=True)
    known, gone = {one.id for one in before.rules}, shut_out(who.agent.edges, new & who.agent.places)
    rules = sorted((*(one for one in before.rules if one.id not in gone),
                    *(one for one in again.rules if one.id not in known)), key=law)
    notes = {**before.notes, "entered": again.notes}
    return Matched(rules=tuple(rules), positions=before.positions | new, notes=notes, begins=before.begins,
                   barred=before.barred, unclear=before.unclear or again.unclear, words=before.words)


def in_force(who: Identified, names: Names) -> tuple[CompiledRule, ...]:
    """The GLOBAL hard rules that hold now, matched or not: all but those whose `when` is false. One whose `when` cannot
    be told holds (a missing name must not switch a rule off)."""
    if not who.agent.conditional:
        return who.agent.always
    return tuple(rule for rule in who.agent.always if rule.when is None or not is_false(rule.when, names))


async def _match(who: Identified, retrieved: Retrieved, names: Names, selector: Selector, positions: frozenset[str],
                 sifter: Sifter | None, *, only: bool = False, shown: tuple[ScenarioShown, ...] = ()) -> Matched:
    dropped: dict[str, list[str]] = {}
    candidates: list[Applied] = []
    hits = retrieved.hits.rules if sifter is None else _with_recent(who, retrieved.hits.rules)
    for hit in hits:
        rule = who.agent.rules.get(hit.id)
        if rule is None or (only and rule.rule.scope_id not in positions):
            continue
        reason = _refused(who, rule, positions) or _unfit(
            rule, hit, names, retrieved.threshold if sifter is None or rule.rule.hard else -math.inf)
        if reason:
            dropped.setdefault(reason, []).append(hit.id)
        else:
            candidates.append(Applied(rule=rule, score=hit.score, why="", weight=_weight(who, rule, hit, retrieved)))
    candidates.sort(key=law)
    notes: dict[str, Any] = {}
    found = Sifted()
    if sifter is not None:
        found = await _decided(who, candidates, names, sifter, shown, notes)
        candidates = list(_sifted(who, candidates, retrieved.threshold, found, dropped))
    kept, cut = _select(candidates, None if retrieved.hits.several or notes.get("sifted") else selector)
    notes.update(cut)
    kept = [msgspec.structs.replace(one, why=one.why or _why(one, retrieved.threshold)) for one in kept]
    notes["dropped"] = dropped
    notes["threshold"] = retrieved.threshold
    unclear: tuple[CompiledRule, ...] = ()
    begins: tuple[str, ...] = ()
    barred = frozenset[str]()
    if who.agent.edges and (kept or found.which or positions & who.agent.places or awaited(who)):
        kept, unclear = disentangled(who, kept, notes, found.which)
        kept, begins, barred = _expanded(who, kept, positions, notes)
    return Matched(rules=tuple(kept), positions=positions, notes=notes, unclear=unclear, begins=begins, barred=barred,
                   words=found.words)


def _weight(who: Identified, rule: CompiledRule, hit: Hit, retrieved: Retrieved) -> float | None:
    """None where the score itself orders it."""
    if not who.agent.weighted:
        return retrieved.rule_ranks.get(hit.id)
    spec, score = rule.rule, retrieved.rule_ranks.get(hit.id, hit.score)
    return round(LIKENESS * score + PRIORITY * (spec.priority + 100) / 200 + NEARNESS * _NEAR[spec.scope], 4)


def _with_recent(who: Identified, hits: tuple[Hit, ...]) -> tuple[Hit, ...]:
    """The hits, and rules that were applied lately: the conversation may still be about them, whatever the message is
    like."""
    found = {hit.id for hit in hits}
    return (*hits, *(Hit(id=name, score=0.0) for name in sorted(who.turn.session.rule_last_turn) if name not in found))


async def _decided(who: Identified, candidates: list[Applied], names: Names, sifter: Sifter,
                   shown: tuple[ScenarioShown, ...], notes: dict[str, Any]) -> Sifted:
    """What the model says of the likeliest candidates, however unlikely, those that were applied lately first. It has
    no say about hard rules."""
    recent = who.turn.session.rule_last_turn
    open_ = sorted((one for one in candidates if not one.rule.rule.hard), key=lambda one: one.id not in recent)
    found = await sifter.decided([one.rule.rule for one in open_[:MOST_RULES]], names, shown)
    said = {"sifted": found.rules, "which": found.which, "refused": found.refused,
            "sift_fault": "" if found.rules or found.words else sifter.fault}
    notes.update((name, value) for name, value in said.items() if value)
    return found


def _sifted(who: Identified, candidates: list[Applied], threshold: float, found: Sifted,
            dropped: dict[str, list[str]]) -> Iterator[Applied]:
    """The candidates that the model does not take out. Where it says nothing, or that is the author's wish where it is
    not sure, the score decides."""
    for one in candidates:
        verdict, unsure = found.rules.get(one.id), who.agent.bundle.agent.models.unsure
        if verdict is None or (verdict == "unsure" and unsure != "exclude"):
            below = BELOW if verdict == "unsure" and unsure == "include" else 0.0
            applies, reason = one.score >= threshold - below, "threshold"
        else:
            applies, reason = verdict == "applies", str(verdict)
        if applies:
            why = f"the model says that it applies; scored {one.score:.4f}" if verdict == "applies" else ""
            yield msgspec.structs.replace(one, why=why)
        else:
            dropped.setdefault(reason, []).append(one.id)


def _refused(who: Identified, rule: CompiledRule, positions: frozenset[str]) -> str:
    """The certain filters: enabled, scope, cooldown, number of firings."""
    spec, session = rule.rule, who.turn.session
    if not spec.enabled:
        return "disabled"
    if spec.scope_id is not None and spec.scope_id not in positions:
        return "scope"
    if spec.cooldown and spec.id in session.rule_last_turn and \
            who.number - session.rule_last_turn[spec.id] <= spec.cooldown:
        return "cooldown"
    if spec.max_fires and session.rule_fires.get(spec.id, 0) >= spec.max_fires:
        return "max_fires"
    return ""


def _unfit(rule: CompiledRule, hit: Hit, names: Names, threshold: float) -> str:
    if hit.score < threshold:
        return "threshold"
    if rule.when is not None:
        true, fault = holds(rule.when, names)
        return "" if true else f"when: {fault}" if fault else "when"
    return ""


def _why(one: Applied, threshold: float) -> str:
    condition = f" and {one.rule.rule.when}" if one.rule.rule.when else ""
    return f"scored {one.score:.4f}, at least {threshold:g}{condition}"


def _select(ranked: list[Applied], selector: Selector | None) -> tuple[list[Applied], dict[str, Any]]:
    """Without a selector the first MAX_RULES: what was decided rule by rule has no gap to look for (on nlupp a cut at
    the gap costs 5 points of F1). Hard rules are never cut: a constraint binds however likely others are."""
    bound = [one for one in ranked if one.rule.rule.hard]
    free = [one for one in ranked if not one.rule.rule.hard] if bound else ranked
    if len(free) < 2:
        return ranked, {}
    if selector is None:
        kept, found = free[:MAX_RULES], dict[str, Any](method="each")
    else:
        kept, found = _cut(free, selector)
    chosen = {one.id for one in kept}
    found["cut"] = [one.id for one in free if one.id not in chosen]
    return sorted((*kept, *bound), key=law) if bound else kept, found


def _cut(ranked: list[Applied], selector: Selector) -> tuple[list[Applied], dict[str, Any]]:
    """Those above the gap, and none that the first leads by far."""
    cut = selector.select([one.rank for one in ranked], max_k=MAX_RULES, min_k=1)
    places = range(cut.keep) if cut.places is None else cut.places
    return [ranked[place] for place in places], {"method": cut.method, "cutoff": cut.cutoff}


def _expanded(who: Identified, kept: list[Applied], positions: frozenset[str],
              notes: dict[str, Any]) -> tuple[list[Applied], tuple[str, ...], frozenset[str]]:
    """(rules, scenarios that begin, scenarios that may not), by the edges of the rules that apply and of the scenarios
    and steps where the conversation stands."""
    places = sorted(positions & who.agent.places)
    added, removed = related(who.agent.edges, [*(one.id for one in kept), *places], who.agent.scenarios)
    rules, scenarios = who.agent.rules, who.agent.scenarios
    derived = [Applied(rule=rules[target], score=0.0, why=why) for target, why in added.items()
               if target in rules and not _refused(who, rules[target], positions)]
    notes["related"] = {"added": [one.id for one in derived], "removed": removed}
    begins = tuple(target for target in added if target in scenarios)
    if begins:
        notes["related"]["begins"] = list(begins)
    return (sorted((one for one in (*kept, *derived) if one.id not in removed), key=law), begins,
            frozenset(removed) & scenarios.keys())
