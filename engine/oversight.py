"""What people who answer for the engine do with its records: add advisories, prove, erase persons, hold, let go."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

from ruche.actors.session import Close
from ruche.engine.request import check_texts
from ruche.plugins.errors import Conflict, NotFound, Unavailable
from ruche.storage import advisories
from ruche.storage.auditor import Erasure
from ruche.storage.model.conversation import SessionKey
from ruche.storage.model.record import AdvisoryAdded, HoldSet, PersonErased

if TYPE_CHECKING:
    from ruche.engine.host import Host
    from ruche.storage.retention import Dropped

_DAY_S = 86_400.0


async def advise(host: Host, tenant: str, run_id: str, *, kind: str, author: str, note: str = "", subject: str = "",
                 **more: Any) -> AdvisoryAdded:
    """Add an advisory to a run, once: the same again gives the one that is there. `author`: `human:NAME` or a machine.

    Raises NotFound (no such run), Erased, NotAllowed, Conflict.
    """
    check_texts(kind=kind, author=author, note=note, subject=subject)
    earlier = await advisories_of(host, tenant, run_id)
    hosting = host.hosting
    said = AdvisoryAdded(tenant=tenant, at_ms=hosting.clock_ms(), id=hosting.new_id(), run_id=run_id, kind=kind,
                         author=author, body=advisories.body(note, subject, **more))
    known = next((one for one in earlier if (one.kind, one.body) == (said.kind, said.body)), None)
    if known is not None:
        return known
    advisories.check(said, earlier)
    await host.scribe.commit(said)
    added = await advisories_of(host, tenant, run_id)
    return next(one for one in added if (one.kind, one.body) == (said.kind, said.body))


async def advisories_of(host: Host, tenant: str, run_id: str) -> Sequence[AdvisoryAdded]:
    """In the order in which they were added. Raises NotFound for an unknown run, Erased for one of an erased person."""
    run, found = await host.scribe.read(
        lambda store: (store.tenant(tenant).run(run_id), store.tenant(tenant).advisories(run_id)))
    if run is None:
        raise NotFound("there is no such run")
    return found


async def erase(host: Host, tenant: str, interlocutor: str, *, reason: str, by: str) -> Erasure:
    """End a person's sessions, then make everything of theirs, under all of their names, unreadable for ever; returns
    when it is.

    New messages of the person are put off meanwhile. Raises NotFound for somebody who left nothing, Conflict while a
    legal hold stands, StorageFull (it is on record and takes effect once there is room).
    """
    check_texts(reason=reason, by=by)
    names = host.linked.names(tenant, interlocutor)
    async with leaving(host, tenant, *names):
        await host.scribe.read(lambda store: store.audit.erasable(tenant, names[0], names))
        for name in names:
            await end_sessions(host, tenant, name)
            await host.recalling.memories.forget(tenant, name)
        keys = await host.scribe.read(lambda store: store.audit.erasable(tenant, names[0], names))
        now = host.hosting.clock_ms()
        await host.scribe.commit(*[PersonErased(tenant=tenant, at_ms=now, interlocutor=name, reason=reason, by=by)
                                   for name in keys])
        host.linked.forget(tenant, names[0])
        await host.scribe.apply()
        await host.retriever.forget_words(tenant)
        return await host.scribe.read(lambda store: store.audit.erased(tenant, keys))


async def hold(host: Host, tenant: str, interlocutor: str, *, held: bool, reason: str, by: str) -> None:
    """Place or lift a legal hold on all names of a person. Raises NotFound for somebody of whom nothing is kept."""
    check_texts(reason=reason, by=by)
    names = host.linked.names(tenant, interlocutor)
    known = await host.scribe.read(lambda store: store.audit.known(tenant, names))
    if not known:
        raise NotFound("nothing of this person is kept")
    now = host.hosting.clock_ms()
    await host.scribe.commit(*[HoldSet(tenant=tenant, at_ms=now, interlocutor=name, held=held, reason=reason, by=by)
                               for name in known])


class Sweeper:
    """Lets go once a day of what is older than the settings and the agents' fields allow; asked more often, so that a
    restart skips no day."""

    def __init__(self, host: Host) -> None:
        self._host, self._rules = host, host.settings.storage.retention.rules()
        self._last = -1

    async def sweep(self) -> Dropped | None:
        """None when there is nothing to do today any more. Raises Unavailable and OSError."""
        now = self._host.hosting.clock_ms()
        today, days = now // round(_DAY_S * 1000), self._host.catalog.field_days()
        if not (self._rules or days) or today == self._last:
            return None
        dropped = await self.sweep_now()
        self._last = today
        return dropped

    async def sweep_now(self) -> Dropped:
        """As `sweep`, whatever was done today."""
        now, days = self._host.hosting.clock_ms(), self._host.catalog.field_days()
        if days:
            for stale in await self._host.scribe.read(lambda store: store.audit.stale_fields(days, now)):
                await self._host.scribe.commit(stale)
        return await self._host.scribe.read(lambda store: store.audit.retain(self._rules, now))


def refuse_leaving(host: Host, tenant: str, interlocutor: str) -> None:
    """Raises Unavailable while the person is being erased or linked."""
    if (tenant, interlocutor) in host.leaving:
        raise Unavailable("this person is being erased or linked to another; a new conversation can begin in a moment",
                          retry_after=1.0)


@asynccontextmanager
async def leaving(host: Host, tenant: str, *names: str) -> AsyncIterator[None]:
    """New messages under these names are put off meanwhile. Raises Conflict where they are already."""
    gone = {(tenant, name) for name in names}
    if gone & host.leaving:
        raise Conflict("this person is being erased or linked already")
    host.leaving |= gone
    try:
        yield
    finally:
        host.leaving -= gone


async def end_sessions(host: Host, tenant: str, interlocutor: str) -> None:
    """Nothing of the person is in memory when this returns: sessions are closed once their turns are done, and let go.
    """
    for key in [key for key in {*host.sessions.keys(), *host.hosting.orphans} if _is_of(key, tenant, interlocutor)]:
        with suppress(NotFound):
            await host.sessions.ask(key, Close())
        await host.sessions.evict(key)
        host.hosting.orphans.pop(key, None)


def _is_of(key: str, tenant: str, interlocutor: str) -> bool:
    parsed = SessionKey.parse(key)
    return (parsed.tenant, parsed.interlocutor) == (tenant, interlocutor)
