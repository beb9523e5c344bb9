"""What a store should tell, in a few dictionaries: the simple model that random steps are compared with."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec

from ruche.storage.model.conversation import Profile, SessionState
from ruche.storage.model.record import Accepted
from tests.storage.records import NOW_MS, Conversation, session_key

TENANTS, PEOPLE = ("acme", "other"), ("ada", "bob")
HALF_DAY_MS, DAY_MS = 43_200_000, 86_400_000
Owner = tuple[str, str]


class Talk(Conversation):
    """A conversation whose next turn is now, whenever its last one was."""

    def now(self, at_ms: int) -> Talk:
        self.state = msgspec.structs.replace(self.state, created_ms=at_ms - 1000 * self.state.turn_count)
        return self

    @property
    def is_kept(self) -> bool:
        """A session is stored from its first turn or its closing on."""
        return self.state.turn_count > 0 or self.state.closed_ms is not None


class Kept(NamedTuple):
    """A run that is on disk: whose it is, its session, its day, and whether it can still be read."""

    owner: Owner
    session: str
    day: int
    readable: bool = True


class Expected:
    """Of every tenant and person."""

    def __init__(self) -> None:
        self.count = 0
        self.talks: dict[Owner, list[Talk]] = {}
        self.waiting: dict[tuple[str, str], Accepted] = {}
        self.requests: dict[tuple[str, str, str], Any] = {}
        self.profiles: dict[Owner, Profile] = {}
        self.runs: dict[str, Kept] = {}
        self.known: set[Owner] = set()
        """Who has keys; the tenant itself under an empty name."""
        self.held: set[Owner] = set()
        self.erasures: dict[str, tuple[str, int]] = {}
        """Proofs by id: tenant and day."""
        self.former: dict[str, tuple[Owner, SessionState]] = {}
        """Sessions of the erased that are still on disk."""
        self.swept: dict[str, Owner] = {}
        """Sessions that were let go for their age."""
        self.maybe: set[str] = set()
        """Of these, what a lost table file may have brought back: whoever was held when the process began again."""
        self.horizon_ms = 0

    def number(self) -> int:
        self.count += 1
        return self.count

    @property
    def now_ms(self) -> int:
        return NOW_MS + self.count * HALF_DAY_MS

    def talk(self, owner: Owner) -> Talk:
        """The person's open conversation, a new one after the last was closed."""
        self.known.add(owner)
        talks = self.talks.setdefault(owner, [])
        if not talks or talks[-1].state.closed_ms is not None:
            talks.append(Talk(f"s{self.number():04d}", session_key(*owner), created_ms=self.now_ms))
        return talks[-1]

    def sessions(self, owner: Owner) -> list[SessionState]:
        """Stored ones, oldest first."""
        return [talk.state for talk in self.talks.get(owner, [])
                if talk.is_kept and talk.state.id not in self.swept]

    def readable(self, tenant: str) -> set[str]:
        return {name for name, run in self.runs.items() if run.owner[0] == tenant and run.readable}

    def left(self, session: str) -> int:
        """Runs of a session whose day is still there."""
        return sum(1 for run in self.runs.values() if run.session == session)

    # --- letting go ------------------------------------------------------------------------------------------

    def refusal(self, tenant: str, owners: Iterable[Owner]) -> str:
        """Why these cannot be erased: held, unknown, or nothing."""
        chosen = set(owners)
        return "held" if chosen & self.held else "" if chosen & self.known else "unknown"

    def erase(self, tenant: str, owners: Iterable[Owner]) -> None:
        """Nobody is told anything of them any more; the tenant itself signs for it with a key of its own."""
        for owner in owners:
            self.known.discard(owner)
            for talk in self.talks.pop(owner, []):
                if talk.is_kept and talk.state.id not in self.swept:
                    self.former[talk.state.id] = owner, talk.state
            self.profiles.pop(owner, None)
            self.runs = {name: run._replace(readable=run.readable and run.owner != owner)
                         for name, run in self.runs.items()}
            self.waiting = {name: one for name, one in self.waiting.items()
                            if (one.key.tenant, one.key.interlocutor) != owner}
            self.requests = {name: one for name, one in self.requests.items() if name[:2] != owner}
        self.known.add((tenant, ""))

    def sweep(self, before_ms: int) -> None:
        """Days that ended before the time go whole unless they hold something of somebody held, and closed sessions
        from before it but for theirs."""
        self.horizon_ms = max(self.horizon_ms, before_ms)
        kept = {run.day for run in self.runs.values() if run.owner in self.held and run.readable}

        def stays(day: int) -> bool:
            return (day + 1) * DAY_MS > before_ms or day in kept

        def is_past(state: SessionState) -> bool:
            return state.closed_ms is not None and state.created_ms < before_ms

        self.runs = {name: run for name, run in self.runs.items() if stays(run.day)}
        self.erasures = {name: one for name, one in self.erasures.items() if stays(one[1])}
        for owner, talks in self.talks.items():
            self.swept |= {talk.state.id: owner for talk in talks if talk.is_kept and owner not in self.held
                           and is_past(talk.state)}
        self.former = {name: one for name, one in self.former.items() if not is_past(one[1])}
