"""Asks an agent what each message would match, through the engine's own explanation: retrieval, filters, selection."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from ruche.engine.evaluation.rows import Row
from ruche.plugins.errors import ConfigurationError
from ruche.storage.model.bundle import AgentBundle

if TYPE_CHECKING:
    from ruche.engine import Engine
    from ruche.engine.brain.explain import Explained

Told = Callable[[int, int], None]
"""Hears how many of how many messages are asked."""


class Answer(NamedTuple):
    """What one message matched. `fired` is in order of rank; `scores` holds every rule's and scenario's."""

    row: Row
    fired: tuple[str, ...]
    scores: dict[str, float]
    ms: float


def known_ids(bundle: AgentBundle) -> frozenset[str]:
    """What a message can match: rules that are not tied to a place, and scenarios."""
    return frozenset((*(rule.id for rule in bundle.rules if rule.enabled and rule.scope == "GLOBAL"),
                      *(scenario.id for scenario in bundle.scenarios if scenario.enabled)))


def hard_ids(bundle: AgentBundle) -> frozenset[str]:
    """Rules that hold in every conversation, whatever a message says."""
    return frozenset(rule.id for rule in bundle.rules if rule.hard)


def examples_of(bundle: AgentBundle) -> frozenset[str]:
    """What its rules, intents and scenarios learn from, in small letters."""
    texts = ([rule.examples for rule in bundle.rules], [intent.examples for intent in bundle.intents],
             [scenario.examples for scenario in bundle.scenarios])
    return frozenset(text.strip().lower() for kind in texts for found in kind for text in found)


def check_labels(rows: Sequence[Row], bundle: AgentBundle) -> None:
    """Raises ConfigurationError when rows name what the agent does not have."""
    unknown = sorted({name for row in rows for name in row.wanted} - known_ids(bundle))
    if unknown:
        shown = ", ".join(unknown[:10]) + (f" and {len(unknown) - 10} more" if len(unknown) > 10 else "")
        raise ConfigurationError(f"the agent {bundle.id} has no rule or scenario called {shown}; correct the rows, or "
                                 "leave them out")


async def ask(engine: Engine, bundle: AgentBundle, rows: Sequence[Row], told: Told) -> list[Answer]:
    """Every message as the first of a new conversation, in order. Nothing is said, called or kept."""
    known = known_ids(bundle)
    answers = []
    for number, row in enumerate(rows, start=1):
        begun = time.perf_counter()
        explained = await engine.explain(bundle.tenant, bundle.id, row.text)
        ms = 1000.0 * (time.perf_counter() - begun)
        scores = {one.id: one.score for one in explained.rules if one.id in known}
        scores.update((one.id, one.score) for one in explained.scenarios if one.id in known)
        answers.append(Answer(row, _fired(explained, known), scores, ms))
        told(number, len(rows))
    return answers


def _fired(explained: Explained, known: frozenset[str]) -> tuple[str, ...]:
    rules = [(one.score, one.id) for one in explained.rules if one.verdict == "applied" and one.id in known]
    begun = [(one.score, one.id) for one in explained.scenarios if any(action == "START" for action, _ in one.actions)]
    return tuple(name for _, name in sorted((*rules, *begun), key=lambda one: (-one[0], one[1])))
