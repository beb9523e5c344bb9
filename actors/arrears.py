"""What was put off is tried again by itself, when the disk has room and nobody says anything more."""

from __future__ import annotations

from typing import Final

from ruche.actors.directory import Directory
from ruche.actors.hosting import Hosting
from ruche.actors.session import Resume, SessionActor
from ruche.plugins.errors import RucheError

FIRST_S: Final = 5.0
LONGEST_S: Final = 60.0
AT_ONCE: Final = 100


class Arrears:
    """Wakes the sessions that owe answers, `AT_ONCE` at a time. For the clock to call.

    While the journal refuses records only one session tries, since trying means to think: the first whose answer can be
    kept shows that the others' can. It tries after 5 s, then after twice as long each time, up to a minute.
    """

    def __init__(self, sessions: Directory[SessionActor], hosting: Hosting) -> None:
        self._sessions = sessions
        self._hosting = hosting
        self._delay, self._next = FIRST_S, 0.0

    async def collect(self) -> int:
        """How many sessions were asked to go on."""
        hosting, now = self._hosting, self._sessions.now()
        owing = list(dict.fromkeys((*hosting.owing, *hosting.orphans)))
        if not owing or hosting.scribe.stopped:
            return 0
        if not hosting.scribe.refusing:
            self._delay, self._next = FIRST_S, 0.0
            return sum(self._wake(address) for address in owing[:AT_ONCE])
        if now < self._next:
            return 0
        self._next, self._delay = now + self._delay, min(LONGEST_S, self._delay * 2)
        return next((1 for address in owing if self._wake(address)), 0)

    def _wake(self, address: str) -> bool:
        try:
            self._sessions.tell(address, Resume())
        except RucheError:
            return False  # it rests after too many crashes, or there are too many busy ones
        return True
