"""Passing a conversation on to a person and back, for the operator's console, for host programs, and in time."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

from ruche.actors.session import Intervene
from ruche.engine.oversight import refuse_leaving
from ruche.engine.request import MESSAGE_CHARACTERS, check_texts
from ruche.plugins.errors import Conflict, InvalidRequest, NotFound
from ruche.storage.model.conversation import SessionState
from ruche.storage.model.handoff import Action, Intervention, is_taken
from ruche.storage.model.run import Run

if TYPE_CHECKING:
    from ruche.engine.host import Host
    from ruche.storage.model.event import OutboxItem

MOST_MINUTES = 10_080
"""A week."""


async def intervene(host: Host, tenant: str, session_id: str, action: Action, *, by: str, text: str,
                    minutes: int | None, request_id: str, key: str = "") -> Run:
    """As `Engine.intervene`."""
    check_texts(by=by, text=text, request_id=request_id, idempotency_key=key)
    _check(action, text, minutes)
    session = await host.scribe.read(lambda store: store.tenant(tenant).session_by_id(session_id))
    if session is None or session.closed_ms is not None:
        raise NotFound("there is no such open session")
    refuse_leaving(host, tenant, session.key.interlocutor)
    now = host.hosting.clock_ms()
    what = Intervention(action=action, by=by, text=text, key=key,
                        until_ms=0 if action == "return" else _until(host, session, action, minutes, now))
    run: Run = await host.sessions.ask(str(session.key), Intervene(session_id, what, request_id), trace=request_id)
    return run


class HandBack:
    """The courier's route for conversations that nobody took, or whose person has said nothing for too long."""

    def __init__(self, host: Host) -> None:
        self._host = host

    async def deliver(self, tenant: str, item: OutboxItem) -> None:
        """Give it back to the agent, once: nothing where that was done, the session is closed, or time was added."""
        what = Intervention(action="return", by="")
        try:
            await self._host.sessions.ask(item.target, Intervene(item.payload["session_id"], what))
        except (Conflict, NotFound):
            return


def _check(action: Action, text: str, minutes: int | None) -> None:
    if action not in get_args(Action):
        raise InvalidRequest(f"action: one of {', '.join(get_args(Action))}")
    if len(text) > MESSAGE_CHARACTERS or (action == "reply" and not text.strip()):
        raise InvalidRequest(f"text: 1 to {MESSAGE_CHARACTERS:,} characters that are not all spaces",
                             fields=[{"path": "text", "message": f"1 to {MESSAGE_CHARACTERS:,} characters"}])
    if minutes is not None and not (isinstance(minutes, int) and 0 <= minutes <= MOST_MINUTES):
        raise InvalidRequest(f"minutes: 0 to {MOST_MINUTES:,}",
                             fields=[{"path": "minutes", "message": f"0 to {MOST_MINUTES:,}"}])


def _until(host: Host, session: SessionState, action: Action, minutes: int | None, now: int) -> int:
    """When the agent speaks again. A reply begins the time anew that the person took when taking over."""
    kept = session.handover
    if action == "reply" and minutes is None and kept is not None and is_taken(session, now):
        return now + kept.until_ms - session.last_activity_ms if kept.until_ms > session.last_activity_ms else 0
    if minutes is None:
        published = host.catalog.find(session.key.tenant, session.key.agent)
        minutes = published.bundle.agent.handoff.minutes if published else 0
    return now + 60_000 * minutes if minutes else 0
