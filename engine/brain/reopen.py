"""What is known while scenarios move: a transition may reopen fields on the way, a result may be remembered."""

from __future__ import annotations

import msgspec

from ruche.engine.brain.identify import Identified
from ruche.engine.brain.learn import Knowledge, reopened
from ruche.engine.brain.names import Names, names_of
from ruche.engine.brain.parts import CompiledTransition
from ruche.engine.brain.transitions import View
from ruche.engine.brain.walk import Known


class Ledger:
    """The knowledge of a turn, and the names that go with it."""

    def __init__(self, who: Identified, knowledge: Knowledge, names: Names) -> None:
        self._who = who
        self.knowledge, self.names = knowledge, names

    @property
    def known(self) -> Known:
        return self.knowledge.known

    def know(self, knowledge: Knowledge) -> None:
        """Another knowledge, and the names made anew."""
        if knowledge is not self.knowledge:
            session = self.names["session"]
            self.knowledge = knowledge
            self.names = names_of(self._who, knowledge, session["language"], session["intent"])

    def reopen(self, edge: CompiledTransition, view: View, known: Known) -> tuple[View, Known]:
        self.know(reopened(self.knowledge, edge.spec.reopen))
        return msgspec.structs.replace(view, names=self.names), self.knowledge.known
