"""Going back and correcting: a scenario returns to where an answer was given and finds its way anew from there.

Nothing behind a checkpoint that was passed is opened again.
"""

from __future__ import annotations

import msgspec

from ruche.engine.brain.parts import CompiledStep
from ruche.engine.brain.transitions import View, choose
from ruche.engine.brain.walk import Known, Standing, enter, missing


def previous(standing: Standing) -> CompiledStep | None:
    """The step before the current one that asked something, None when there is none or a checkpoint stands between."""
    here = standing.instance.step
    for step in behind(standing):
        if step.id != here and (step.collects or step.ask is not None):
            return step
    return None


def step_back(standing: Standing, step: CompiledStep, turn: int) -> Standing:
    """The scenario at an earlier step, to ask again."""
    back = enter(standing, step, turn, "went back on request")
    return msgspec.structs.replace(back, returned=True, left=standing.left,
                                   actions=(*standing.actions, ("CONTINUE", "went back on request")))


def rerouted(standing: Standing, corrected: tuple[str, ...], view: View, known: Known, turn: int) -> Standing:
    """The scenario after answers were changed: where it was when nothing else follows from them, else where the changed
    answers lead. A step whose tools may have used an old answer is carried out again."""
    start = next((step for step in reversed(list(behind(standing)))
                  if any(field.name in corrected for field in step.collects)), None)
    if start is None or start.id == standing.instance.step:
        return standing
    target = _way(standing, start, msgspec.structs.replace(view, words=False, satisfied=True), known)
    if target.id == standing.instance.step and not target.spec.tools:
        return standing
    why = f"{', '.join(sorted(corrected))} was corrected"
    moved = enter(standing, target, turn, why)
    return msgspec.structs.replace(moved, left=standing.left, actions=(*standing.actions, ("CONTINUE", why)))


def _way(standing: Standing, start: CompiledStep, view: View, known: Known) -> CompiledStep:
    """From `start` along what holds now, over steps that were carried out before and need nothing."""
    been = {visit.step for visit in standing.instance.visits} - {standing.instance.step}
    at, seen = start, {start.id}
    while True:
        choice = choose(at, view)
        if choice.taken is None or choice.taken.to in seen or choice.taken.spec.reopen:
            return at if at is not start else standing.step
        at = standing.scenario.steps[choice.taken.to]
        seen.add(at.id)
        if at.id not in been or at.spec.tools or at.confirm is not None or missing(at, known, view.names):
            return at


def behind(standing: Standing) -> list[CompiledStep]:
    """Steps visited, latest first, back to the last checkpoint; the current step is not among them unless visited
    before."""
    steps = standing.scenario.steps
    behind: list[CompiledStep] = []
    for visit in reversed(standing.instance.visits):
        step = steps.get(visit.step)
        if step is None or (step.spec.checkpoint and step.id != standing.instance.step):
            break
        behind.append(step)
    return behind
