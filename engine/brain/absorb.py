"""Newer messages that the running turn takes in, where the host's decider says so: it is thought once more, over all.

Never after something that cannot be thought again: a tool with consequences was asked for, or words were released.
"""

from __future__ import annotations

from typing import Any

import msgspec

from ruche.plugins.contracts import Stage, TurnInput
from ruche.plugins.tape import Tape
from ruche.storage.model.conversation import Message
from ruche.storage.model.turn import Usage

MOST: int = 3
"""Times that one turn begins anew; what comes then is answered by the next turn."""


class Newer:
    """`turn` is the input with every message that the turn has by now. A stage that offers none costs nothing."""

    def __init__(self, turn: TurnInput, tape: Tape, stage: Stage) -> None:
        self.turn = turn
        self.taken: list[dict[str, Any]] = []
        """After which phase which messages were taken in."""
        self._tape = tape
        self._absorb = getattr(stage, "absorb", tuple)
        self._spent = Usage()

    def came(self, phase: str, *spent: Usage) -> bool:
        """Take in what waits. When there is something, what was thought up to the end of this phase is void, and only
        what it cost is kept."""
        if len(self.taken) >= MOST:
            return False
        found = self._tape.ask_seldom("absorb", phase, self._look, tuple[Message, ...])
        if found is None:
            return False
        self.turn = msgspec.structs.replace(self.turn, messages=(*self.turn.messages, *found))
        self.taken.append({"after": phase, "messages": [message.id for message in found]})
        self._spent = sum(spent, self._spent)
        return True

    def all_told(self, usage: Usage) -> Usage:
        """What the whole turn cost, with what was thought in vain."""
        return usage + self._spent if self.taken else usage

    def _look(self) -> tuple[Message, ...] | None:
        return self._absorb() or None
