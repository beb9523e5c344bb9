"""Moves one scenario forward: over transitions that hold, through steps that need no answer, past steps whose fields
are known. It may land on a checkpoint and never passes one unexecuted, and it never skips a required action."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec

from ruche.engine.brain.foresee import foreseen
from ruche.engine.brain.graphs import CompiledScenario
from ruche.engine.brain.names import Names, holds, is_false
from ruche.engine.brain.parts import CompiledStep, CompiledTransition, Demand
from ruche.engine.brain.transitions import Choice, View, choose
from ruche.storage.model.conversation import FieldValue, ScenarioInstance, StepVisit

VISITS = 50


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """Where a scenario stands, and what this turn did to it."""

    scenario: CompiledScenario
    instance: ScenarioInstance
    entered: tuple[CompiledStep, ...] = ()
    """Steps entered and carried out in this turn, in order; the last is the current one."""
    left: tuple[CompiledStep, ...] = ()
    """Steps left in this turn after they were carried out."""
    skipped: tuple[str, ...] = ()
    why: tuple[str, ...] = ()
    choices: tuple[Choice, ...] = ()
    silent: bool = False
    """True when the current step is not to be carried out: its own `when` is false."""
    actions: tuple[tuple[str, str], ...] = ()
    """(START | CONTINUE | PAUSE | RESUME | COMPLETE | CANCEL, why), in order."""
    returned: bool = False
    """True when the scenario was taken up again in this turn, so that its question is asked anew."""
    unsaid: str = ""
    """The key of the step that was come to earlier, and is carried out once it has what it requires."""
    told: dict[str, Names] = {}
    """Keys of steps that were carried out before values were forgotten, with the names as they were then."""

    @property
    def step(self) -> CompiledStep:
        return self.scenario.steps[self.instance.step]

    @property
    def fresh(self) -> bool:
        """True when the current step was entered in this turn."""
        return bool(self.entered) and self.entered[-1].id == self.instance.step


Known = dict[str, FieldValue]
Reopen = Callable[[CompiledTransition, View, Known], tuple[View, Known]]
"""Forgets what a transition reopens: what decides and what is known afterwards."""


def missing(step: CompiledStep, known: Known, names: Names, offered: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Fields that the step still needs: those it demands, requires and collects, and those its tools ask for.
    `offered` were asked for once and may stay unknown."""
    fields = [field.name for field in (*step.requires, *step.collects, *step.needs) if field.name not in known]
    if step.demands:
        fields = [*(one.field.name for one in open_demands(step, known, names)
                    if one.spec.fallback in ("ASK", "EXTRACT")
                    and not (one.spec.level == "SOFT" and one.field.name in offered)), *fields]
    return tuple(dict.fromkeys(fields))


def lacks(step: CompiledStep, names: Names, known: Known) -> bool:
    """True while something that the step requires has no value, and nobody can or may be asked for it."""
    return any(name not in names for name in step.awaits) or (bool(step.demands) and any(
        one.spec.level == "HARD" and one.spec.fallback == "BLOCK" for one in open_demands(step, known, names)))


def holds_back(step: CompiledStep, known: Known, names: Names, offered: tuple[str, ...] = ()) -> bool:
    """True while the step is not to be carried out, because something that it requires is unknown."""
    if any(field.name not in known for field in step.requires) or lacks(step, names, known):
        return True
    return bool(step.demands) and any(one.spec.fallback in ("ASK", "EXTRACT") and not (
        one.spec.level == "SOFT" and one.field.name in offered) for one in open_demands(step, known, names))


def waits(standing: Standing, known: Known, names: Names, confirmed: bool) -> bool:
    """True while the current step needs something from the interlocutor."""
    step = standing.step
    if standing.silent:
        return False
    if missing(step, known, names, standing.instance.offered) or (step.confirm is not None and not confirmed):
        return True
    return asks_freely(step) and (standing.fresh or standing.returned)


def asks_freely(step: CompiledStep) -> bool:
    """A question whose answer is no field; the last step's may stay unanswered."""
    return step.ask is not None and not step.collects and not step.spec.terminal


def unfinished(standing: Standing) -> bool:
    """True while tools of the current step have not run, or the scenario within it has not ended."""
    done, spec = standing.instance.done_tools, standing.step.spec
    return not standing.silent and (any(binding.tool not in done for binding in spec.tools if binding.when != "AFTER")
                                    or (spec.scenario is not None and within(spec.scenario) not in done))


def within(scenario: str) -> str:
    """How `done_tools` notes that the scenario within a step has ended."""
    return f"scenario {scenario}"


def begin(scenario: CompiledScenario, view: View, known: Known, turn: int, why: str) -> Standing:
    """A scenario at its first step, or at the first that is worth carrying out."""
    instance = ScenarioInstance(scenario=scenario.id, version=scenario.spec.version, step="", started_turn=turn,
                                last_turn=turn)
    standing = Standing(scenario=scenario, instance=instance, actions=(("START", why),))
    return _land(standing, scenario.first, why, view, known, turn, set())


def enter(standing: Standing, step: CompiledStep, turn: int, why: str) -> Standing:
    """The scenario at `step`, ready to carry it out."""
    old = standing.instance
    visit = StepVisit(step=step.id, turn=turn, reason=why)
    left = (*standing.left, standing.step) if old.step and not standing.silent else standing.left
    instance = msgspec.structs.replace(old, step=step.id, status="active", last_turn=turn, asked=(), done_tools=(),
                                       confirmed=(), unsaid=False, visits=(*old.visits, visit)[-VISITS:])
    return msgspec.structs.replace(standing, instance=instance, entered=(*standing.entered, step), left=left,
                                   silent=False, returned=False)


def walk(standing: Standing, view: View, known: Known, turn: int, reopen: Reopen | None = None, *,
         confirmed: bool = False, blocked: bool = False) -> Standing:
    """As far as it goes in this turn. `view.words` says whether the message may decide about the current step;
    `blocked` that the step's tools failed, so that only a condition leads on; so it is too while it lacks a value."""
    seen = {step.id for step in standing.entered} | {standing.instance.step}
    for _ in range(len(standing.scenario.steps) + 1):
        blocked = blocked or (not standing.silent and lacks(standing.step, view.names, known))
        waiting = waits(standing, known, view.names, confirmed) or blocked
        if not waiting and unfinished(standing):
            return standing
        if standing.instance.back is not None and not waiting:
            standing = returning(standing, view, known, turn)
            view, confirmed, blocked = msgspec.structs.replace(view, words=False), False, False
            continue
        choice = _leave(standing, msgspec.structs.replace(view, satisfied=not waiting), known, blocked=blocked)
        standing = msgspec.structs.replace(standing, choices=(*standing.choices, choice))
        if choice.taken is None:
            return standing
        if choice.taken.to in seen:
            return msgspec.structs.replace(standing, why=(*standing.why, f"{choice.taken.to} was passed in this turn"))
        if choice.taken.spec.reopen and reopen is not None:
            standing = remembering(standing, view.names)
            view, known = reopen(choice.taken, view, known)
        target = standing.scenario.steps[choice.taken.to]
        standing = _land(standing, target, choice.why, view, known, turn, seen)
        view, confirmed, blocked = msgspec.structs.replace(view, words=False), False, False
    return standing


def returning(standing: Standing, view: View, known: Known, turn: int) -> Standing:
    """On towards the step that was left to make up for something: over steps that were carried out before, to the next
    that lacks something, or to that step itself, which takes up where it was."""
    back = standing.instance.back
    if back is None or back.step not in standing.scenario.steps:
        return msgspec.structs.replace(standing, instance=msgspec.structs.replace(standing.instance, back=None))
    target = standing.scenario.steps[back.step]
    onward = msgspec.structs.replace(view, words=False, satisfied=True)
    been = {visit.step for visit in standing.instance.visits}
    at, seen = standing.step, {standing.step.id}
    while at.id != back.step:
        choice = choose(at, onward)
        if choice.taken is None or choice.taken.to in seen:
            break
        at = standing.scenario.steps[choice.taken.to]
        seen.add(at.id)
        if at.id not in been and at.id in back.through:
            return enter(standing, at, turn, "the later version asks this first")
    moved = enter(standing, target, turn, "back to where it was")
    instance = msgspec.structs.replace(moved.instance, back=None, done_tools=back.done_tools, confirmed=back.confirmed)
    return msgspec.structs.replace(moved, instance=instance, entered=standing.entered, left=standing.left,
                                   returned=True)


def remembering(standing: Standing, names: Names) -> Standing:
    """The standing before values are forgotten: what its steps say is still said with these names."""
    steps = (*standing.left, *standing.entered, standing.step)
    return msgspec.structs.replace(standing, told={**{step.key: names for step in steps}, **standing.told})


def _leave(standing: Standing, view: View, known: Known, *, blocked: bool) -> Choice:
    if blocked:
        only = tuple(edge for edge in standing.step.next if edge.conditional)
        return choose(standing.step, msgspec.structs.replace(view, satisfied=True), only)
    choice = choose(standing.step, view)
    if choice.taken is not None:
        return choice
    edges = anywhere(standing) if view.words else ()
    elsewhere = choose(standing.step, view, edges) if edges else choice
    if elsewhere.taken is not None:
        return elsewhere
    return foreseen(standing.scenario, standing.instance, view, choice)


def _land(standing: Standing, target: CompiledStep, why: str, view: View, known: Known, turn: int,
          seen: set[str]) -> Standing:
    """To the target, and on over every step that may be passed by; the last of them is entered."""
    passed: list[str] = []
    onward = msgspec.structs.replace(view, words=False, satisfied=True)
    seen.add(target.id)
    while may_pass(target, known, view):
        next_choice = choose(target, onward)
        if next_choice.taken is None or next_choice.taken.to in seen or next_choice.taken.spec.reopen:
            break
        passed.append(target.id)
        target = standing.scenario.steps[next_choice.taken.to]
        seen.add(target.id)
        why = f"{why}; then {next_choice.why}"
    entered = enter(standing, target, turn, why)
    return msgspec.structs.replace(entered, skipped=(*standing.skipped, *passed), why=(*standing.why, why),
                                   silent=not_wanted(target, view, known))


def may_pass(step: CompiledStep, known: Known, view: View) -> bool:
    """A step may be passed unexecuted when its own `when` is false, or when it can be skipped and asks nothing new."""
    if step.spec.checkpoint or step.spec.required_action:
        return False
    if not_wanted(step, view, known):
        return True
    return (step.spec.can_skip and bool(step.collects) and step.confirm is None and step.spec.scenario is None
            and not missing(step, known, view.names) and not lacks(step, view.names, known))


def not_wanted(step: CompiledStep, view: View, known: Known) -> bool:
    """True when the step's own condition is false, or it is to be left out while a field is unknown; never for
    checkpoints and required actions."""
    if step.spec.checkpoint or step.spec.required_action:
        return False
    if step.when is not None and is_false(step.when, view.names):
        return True
    return bool(step.demands) and any(one.spec.level == "HARD" and one.spec.fallback == "SKIP"
                                      for one in open_demands(step, known, view.names))


def open_demands(step: CompiledStep, known: Known, names: Names) -> Iterator[Demand]:
    """Fields that the step demands now and that are unknown; one whose condition cannot be told is not demanded."""
    for one in step.demands:
        if (one.field.name not in known and all(name in known for name in one.spec.depends_on)
                and (one.when is None or holds(one.when, names)[0])):
            yield one


def anywhere(standing: Standing) -> tuple[CompiledTransition, ...]:
    """Worded edges from elsewhere to steps that are reachable from anywhere, unless a checkpoint stands between. A
    yes or a no answers the question that was asked, and no other."""
    here = standing.instance.step
    return tuple(edge for step in standing.scenario.steps.values() if step.id != here for edge in step.next
                 if edge.by_words and not edge.polarity and edge.to != here
                 and standing.scenario.steps[edge.to].spec.reachable_from_anywhere and open_way(standing, edge.to))


def within_steps(scenario: CompiledScenario, start: str, hops: int) -> set[str]:
    """Steps at most so many transitions away, forwards or backwards."""
    found = {start}
    for _ in range(hops):
        forward = {edge.to for name in found for edge in scenario.steps[name].next}
        backward = {step.id for step in scenario.steps.values() if any(edge.to in found for edge in step.next)}
        found |= forward | backward
    return found


def open_way(standing: Standing, target: str) -> bool:
    """Not past a checkpoint that lies ahead, and not back behind one that was passed."""
    scenario, here = standing.scenario, standing.instance.step
    passed = [visit.step for visit in standing.instance.visits
              if visit.step != here and visit.step in scenario.steps and scenario.steps[visit.step].spec.checkpoint]
    if any(checkpoint in reach(scenario, target) for checkpoint in passed):
        return False
    return target not in reach(scenario, here) or target in reach(scenario, here, through_checkpoints=False)


def reach(scenario: CompiledScenario, start: str, *, through_checkpoints: bool = True) -> set[str]:
    """Steps that can be reached from `start`, itself left out; a checkpoint may always be landed on."""
    found: set[str] = set()
    frontier = [start]
    while frontier:
        step = scenario.steps[frontier.pop()]
        if step.id != start and step.spec.checkpoint and not through_checkpoints:
            continue
        new = [edge.to for edge in step.next if edge.to not in found]
        found.update(new)
        frontier.extend(new)
    return found
