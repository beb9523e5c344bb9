"""Scenarios within steps of others: begun when the step is reached, waited for, and come back from in the same turn."""

from __future__ import annotations

from typing import Any

import msgspec

from ruche.engine.brain.bindings import is_confirmed
from ruche.engine.brain.identify import Identified
from ruche.engine.brain.learn import remember
from ruche.engine.brain.reopen import Ledger
from ruche.engine.brain.results import outcome_name
from ruche.engine.brain.settle import ended, settled
from ruche.engine.brain.transitions import View
from ruche.engine.brain.walk import Standing, begin, waits, walk, within

MAX_SCENARIOS = 5
_OPEN = ("active", "paused")


def nested(who: Identified, ledger: Ledger, view: View, standings: tuple[Standing, ...], notes: dict[str, Any],
           failed: frozenset[str] = frozenset()) -> tuple[Standing, ...]:
    """All standings settled, with the scenarios within their steps begun and come back from."""
    standings = settled(standings, ledger.known, ledger.names, who.number, failed)
    if not who.agent.nests:
        return standings
    for _ in range(2 * MAX_SCENARIOS):
        again = _Nest(who, ledger, msgspec.structs.replace(view, words=False, names=ledger.names), standings, notes)
        if not (again.come_back() or again.go_in()):
            break
        standings = settled(tuple(again.standings), ledger.known, ledger.names, who.number, failed)
    return standings


class _Nest:
    """One pass: at most one scenario is gone into or come back from."""

    def __init__(self, who: Identified, ledger: Ledger, view: View, standings: tuple[Standing, ...],
                 notes: dict[str, Any]) -> None:
        self._who, self._ledger, self._view, self._notes = who, ledger, view, notes
        self.standings = list(standings)

    def come_back(self) -> bool:
        for place, outer in enumerate(self.standings):
            inner = self._inner(outer)
            name = outer.step.spec.scenario or ""
            if inner is None or inner.instance.status in _OPEN or within(name) in outer.instance.done_tools:
                continue
            self.standings[place] = self._taken_up(outer, name, inner.instance.status)
            return True
        return False

    def _taken_up(self, outer: Standing, name: str, outcome: str) -> Standing:
        self._ledger.know(remember(self._ledger.knowledge, {outcome_name(name): outcome}))
        done = (*outer.instance.done_tools, within(name))
        instance = msgspec.structs.replace(outer.instance, status="active", done_tools=done,
                                           last_turn=self._who.number)
        outer = msgspec.structs.replace(outer, instance=instance,
                                        actions=(*outer.actions, ("RESUME", f"{name} is {outcome}")))
        left = outcome != "completed"
        moved = walk(outer, msgspec.structs.replace(self._view, names=self._ledger.names), self._ledger.known,
                     self._who.number, self._ledger.reopen, blocked=left)
        if left and moved.instance.step == outer.instance.step:
            return ended(moved, "CANCEL", f"{name} was {outcome}, and nothing leads on from there")
        return moved

    def go_in(self) -> bool:
        for place, outer in enumerate(self.standings):
            name = outer.step.spec.scenario if outer.instance.step else None
            if name is None or outer.instance.status != "active" or not self._reached(outer, name):
                continue
            running = self._inner(outer)
            if running is not None and running.instance.status in _OPEN:
                self._join(place, running)
            elif sum(one.instance.status in _OPEN for one in self.standings) >= MAX_SCENARIOS:
                self._notes["full"] = f"{name} did not begin: {MAX_SCENARIOS} scenarios are in progress"
                self.standings[place] = ended(outer, "PAUSE", f"there is no room for {name}")
            else:
                self._begin(place, name)
            return True
        return False

    def _reached(self, outer: Standing, name: str) -> bool:
        """The step has all that it needs before the scenario within it."""
        step, done = outer.step, outer.instance.done_tools
        confirmed = is_confirmed(step, outer.instance.confirmed, self._who.agent.tools, self._ledger.names)
        return (not outer.silent and within(name) not in done
                and not waits(outer, self._ledger.known, self._ledger.names, confirmed)
                and all(binding.tool in done for binding in step.spec.tools if binding.when != "AFTER"))

    def _inner(self, outer: Standing) -> Standing | None:
        """The scenario within the current step, where it was gone into from there or runs already."""
        name = outer.step.spec.scenario if outer.instance.step else None
        return next((one for one in self.standings if one.scenario.id == name and one is not outer
                     and (one.instance.within == outer.scenario.id or one.instance.status in _OPEN)), None)

    def _join(self, place: int, inner: Standing) -> None:
        outer = self.standings[place]
        instance = msgspec.structs.replace(inner.instance, status="active", within=outer.scenario.id)
        self.standings[self.standings.index(inner)] = msgspec.structs.replace(inner, instance=instance, returned=True)
        self.standings[place] = ended(outer, "PAUSE", f"waits for {inner.scenario.id}")

    def _begin(self, place: int, name: str) -> None:
        outer = self.standings[place]
        scenario = self._who.agent.scenarios[name]
        inner = begin(scenario, self._view, self._ledger.known, self._who.number,
                      f"{outer.scenario.id} goes through it at {outer.step.id}")
        inner = msgspec.structs.replace(inner, instance=msgspec.structs.replace(inner.instance,
                                                                                within=outer.scenario.id))
        confirmed = is_confirmed(inner.step, inner.instance.confirmed, self._who.agent.tools, self._ledger.names)
        inner = walk(inner, self._view, self._ledger.known, self._who.number, self._ledger.reopen, confirmed=confirmed)
        self.standings[place] = ended(outer, "PAUSE", f"waits for {name}")
        self.standings.insert(place, inner)
