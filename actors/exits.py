"""How actors end, and what is said of it."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Literal

import pykka

from ruche.actors.mailbox import Letter, dead

log = logging.getLogger(__name__)

Phase = Literal["start", "work", "stop"]


class HandlerCancelled(RuntimeError):
    """A handler ended by a CancelledError that nobody had asked for, such as that of somebody else's future."""


@dataclass(frozen=True, slots=True)
class Exit:
    """How an actor ended. `reason` None is a normal stop; `letter` was in hand; `left` was not read, in order."""

    phase: Phase
    reason: BaseException | None
    letter: Letter | None
    left: list[Letter]

    def settle(self) -> None:
        """Answer everyone, as an actor without a supervisor does."""
        if self.letter is not None:
            self.letter.answer(None) if self.reason is None else self.letter.refuse(self.reason)
        for letter in self.left:
            letter.answer(None) if letter.is_stop else letter.refuse(dead())


def log_crash(actor: pykka.Actor, reason: BaseException) -> None:
    """Say who crashed, of what, and where; never the exception's text, which may be a person's."""
    place = reason.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    where = "" if place is None else f" at {place.tb_frame.f_code.co_filename}:{place.tb_lineno}"
    log.error("%s crashed of %s%s", type(actor).__name__, type(reason).__name__, where)
