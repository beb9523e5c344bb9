"""What a restart owes: accepted messages that nobody answered go back to their sessions, before anything newer."""

from __future__ import annotations

import logging
from collections.abc import Iterable

import anyio

from ruche.actors.directory import Directory
from ruche.actors.hosting import Hosting
from ruche.actors.logical import Former, Orphan
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
    found: dict[str, list[Accepted]] = {}
    for accepted in unanswered:
        for event in accepted.events:
            if event.kind == "turn.superseded":
                successor[event.turn_id] = newer = event.data["superseded_by"]
                group[newer] = group.get(event.turn_id, event.turn_id)
        turns = [event.turn_id for event in accepted.events if event.kind == "turn.accepted"]
        found.setdefault(turns[-1] if turns else hosting.new_id(), []).append(accepted)
    chains: dict[str, list[str]] = {}
    for first in found:
        turn_id = first
        while turn_id in successor:
            turn_id = successor[turn_id]
        chains.setdefault(turn_id, []).append(first)
    orphans: dict[str, list[Orphan]] = {}
    for turn_id, chain in chains.items():
        messages = [accepted for name in chain for accepted in found.get(name, ())]
        if messages:
            orphans.setdefault(str(messages[0].key), []).append(Orphan(
                messages[0].session_id, turn_id, tuple(one.message for one in messages),
                group.get(turn_id, turn_id), _former(turn_id, chain, found),
                crashes=max(one.tries for one in messages), recovered=True))
    return orphans


def _former(turn_id: str, chain: list[str], found: dict[str, list[Accepted]]) -> tuple[Former, ...]:
    """The turns that a turn replaced, each with all that had been said by then."""
    said, former = list[Message](), list[Former]()
    for name in chain:
        said += [accepted.message for accepted in found.get(name, ())]
        if name != turn_id:
            former.append(Former(name, tuple(said)))
    return tuple(former)


async def _wake(directory: Directory[SessionActor], key: str, limiter: anyio.CapacityLimiter) -> None:
    async with limiter:
        try:
            await directory.ask(key, Look())
        except RucheError as error:
            log.error("a session that owes answers could not be woken (%s); its next message does", error.code)
