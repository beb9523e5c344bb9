"""What a restart owes: accepted messages that nobody answered go back to their sessions, before anything newer."""

from __future__ import annotations

import logging
from collections.abc import Iterable

import anyio

from ruche.actors.directory import Directory
from ruche.actors.hosting import Hosting
from ruche.actors.logical import Orphan
from ruche.actors.session import Look, SessionActor
from ruche.plugins.errors import RucheError
from ruche.storage.model.conversation import Message
from ruche.storage.model.record import Accepted

log = logging.getLogger(__name__)

WAKING_AT_ONCE = 64


async def recover(directory: Directory[SessionActor], hosting: Hosting, unanswered: Iterable[Accepted]) -> int:
    """Answer what was accepted and not answered, in order. A turn that had already said something is closed as
    interrupted with exactly what was journalled.

    Each session takes its messages up when it wakes, before any other. Returns when all are awake, not when they have
    answered; gives the number of sessions.
    """
    orphans = orphans_of(unanswered, hosting)
    hosting.orphans.update(orphans)
    limiter = anyio.CapacityLimiter(WAKING_AT_ONCE)
    async with anyio.create_task_group() as tasks:
        for key in orphans:
            tasks.start_soon(_wake, directory, key, limiter)
    return len(orphans)


def orphans_of(unanswered: Iterable[Accepted], hosting: Hosting) -> dict[str, list[Orphan]]:
    """Unanswered messages by session key and by the turn that was to answer them; a superseded turn counts as the one
    that replaced it. Turns keep their ids and groups, so that their effects are recognised."""
    successor: dict[str, str] = {}
    group: dict[str, str] = {}
    found: list[tuple[Accepted, str]] = []
    for accepted in unanswered:
        for event in accepted.events:
            if event.kind == "turn.superseded":
                successor[event.turn_id] = newer = event.data["superseded_by"]
                group[newer] = group.get(event.turn_id, event.turn_id)
        turns = [event.turn_id for event in accepted.events if event.kind == "turn.accepted"]
        found.append((accepted, turns[-1] if turns else hosting.new_id()))
    grouped: dict[str, dict[tuple[str, str], list[Message]]] = {}
    for accepted, turn_id in found:
        while turn_id in successor:
            turn_id = successor[turn_id]
        turns_of_key = grouped.setdefault(str(accepted.key), {})
        turns_of_key.setdefault((accepted.session_id, turn_id), []).append(accepted.message)
    return {key: [Orphan(session_id, turn_id, tuple(messages), group.get(turn_id, turn_id))
                  for (session_id, turn_id), messages in turns.items()]
            for key, turns in grouped.items()}


async def _wake(directory: Directory[SessionActor], key: str, limiter: anyio.CapacityLimiter) -> None:
    async with limiter:
        try:
            await directory.ask(key, Look())
        except RucheError as error:
            log.error("a session that owes answers could not be woken (%s); its next message does", error.code)
