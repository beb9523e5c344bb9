"""Conversations that began with an earlier version of a scenario: where each goes on in the one of now.

A step that is still there keeps its conversations, however it is worded. What the later version asks before it is made
up for where something after it needs it; a way that divides anew is found again; nothing goes behind a checkpoint.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from ruche.engine.brain.fields import CompiledField
from ruche.engine.brain.graphs import CompiledScenario
from ruche.engine.brain.identify import Identified
from ruche.engine.brain.parts import CompiledStep
from ruche.engine.brain.recall import recalled
from ruche.engine.brain.reopen import Ledger
from ruche.engine.brain.settle import ended
from ruche.engine.brain.transitions import View, choose
from ruche.engine.brain.walk import Standing, enter, not_wanted, reach
from ruche.storage.model.conversation import Back, ScenarioInstance, StepVisit
from ruche.storage.model.migration import ScenarioChange, StepPolicy


class Moved(msgspec.Struct, frozen=True, kw_only=True):
    """A scenario where it goes on, None when it cannot; and why."""

    standing: Standing | None
    note: str


def moved(who: Identified, instance: ScenarioInstance, change: ScenarioChange, ledger: Ledger, view: View) -> Moved:
    """What becomes of one scenario in progress."""
    scenario = who.agent.scenarios.get(instance.scenario)
    move = change.steps.get(instance.step)
    if scenario is None or not scenario.spec.enabled:
        return Moved(standing=None, note=f"at {instance.step}: the scenario is gone")
    visits = tuple(_visits(instance.visits, change, scenario))
    to = move.to if move is not None and move.to in scenario.steps else ""
    relocated = not to
    to = to or next((visit.step for visit in reversed(visits)), "")
    policy = _policy(who, instance.step, change)
    action = "automatic" if policy is None else policy.action
    if not to or action == "exit":
        why = "as the operator decided" if to else "no step of its way is left"
        return Moved(standing=None if not to else ended(_at(scenario, instance, to, visits), "CANCEL", why),
                     note=f"at {instance.step}: ends, {why}")
    standing = _at(scenario, instance, to, visits)
    if action == "restart" and not _passed(standing):
        fresh = msgspec.structs.replace(standing, instance=msgspec.structs.replace(standing.instance, visits=()))
        return Moved(standing=_entered(fresh, scenario.first.id, who, "begins anew in the later version"),
                     note=f"at {instance.step}: begins anew, as the operator decided")
    if relocated or action != "automatic":
        why = "is gone, the last step that is left" if relocated else "stays, as the operator decided"
        return Moved(standing=msgspec.structs.replace(standing, returned=relocated), note=f"at {instance.step}: {why}"
                     f" is {to}")
    return _Way(who, change, ledger, view, standing).found(instance.step)


class _Way:
    """The way of one conversation through the later version, from where it began to where it stands."""

    def __init__(self, who: Identified, change: ScenarioChange, ledger: Ledger, view: View,
                 standing: Standing) -> None:
        self._who, self._change, self._ledger = who, change, ledger
        self._view = msgspec.structs.replace(view, words=False, satisfied=True)
        self._standing, self._scenario = standing, standing.scenario
        kept = {move.to for move in change.steps.values()}
        self._inserted = {name for name in self._scenario.steps if name not in kept}

    def found(self, left: str) -> Moved:
        here = self._standing.instance.step
        ways = list(dict.fromkeys([*(visit.step for visit in self._standing.instance.visits), here]))
        ways = [*(name for name in ways if name != here), here]
        made_up: list[str] = []
        for place, name in enumerate(ways[:-1]):
            if name not in self._change.altered:
                continue
            new, leads = self._onward(name, ways[place + 1:])
            if leads and self._stands_before_checkpoint(leads):
                return Moved(standing=self._standing,
                             note=f"at {left}: stays at {here}; the way leads to {leads}, behind a checkpoint")
            if leads:
                why = f"the way from {name} leads to {leads} now"
                return Moved(standing=_entered(self._standing, leads, self._who, why), note=f"at {left}: {why}")
            made_up += [step for step in new if step not in made_up]
        return self._made_up(left, made_up)

    def _onward(self, name: str, rest: list[str]) -> tuple[list[str], str]:
        """(new steps on the way from `name` to one that was gone to, or the other step that the way leads to)."""
        new: list[str] = []
        choice = choose(self._scenario.steps[name], self._view)
        while choice.taken is not None and choice.taken.to not in new and choice.taken.to != name:
            to = choice.taken.to
            if to in rest:
                return new, ""
            if to not in self._inserted:
                return [], to
            new.append(to)
            choice = choose(self._scenario.steps[to], self._view)
        return new, ""

    def _made_up(self, left: str, new: list[str]) -> Moved:
        """The first of the new steps that something needs, else the place itself."""
        here = self._standing.instance.step
        self._recall(new)
        through = [name for name in new if self._worthwhile(self._scenario.steps[name])]
        if not through:
            note = f"at {left}: goes on at {here}"
            return Moved(standing=self._standing, note=note)
        if self._stands_before_checkpoint(through[0]):
            return Moved(standing=self._standing, note=f"at {left}: goes on at {here}; {', '.join(through)} would be "
                                                       "behind a checkpoint")
        instance = self._standing.instance
        back = Back(step=here, through=tuple(through), done_tools=instance.done_tools, confirmed=instance.confirmed)
        standing = _entered(self._standing, through[0], self._who, "the later version asks this before")
        standing = msgspec.structs.replace(standing, instance=msgspec.structs.replace(standing.instance, back=back))
        return Moved(standing=standing, note=f"at {left}: makes up for {', '.join(through)}, then goes on at {here}")

    def _recall(self, new: list[str]) -> None:
        """Values that were said earlier need not be asked for."""
        fields = [field for name in new for field in _fields(self._scenario.steps[name])]
        wanted = tuple(field for field in fields if field.name not in self._ledger.known)
        if wanted:
            self._ledger.know(recalled(self._who, self._ledger.knowledge, wanted))

    def _worthwhile(self, step: CompiledStep) -> bool:
        """Whether a new step must be gone through: it does something, or asks what is needed from here on."""
        spec = step.spec
        if not_wanted(step, self._view, self._ledger.known):
            return False
        if spec.required_action or spec.checkpoint or spec.scenario is not None or step.confirm is not None:
            return True
        here = self._standing.instance.step
        needed = {name for at in (here, *reach(self._scenario, here))
                  for name in reads(self._who, self._scenario.steps[at])}
        outputs = {name for binding in spec.tools for name in self._who.agent.tools[binding.tool].tool.outputs}
        return any(field.name in needed and field.name not in self._ledger.known for field in _fields(step)) or any(
            name in needed and name not in self._ledger.names for name in outputs)

    def _stands_before_checkpoint(self, target: str) -> bool:
        return any(name == target or name in reach(self._scenario, target) for name in _passed(self._standing))


def reads(who: Identified, step: CompiledStep) -> Iterator[str]:
    """Names that a step cannot do without: what it requires, and what its conditions, texts and tools read."""
    yield from (field.name for field in (*step.requires, *step.needs))
    yield from step.awaits
    yield from (one.field.name for one in step.demands)
    whens = [step.when, *(edge.when for edge in step.next)]
    tools = [who.agent.tools[binding.tool] for binding in step.spec.tools]
    arguments = [expression for tool in tools for expression in tool.arguments.values()]
    for expression in (*whens, *arguments):
        if expression is not None:
            yield from (name.rpartition(".")[2] for name in expression.names)
    for text in (step.say, step.ask, step.confirm):
        if text is not None:
            yield from (name.rpartition(".")[2] for name in text.template.names)
    yield from (name for tool in tools for name in tool.parameters)


def _fields(step: CompiledStep) -> list[CompiledField]:
    return [*step.collects, *step.requires, *(one.field for one in step.demands)]


def _passed(standing: Standing) -> list[str]:
    """Checkpoints that were gone through and left."""
    here, steps = standing.instance.step, standing.scenario.steps
    return [visit.step for visit in standing.instance.visits if visit.step != here
            and steps[visit.step].spec.checkpoint]


def _visits(visits: tuple[StepVisit, ...], change: ScenarioChange, scenario: CompiledScenario) -> Iterator[StepVisit]:
    """The way so far by the steps of now; steps that are gone are left out."""
    for visit in visits:
        move = change.steps.get(visit.step)
        to = visit.step if move is None else move.to
        if to in scenario.steps:
            yield msgspec.structs.replace(visit, step=to)


def _at(scenario: CompiledScenario, instance: ScenarioInstance, to: str, visits: tuple[StepVisit, ...]) -> Standing:
    back = None if instance.back is None or instance.back.step not in scenario.steps else instance.back
    here = msgspec.structs.replace(instance, step=to, visits=visits, back=back, version=scenario.spec.version)
    return Standing(scenario=scenario, instance=here)


def _entered(standing: Standing, to: str, who: Identified, why: str) -> Standing:
    there = enter(standing, standing.scenario.steps[to], who.number, why)
    return msgspec.structs.replace(there, left=(), why=(*standing.why, why), actions=(("CONTINUE", why),))


def _policy(who: Identified, step: str, change: ScenarioChange) -> StepPolicy | None:
    """The operator's wish for this conversation: that for its step before that for any."""
    session = who.turn.session
    age = (who.now_ms - session.created_ms) // 1000
    fitting: list[Any] = [one for one in change.policies if one.step in (step, "*")
                          and (not one.channels or session.key.channel in one.channels) and age >= one.older_than_s]
    return min(fitting, key=lambda one: one.step == "*", default=None)
