"""A rule that applies, with what ranks it, and the one order of rules."""

from __future__ import annotations

import msgspec

from ruche.engine.brain.parts import CompiledRule


class Applied(msgspec.Struct, frozen=True, kw_only=True):
    rule: CompiledRule
    score: float
    why: str
    weight: float | None = None
    """What orders it instead of the score: in the scoring mode `weighted`, and where a reranker had a say."""

    @property
    def id(self) -> str:
        return self.rule.id

    @property
    def rank(self) -> float:
        return self.score if self.weight is None else self.weight


def law(one: Applied) -> tuple[float, int, str]:
    """Rank descending, priority descending, id ascending."""
    return -one.rank, -one.rule.rule.priority, one.id
