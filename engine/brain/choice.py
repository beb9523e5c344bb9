"""Rules that exclude each other and fit a message equally well: the person is asked once which one is meant."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from typing import Any

from ruche.engine.brain.identify import Identified
from ruche.engine.brain.parts import CompiledRule
from ruche.engine.brain.ranked import Applied, law
from ruche.engine.brain.signals import words_of
from ruche.engine.brain.words import FIRST, SECOND

CHOICE = "choice"
EQUALLY = 0.05
"""Ranks that are nearer than this do not tell which of two rules is meant."""
MOST = 5
"""Rules that one question names."""


def awaited(who: Identified) -> tuple[str, ...]:
    """The rules that the last reply asked about; empty when it asked about none."""
    pending = who.turn.session.pending
    if pending is None or pending.kind != CHOICE:
        return ()
    names = tuple(pending.subject.split("|"))
    return names if 2 <= len(names) <= MOST and all(name in who.agent.rules for name in names) else ()


def disentangled(who: Identified, kept: list[Applied], notes: dict[str, Any],
                 which: tuple[str, ...] = ()) -> tuple[list[Applied], tuple[CompiledRule, ...]]:
    """(rules that apply, those of which one must be chosen). Nobody is asked twice: without a choice the rank decides.
    `which`: what a model says must be asked; it may name only what the author declared to exclude each other."""
    asked = awaited(who)
    if asked and not (which and set(which) != set(asked)):
        chosen = _chosen(who, asked, kept)
        if not chosen:
            return kept, ()
        notes["chosen"] = chosen
        one = Applied(rule=who.agent.rules[chosen], score=1.0, why="was chosen when the agent asked",
                      weight=1.0 if who.agent.weighted else None)
        return sorted((one, *(other for other in kept if other.id not in asked)), key=law), ()
    unclear = _meant(who, which) or next(_rivals(who, kept), ())
    if not unclear:
        return kept, ()
    notes["unclear"] = list(unclear)
    return [rule for rule in kept if rule.id not in unclear], tuple(who.agent.rules[name] for name in unclear)


def _meant(who: Identified, which: tuple[str, ...]) -> tuple[str, ...]:
    """What a model wants asked, where each excludes each other and all can be named in a question."""
    able = 2 <= len(which) <= MOST and all(who.agent.rules[name].topic is not None for name in which)
    return which if able and all(frozenset(pair) in who.agent.rivals for pair in combinations(which, 2)) else ()


def _rivals(who: Identified, kept: list[Applied]) -> Iterator[tuple[str, ...]]:
    """Pairs that exclude each other, that nothing ranks, and that can be named in a question."""
    if not who.agent.rivals:
        return
    for one, other in combinations(kept, 2):
        if (frozenset((one.id, other.id)) in who.agent.rivals and round(one.rank - other.rank, 4) < EQUALLY
                and one.rule.rule.priority == other.rule.rule.priority
                and one.rule.topic is not None and other.rule.topic is not None):
            yield one.id, other.id


def _chosen(who: Identified, asked: tuple[str, ...], kept: list[Applied]) -> str:
    """The one that the answer names, by its own words or by its place; else the one that the answer resembles."""
    words = set(words_of(who.text.lower()))
    topics = [set(words_of(who.agent.rules[name].rule.topic.lower())) for name in asked]
    named = [len(words & topic.difference(*(other for other in topics if other is not topic))) for topic in topics]
    if len(set(named)) == 1:
        named = [len(words & FIRST), len(words & SECOND), *(0 for _ in asked[2:])]
    best = max(named)
    if named.count(best) == 1:
        return asked[named.index(best)]
    near = [one for one in kept if one.id in asked]
    if len(near) == 1 or (len(near) > 1 and round(near[0].rank - near[1].rank, 4) >= EQUALLY):
        return near[0].id
    return ""
