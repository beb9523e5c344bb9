"""Two rules that exclude each other and fit a message equally well: the person is asked once which one is meant."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ruche.engine.brain.identify import Identified
from ruche.engine.brain.parts import CompiledRule
from ruche.engine.brain.ranked import Applied, law
from ruche.engine.brain.signals import words_of
from ruche.engine.brain.words import FIRST, SECOND

CHOICE = "choice"
EQUALLY = 0.05
"""Ranks that are nearer than this do not tell which of two rules is meant."""


def awaited(who: Identified) -> tuple[str, ...]:
    """The two rules that the last reply asked about; empty when it asked about none."""
    pending = who.turn.session.pending
    if pending is None or pending.kind != CHOICE:
        return ()
    names = tuple(pending.subject.split("|"))
    return names if len(names) == 2 and all(name in who.agent.rules for name in names) else ()


def disentangled(who: Identified, kept: list[Applied],
                 notes: dict[str, Any]) -> tuple[list[Applied], tuple[CompiledRule, ...]]:
    """(rules that apply, two of which one must be chosen). Nobody is asked twice: without a choice the rank decides."""
    asked = awaited(who)
    if asked:
        chosen = _chosen(who, asked, kept)
        if not chosen:
            return kept, ()
        notes["chosen"] = chosen
        one = Applied(rule=who.agent.rules[chosen], score=1.0, why="was chosen when the agent asked",
                      weight=1.0 if who.agent.weighted else None)
        return sorted((one, *(other for other in kept if other.id not in asked)), key=law), ()
    for one, other in _rivals(who, kept):
        notes["unclear"] = [one.id, other.id]
        return [rule for rule in kept if rule not in (one, other)], (one.rule, other.rule)
    return kept, ()


def _rivals(who: Identified, kept: list[Applied]) -> Iterator[tuple[Applied, Applied]]:
    """Pairs that exclude each other, that nothing ranks, and that can be named in a question."""
    if not who.agent.rivals:
        return
    for place, one in enumerate(kept):
        for other in kept[place + 1:]:
            if (frozenset((one.id, other.id)) in who.agent.rivals and round(one.rank - other.rank, 4) < EQUALLY
                    and one.rule.rule.priority == other.rule.rule.priority
                    and one.rule.topic is not None and other.rule.topic is not None):
                yield one, other


def _chosen(who: Identified, asked: tuple[str, ...], kept: list[Applied]) -> str:
    """The one that the answer names, by its own words or by its place; else the one that the answer resembles."""
    words = set(words_of(who.text.lower()))
    topics = [set(words_of(who.agent.rules[name].rule.topic.lower())) for name in asked]
    first, second = (len(words & (topic - other)) for topic, other in (topics, topics[::-1]))
    if first == second:
        first, second = len(words & FIRST), len(words & SECOND)
    if first != second:
        return asked[0] if first > second else asked[1]
    near = [one for one in kept if one.id in asked]
    if len(near) == 1 or (len(near) == 2 and round(near[0].rank - near[1].rank, 4) >= EQUALLY):
        return near[0].id
    return ""
