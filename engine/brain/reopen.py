"""Fields that are asked for anew: what is known while a transition reopens them on the way."""

from __future__ import annotations

import msgspec

from ruche.engine.brain.identify import Identified
from ruche.engine.brain.learn import Knowledge, reopened
from ruche.engine.brain.names import Names, names_of
from ruche.engine.brain.parts import CompiledTransition
from ruche.engine.brain.transitions import View
from ruche.engine.brain.walk import Known


class Ledger:
    """What is known while scenarios go on after tools: a result may lead over a transition that reopens fields."""

    def __init__(self, who: Identified, knowledge: Knowledge, names: Names) -> None:
        self._who = who
        self.knowledge, self.names = knowledge, names

    def reopen(self, edge: CompiledTransition, view: View, known: Known) -> tuple[View, Known]:
        session = self.names["session"]
        self.knowledge = reopened(self.knowledge, edge.spec.reopen)
        self.names = names_of(self._who, self.knowledge, session["language"], session["intent"])
        return msgspec.structs.replace(view, names=self.names), self.knowledge.known
