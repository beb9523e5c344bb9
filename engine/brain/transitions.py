"""Which edge a step is left by. A condition that cannot be told does not hold, and two that are equally likely are a
reason to stay: the agent does not guess."""

from __future__ import annotations

from typing import Any

import msgspec

from ruche.engine.brain.names import Names, holds
from ruche.engine.brain.parts import CompiledStep, CompiledTransition

MARGIN = 0.1
"""By which the likeliest meaning must lead the next."""


class View(msgspec.Struct, frozen=True, kw_only=True):
    """What decides about transitions in this turn."""

    names: Names
    scores: dict[str, float]
    """Transition id to the similarity of the message."""
    threshold: float
    intent: str
    intent_score: float
    answer: str
    words: bool = True
    """False where the message has been used up: then only expressions decide, and edges without a condition."""
    satisfied: bool = True
    """False while the step waits for something: then only the message's words lead out of it."""
    said: str = ""
    """The message itself."""
    heard: tuple[str, ...] = ()
    """What was said before it, oldest first."""
    results: dict[str, dict[str, Any]] = {}
    """Keys of steps whose tools ran in this turn, with what they gave."""


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    taken: CompiledTransition | None
    why: str
    considered: tuple[dict[str, Any], ...] = ()


class _Held(msgspec.Struct, frozen=True, kw_only=True):
    transition: CompiledTransition
    score: float
    why: str
    by_meaning: bool


def choose(step: CompiledStep, view: View, edges: tuple[CompiledTransition, ...] | None = None) -> Choice:
    """The edge to take from `step` (among `edges`, when given), or none, with the reason for each."""
    looked = [(edge, *_judge(edge, view)) for edge in (step.next if edges is None else edges)]
    considered = tuple({"to": edge.to, "holds": held, "score": score, "why": why} for edge, held, score, why in looked)
    candidates = [_Held(transition=edge, score=score, why=why, by_meaning=edge.spec.if_ is not None and score < 1.0)
                  for edge, held, score, why in looked if held]
    conditional = [one for one in candidates if one.transition.conditional]
    ranked = sorted(conditional or candidates, key=lambda one: (-one.transition.spec.priority, -one.score))
    if not ranked:
        return Choice(taken=None, why="no transition holds", considered=considered)
    best = ranked[0]
    rival = next((one for one in ranked[1:] if one.transition.to != best.transition.to), None)
    if rival is not None and _too_close(best, rival):
        return Choice(taken=None, considered=considered,
                      why=f"{best.transition.to} and {rival.transition.to} are too close to tell")
    return Choice(taken=best.transition, why=best.why, considered=considered)


def _too_close(best: _Held, rival: _Held) -> bool:
    """Only likeness can be ambiguous; between expressions the author's order decides."""
    return (best.by_meaning and rival.by_meaning and best.transition.spec.priority == rival.transition.spec.priority
            and round(best.score - rival.score, 4) < MARGIN)


def _judge(edge: CompiledTransition, view: View) -> tuple[bool, float, str]:
    """(holds, score, why). All conditions that an edge states must hold."""
    if not edge.conditional:
        return view.satisfied, 0.0, "always" if view.satisfied else "the step still waits for an answer"
    if edge.by_words and not view.words:
        return False, 0.0, "the message was not about this step"
    if not edge.by_words and not view.satisfied:
        return False, 0.0, "the step still waits for an answer"
    score, reasons = 1.0, []
    if edge.when is not None:
        true, fault = holds(edge.when, view.names)
        if not true:
            return False, 0.0, fault or f"{edge.spec.when} is false"
        reasons.append(f"{edge.spec.when} is true")
    if edge.spec.intent is not None:
        if view.intent != edge.spec.intent:
            return False, 0.0, f"the intent is {view.intent or 'not clear'}"
        score, reasons = view.intent_score, [*reasons, f"the intent is {view.intent}"]
    if edge.spec.if_ is not None:
        score = _meaning(edge, view)
        if score < view.threshold:
            return False, score, f"meaning scored {score:.4f}, less than {view.threshold:g}"
        reasons.append(f"meaning scored {score:.4f}")
    return True, score, " and ".join(reasons)


def _meaning(edge: CompiledTransition, view: View) -> float:
    """A plain yes or no decides where the condition asks for one; else the similarity."""
    if view.answer and edge.polarity:
        return 1.0 if view.answer == edge.polarity else 0.0
    return view.scores.get(edge.id, 0.0)
