"""Compares two versions of an agent's scenarios step by step, and says what becomes of conversations at each.

Wording decides nothing: a step is known again by its id, or by what it collects, calls and requires. So an edited
sentence moves nobody.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from ruche.storage.model.bundle import AgentBundle
from ruche.storage.model.migration import Changes, MoveKind, ScenarioChange, StepMove
from ruche.storage.model.run import canonical
from ruche.storage.model.scenario import Scenario, Step

_WORDING = {"id", "description", "say", "ask", "confirm", "checkpoint", "next"}


def content_hash(step: Step) -> str:
    """What a step does, without how it is worded, what it is called and where it leads."""
    kept = step.model_dump(mode="json", exclude=_WORDING, exclude_defaults=True)
    shape = {**kept, "asks": bool(step.ask or step.collects), "confirms": step.confirm is not None,
             "checkpoint": bool(step.checkpoint)}
    return hashlib.sha256(canonical(shape)).hexdigest()[:16]


def changes_between(old: AgentBundle, new: AgentBundle) -> Changes:
    """The scenarios of `old` whose conversations may have to move."""
    later = {scenario.id: scenario for scenario in new.scenarios}
    found = (scenario_change(scenario, later.get(scenario.id)) for scenario in old.scenarios)
    return Changes(scenarios=tuple(change for change in found if change is not None))


def scenario_change(old: Scenario, new: Scenario | None) -> ScenarioChange | None:
    """None when both have the same structure."""
    if new is None:
        gone = StepMove(kind="exit", why="the scenario is gone")
        return ScenarioChange(scenario=old.id, steps={step.id: gone for step in old.steps})
    compared = _Comparison(old, new)
    if compared.same:
        return None
    return ScenarioChange(scenario=old.id, steps={step.id: compared.move(step) for step in old.steps},
                          altered=tuple(compared.altered))


class _Comparison:
    """Two graphs and the steps that are the same in both."""

    def __init__(self, old: Scenario, new: Scenario) -> None:
        self._old = {step.id: step for step in old.steps}
        self._new = {step.id: step for step in new.steps}
        self._same = _anchors(self._old, self._new)
        self._origin = {to: name for name, to in self._same.items()}
        self._before_old, self._before_new = _before(self._old), _before(self._new)
        self._after_new = _after(self._new)
        self.altered = [to for name, to in self._same.items()
                        if self._leads(self._old[name], self._same) != self._leads(self._new[to], {})]
        self._changed = {to for name, to in self._same.items()
                         if content_hash(self._old[name]) != content_hash(self._new[to])}
        self.same = (not self.altered and not self._changed and len(self._same) == len(self._old) == len(self._new)
                     and all(name == to for name, to in self._same.items())
                     and old.first == new.first)

    def move(self, step: Step) -> StepMove:
        to = self._same.get(step.id)
        if to is None:
            return StepMove(kind="relocate", why=f"step {step.id} is gone")
        before = self._before_new[to]
        inserted = tuple(name for name in self._new if name in before and name not in self._origin)
        removed = tuple(name for name in self._old if name in self._before_old[step.id] and name not in self._same)
        forks = tuple(name for name in self.altered if name in before)
        ahead = any(name in self._after_new[to] and (name in self.altered or name in self._changed
                                                     or name not in self._origin)
                    for name in self._new) or to in self.altered
        kind, why = self._kind(inserted, forks)
        renamed = f"; {step.id} is called {to} now" if to != step.id else ""
        return StepMove(to=to, kind=kind, inserted=inserted, removed=removed, forks=forks, ahead=ahead,
                        why=why + renamed)

    def _kind(self, inserted: tuple[str, ...], forks: tuple[str, ...]) -> tuple[MoveKind, str]:
        divided = [name for name in forks if len(self._new[name].next) > 1]
        if divided:
            return "re_route", f"the way divides anew at {', '.join(divided)}"
        if inserted:
            return "gap_fill", f"{', '.join(inserted)} came before it"
        return "graft", "nothing before it changed"

    @staticmethod
    def _leads(step: Step, names: Mapping[str, str]) -> list[tuple[object, ...]]:
        """The transitions, with targets by their later names."""
        return [(names.get(edge.to, edge.to), edge.when, edge.if_ is not None, edge.intent, edge.priority, edge.reopen)
                for edge in step.next]


def _anchors(old: Mapping[str, Step], new: Mapping[str, Step]) -> dict[str, str]:
    """Step of the earlier version to the same step of the later: by id, else by content where only one has it."""
    same = {name: name for name in old if name in new}
    left = [step for name, step in old.items() if name not in same]
    fresh = [step for name, step in new.items() if name not in same]
    counts = Counter(content_hash(step) for step in left)
    counts_new = Counter(content_hash(step) for step in fresh)
    by_content = {content_hash(step): step.id for step in fresh}
    for step in left:
        content = content_hash(step)
        if counts[content] == counts_new[content] == 1 and _does_something(step):
            same[step.id] = by_content[content]
    return same


def _does_something(step: Step) -> bool:
    return bool(step.collects or step.tools or step.requires or step.confirm)


def _before(steps: Mapping[str, Step]) -> dict[str, set[str]]:
    """Step to all steps from which it can be reached, itself left out."""
    back: dict[str, set[str]] = {name: set() for name in steps}
    for name, step in steps.items():
        for edge in step.next:
            if edge.to in back:
                back[edge.to].add(name)
    return {name: _closure(name, back) for name in steps}


def _after(steps: Mapping[str, Step]) -> dict[str, set[str]]:
    forward = {name: {edge.to for edge in step.next if edge.to in steps} for name, step in steps.items()}
    return {name: _closure(name, forward) for name in steps}


def _closure(start: str, edges: Mapping[str, Iterable[str]]) -> set[str]:
    found: set[str] = set()
    waiting = [*edges[start]]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting.extend(edges[name])
    return found - {start}


def warnings_of(changes: Changes) -> Iterator[str]:
    """What a reviewer should look at first."""
    for change in changes.scenarios:
        for name, move in change.steps.items():
            if move.kind in ("exit", "relocate"):
                end = "ends" if move.kind == "exit" else "goes back to the last step that still exists"
                yield f"{change.scenario}/{name}: {move.why}; who stands there {end}"
