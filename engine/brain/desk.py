"""One turn's work on scenarios: where they stand while they are moved, what is known meanwhile, and what is to be said.

`load` puts the scenarios in progress on it; the rest of phase 6 works on it, and hands it on frozen.
"""

from __future__ import annotations

from typing import Any

import msgspec

from ruche.engine.brain.identify import Identified
from ruche.engine.brain.learn import Knowledge, learn_more, reopened
from ruche.engine.brain.migrate import moved
from ruche.engine.brain.parts import CompiledTransition
from ruche.engine.brain.reopen import Ledger
from ruche.engine.brain.retrieve import Retrieved
from ruche.engine.brain.sense import Sensed, sense_for
from ruche.engine.brain.settle import ended
from ruche.engine.brain.transitions import View
from ruche.engine.brain.walk import Known, Standing, not_wanted
from ruche.plugins.generators.ways import Word
from ruche.storage.model.conversation import ScenarioInstance
from ruche.storage.model.migration import Changes, ScenarioChange


class Desk:
    """Holds the standings and the knowledge of one turn while they change."""

    def __init__(self, who: Identified, sensed: Sensed, retrieved: Retrieved, knowledge: Knowledge, view: View) -> None:
        self.who, self.sensed, self.retrieved = who, sensed, retrieved
        self.ledger = Ledger(who, knowledge, view.names)
        self._view = view
        self.standings: list[Standing] = []
        self.sayings: list[str] = []
        self.notes: dict[str, Any] = {}
        self.answered = False
        """True when the message answers what was asked."""
        self.served = False
        """True once the message meant something to a scenario in progress."""
        self.words: dict[str, Word] = {}
        """Where scenarios go, by a model's word."""
        self.began = 0.0
        """What the message scored for the scenario that it began or took up again."""

    @property
    def view(self) -> View:
        """What decides, with the names as they are now."""
        if self._view.names is not self.ledger.names:
            self._view = msgspec.structs.replace(self._view, names=self.ledger.names)
        return self._view

    @property
    def knowledge(self) -> Knowledge:
        return self.ledger.knowledge

    @property
    def known(self) -> Known:
        return self.ledger.knowledge.known

    def load(self, changes: Changes | None) -> None:
        """Scenarios in progress, each where its version of the agent has it; what is gone from the agent ends."""
        changed = {one.scenario: one for one in changes.scenarios} if changes is not None else {}
        for instance in self.who.instances:
            if instance.scenario in changed:
                self._migrate(instance, changed[instance.scenario])
                continue
            scenario = self.who.agent.scenarios.get(instance.scenario)
            if scenario is None or instance.step not in scenario.steps:
                self.notes.setdefault("gone", []).append(f"{instance.scenario}/{instance.step}")
                continue
            standing = Standing(scenario=scenario, instance=instance,
                                unsaid=f"{scenario.id}/{instance.step}" if instance.unsaid else "")
            self.standings.append(msgspec.structs.replace(
                standing, silent=not_wanted(standing.step, self.view, self.known)))

    def say(self, saying: str) -> None:
        self.sayings.append(saying)

    def end(self, place: int, action: str, why: str, saying: str) -> None:
        self.standings[place] = ended(self.standings[place], action, why)
        self.served = True
        self.say(saying)

    def reopen(self, edge: CompiledTransition, view: View, known: Known) -> tuple[View, Known]:
        """Fields are open again. A message that leads here by its words may hold their new values already."""
        given = self.knowledge.learned if edge.by_words else ()
        gone = tuple(name for name in edge.spec.reopen if name not in given)
        knowledge = reopened(self.knowledge, gone)
        if edge.by_words:
            fields = tuple(self.who.agent.fields[name] for name in gone)
            knowledge = learn_more(self.who, knowledge, sense_for(self.sensed, fields))
        self.ledger.know(knowledge)
        return msgspec.structs.replace(view, names=self.ledger.names), knowledge.known

    def _migrate(self, instance: ScenarioInstance, change: ScenarioChange) -> None:
        found = moved(self.who, instance, change, self.ledger, self.view)
        self.notes.setdefault("migrated", {})[instance.scenario] = found.note
        standing = found.standing
        if standing is None:
            return
        if instance.status == "paused" and standing.instance.status == "active":  # it rests where it goes on later
            standing = msgspec.structs.replace(
                standing, instance=msgspec.structs.replace(standing.instance, status="paused"), entered=(), actions=(),
                returned=False)
        self.standings.append(standing)
