"""Answers that an actor owes: taken from a message in hand, given later, broken when the actor ends."""

from __future__ import annotations

from typing import Any

import pykka

from ruche.actors.exits import Exit
from ruche.actors.future import AioFuture
from ruche.actors.mailbox import dead


class Promises:
    """Replies that somebody awaits though their message has been handled."""

    __slots__ = ("_owed",)

    def __init__(self) -> None:
        self._owed: list[pykka.Future[Any]] = []

    def add(self, reply: pykka.Future[Any]) -> None:
        self._owed.append(reply)

    def open(self) -> bool:
        """True while any is unanswered."""
        # By its class itself: pykka's futures are an ABC, and asking one about an instance takes 1 us.
        self._owed = [reply for reply in self._owed if type(reply) is AioFuture and not reply.done()]
        return bool(self._owed)

    def end(self, exit: Exit) -> None:
        """Fail them with what ended the actor; the reply to the message in hand is its supervisor's business."""
        in_hand = None if exit.letter is None else exit.letter.reply_to
        error = exit.reason or dead()
        for reply in self._owed:
            if reply is not in_hand:
                reply.set_exception((type(error), error, error.__traceback__))
