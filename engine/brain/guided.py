"""Where a scenario goes by a model's word: along ways of the author's graph that hold, and no further.

The word stands for what only somebody who understands can tell: that a worded condition holds, that a question whose
answer is no field was answered, that an earlier answer changed. Everything certain is certain still: expressions,
fields, confirmations, tools, checkpoints and required actions. What a word asks beyond that is refused with the reason.
"""

from __future__ import annotations

from itertools import pairwise

import msgspec

from ruche.engine.brain.correct import behind
from ruche.engine.brain.desk import Desk
from ruche.engine.brain.graphs import CompiledScenario
from ruche.engine.brain.learn import reopened
from ruche.engine.brain.names import holds
from ruche.engine.brain.parts import CompiledStep, CompiledTransition
from ruche.engine.brain.transitions import View
from ruche.engine.brain.walk import (
    Standing,
    anywhere,
    asks_freely,
    enter,
    lacks,
    may_pass,
    missing,
    not_wanted,
    remembering,
    unfinished,
    waits,
)

SAYS = "the model says so"


class Refused(Exception):
    """Why the word is not followed."""


def led(desk: Desk, standing: Standing, path: tuple[str, ...], view: View, *, confirmed: bool = False,
        blocked: bool = False) -> Standing | None:
    """The scenario where the path leads, or as far on it as may be gone; None where the word is refused. `blocked`:
    only a condition leads out of the current step."""
    rest = path[1:] if path[0] == standing.instance.step else path
    if not rest:
        return msgspec.structs.replace(standing, returned=True)
    try:
        return _first(desk, standing, rest, view, confirmed=confirmed, blocked=blocked)
    except Refused as refused:
        unheeded(desk, standing.scenario.id, f"{' > '.join(path)}: {refused}")
        return None


def linked(desk: Desk, scenario: CompiledScenario, path: tuple[str, ...]) -> bool:
    """Whether transitions lead all along the path from the scenario's first step; the reason is noted where not."""
    whole = path if path[0] == scenario.first.id else (scenario.first.id, *path)
    gap = next(((one, other) for one, other in pairwise(whole)
                if all(edge.to != other for edge in scenario.steps[one].next)), None)
    if gap is not None:
        unheeded(desk, scenario.id, f"{' > '.join(path)}: no transition leads from {gap[0]} to {gap[1]}")
    return gap is None


def led_in(desk: Desk, standing: Standing, path: tuple[str, ...]) -> Standing | None:
    """A scenario that begins, as far on the path as may be gone; None where the word is refused."""
    first = standing.scenario.first
    try:
        return _arrive(desk, standing, first, path[1:] if path[0] == first.id else path, SAYS)
    except Refused as refused:
        unheeded(desk, standing.scenario.id, f"{' > '.join(path)}: {refused}")
        return None


def unheeded(desk: Desk, scenario: str, why: str) -> None:
    """Note why a word on a scenario is not followed."""
    desk.notes.setdefault("refused", {})[scenario] = why


def _first(desk: Desk, standing: Standing, path: tuple[str, ...], view: View, *, confirmed: bool,
           blocked: bool) -> Standing:
    """Over the first of its steps: one that follows, one that was gone through, or one that is open from anywhere."""
    step, target = standing.step, standing.scenario.steps[path[0]]
    waiting = waits(standing, desk.known, view.names, confirmed)
    if standing.instance.back is not None or (unfinished(standing) and not waiting):
        raise Refused("the step has work to do first")
    edge, why = _edge(step.next, step, target, msgspec.structs.replace(view, satisfied=not (waiting or blocked)))
    if edge is None and any(one.id == target.id for one in behind(standing)):
        return _back(desk, standing, target, path[1:])
    if edge is None and not blocked:
        edge, _ = _edge(anywhere(standing), step, target, view)
    if edge is None:
        raise Refused(why)
    if edge.spec.reopen:
        standing = remembering(standing, desk.ledger.names)
        desk.reopen(edge, view, desk.known)
    return _arrive(desk, standing, target, path[1:], SAYS)


def _back(desk: Desk, standing: Standing, target: CompiledStep, rest: tuple[str, ...]) -> Standing:
    """To a step that was gone through, whose answer is asked anew where the path ends there. What was done is not done
    again but by the ways that lead to it."""
    if target.spec.tools or target.spec.scenario is not None:
        raise Refused(f"what {target.id} does is done")
    if not rest:
        given = desk.knowledge.learned
        desk.ledger.know(reopened(desk.knowledge, tuple(
            field.name for field in target.collects if field.name not in given)))
    moved = _arrive(desk, standing, target, rest, f"back, {SAYS}")
    return msgspec.structs.replace(moved, returned=True, left=standing.left)


def _arrive(desk: Desk, standing: Standing, at: CompiledStep, rest: tuple[str, ...], why: str) -> Standing:
    """At `at`, or on along the rest over steps that may be passed; what only says something is said in passing."""
    turn, seen = desk.who.number, {at.id}
    onward = msgspec.structs.replace(desk.view, words=True, satisfied=True)
    been = {visit.step for visit in standing.instance.visits}
    for name in rest:
        if name == at.id:
            continue
        kept = _kept(desk, at, been)
        if kept:
            why = f"{why}, as far as {at.id}: {kept}"
            break
        edge, fault = _edge(at.next, at, standing.scenario.steps[name], onward)
        if edge is None or edge.spec.reopen or name in seen:
            raise Refused(fault or f"{name} is not come to in passing")
        standing = (enter(standing, at, turn, why) if _speaks(at, been) else
                    msgspec.structs.replace(standing, skipped=(*standing.skipped, at.id)))
        at = standing.scenario.steps[name]
        seen.add(name)
    entered = enter(standing, at, turn, why)
    return msgspec.structs.replace(entered, why=(*standing.why, why), silent=not_wanted(at, desk.view, desk.known))


def _edge(edges: tuple[CompiledTransition, ...], step: CompiledStep, target: CompiledStep,
          view: View) -> tuple[CompiledTransition | None, str]:
    """The first of the edges to the target that nothing certain forbids; else why there is none."""
    faults = []
    for edge in edges:
        if edge.to == target.id:
            fault = _forbids(edge, view)
            if not fault:
                return edge, ""
            faults.append(fault)
    return None, faults[0] if faults else f"no transition leads from {step.id} to {target.id}"


def _forbids(edge: CompiledTransition, view: View) -> str:
    if not edge.by_words and not view.satisfied:
        return "the step still waits for an answer"
    if edge.when is not None and not holds(edge.when, view.names)[0]:
        return f"{edge.spec.when} is not true"
    if edge.polarity and view.answer and edge.polarity != view.answer:
        return f"the answer was {view.answer}"
    if edge.spec.intent is not None and view.intent not in ("", edge.spec.intent):
        return f"the intent is {view.intent}"
    return ""


def _kept(desk: Desk, step: CompiledStep, been: set[str]) -> str:
    """Why a step may not be passed; empty when it may. One that was carried out before may be, unless it does more than
    ask and say."""
    names = desk.ledger.names
    spec = step.spec
    if spec.checkpoint or spec.required_action:
        return "it is never skipped"
    if not_wanted(step, desk.view, desk.known) or may_pass(step, desk.known, desk.view):
        return ""
    if spec.tools or step.confirm is not None or spec.scenario is not None:
        return "it has work to do"
    if missing(step, desk.known, names) or lacks(step, names, desk.known):
        return "it lacks an answer"
    if asks_freely(step) and not spec.can_skip and step.id not in been:
        return "its question is to be asked"
    return ""


def _speaks(step: CompiledStep, been: set[str]) -> bool:
    """True for a step that says something and is carried out in passing."""
    return step.say is not None and step.ask is None and not step.spec.can_skip and step.id not in been
