"""Who comes by several names is one person: names are linked to a person and unlinked again, and looked up at the door.

A linked name's conversations end; from then on it speaks as the person. What it had said before stays under its own
name and is the person's as well: erased, held, handed out and remembered with theirs. Unlinked, it is what it was.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from msgspec.structs import replace

from ruche.actors.scribe import Scribe
from ruche.engine.oversight import end_sessions, leaving
from ruche.plugins.errors import Conflict, InvalidRequest, NotFound
from ruche.storage.identities import names_of
from ruche.storage.model.conversation import FieldValue, Profile
from ruche.storage.model.record import HoldSet, IdentityLinked

if TYPE_CHECKING:
    from ruche.engine.host import Host
    from ruche.storage.store import Store

NAME_CHARACTERS = 200


class Linked:
    """The linked names of all tenants in memory, as they are kept. Costs a message one look into a dict that is empty
    as a rule."""

    def __init__(self, scribe: Scribe) -> None:
        self._scribe = scribe
        self._known: dict[str, dict[str, IdentityLinked]] = {}

    async def load(self) -> None:
        """What is kept, at a start."""
        for one in await self._scribe.read(lambda store: store.all_identities()):
            self.put(one)

    def put(self, link: IdentityLinked) -> None:
        """What was just kept."""
        self._known.setdefault(link.tenant, {})[link.identity] = replace(link, profile=None)

    def link(self, tenant: str, name: str) -> IdentityLinked | None:
        """Whose name it is or was, besides their own."""
        known = self._known.get(tenant)
        return known.get(name) if known else None

    def known(self, tenant: str) -> Mapping[str, IdentityLinked]:
        """By name."""
        return self._known.get(tenant, {})

    def person(self, tenant: str, name: str) -> str:
        """Whose name it is; the name itself where it is nobody else's."""
        link = self.link(tenant, name)
        return link.interlocutor if link is not None and link.linked else name

    async def speaker(self, tenant: str, name: str, idempotency_key: str | None) -> str:
        """As `person`; but a request that was made before the name was linked or unlinked stays whose it was, so that
        it is not done twice."""
        link = self.link(tenant, name)
        if link is None:
            return name
        now, before = (link.interlocutor, name) if link.linked else (name, link.interlocutor)
        if idempotency_key is None:
            return now
        made = await self._scribe.read(lambda store: store.tenant(tenant).idempotent(before, idempotency_key))
        return now if made is None else before

    def names(self, tenant: str, name: str) -> tuple[str, ...]:
        """All names of the person who goes by this one, that of their records first."""
        known = self._known.get(tenant)
        return names_of(name, known.values()) if known else (name,)

    def of(self, tenant: str, name: str) -> list[IdentityLinked]:
        """The other names of the person who goes by this one, by name."""
        known = self._known.get(tenant, {})
        return [known[other] for other in sorted(self.names(tenant, name)[1:])]

    def forget(self, tenant: str, person: str) -> None:
        """The person was erased: the names are free."""
        known = self._known.get(tenant, {})
        for name in [one.identity for one in known.values() if one.interlocutor == person]:
            del known[name]


async def link(host: Host, tenant: str, person: str, identity: str, *, by: str) -> IdentityLinked:
    """From now on `identity` is the person; what was known of it fills in what is not known of them. Returns when it is
    kept; the same again changes nothing.

    Raises NotFound (nothing of the person is kept), InvalidRequest (the name), Conflict (it is another's, or has names
    of its own; the person goes by another name; either is being erased), StorageFull.
    """
    check_name(identity)
    known = host.linked.link(tenant, identity)
    if known is not None and known.linked and known.interlocutor == person:
        return known
    refuse_ambiguous(person, identity, host.linked.known(tenant))
    async with leaving(host, tenant, identity):
        await host.scribe.read(lambda store: store.audit.key_names(tenant, person))
        await end_sessions(host, tenant, identity)
        return await _change(host, IdentityLinked(tenant=tenant, at_ms=host.hosting.clock_ms(), interlocutor=person,
                                                  identity=identity, linked=True, by=by))


async def unlink(host: Host, tenant: str, person: str, identity: str, *, by: str) -> None:
    """The name is nobody else's any more: what was kept under it is as it was, what it brought is taken from the
    person, and what was said by it meanwhile stays theirs. Raises NotFound where it is not linked to the person."""
    known = host.linked.link(tenant, identity)
    if known is None or not known.linked or known.interlocutor != host.linked.person(tenant, person):
        raise NotFound("this person has no such name")
    async with leaving(host, tenant, identity):
        await _change(host, replace(known, at_ms=host.hosting.clock_ms(), linked=False, by=by))


def check_name(identity: str) -> None:
    if not 1 <= len(identity) <= NAME_CHARACTERS or not identity.isprintable():
        message = f"a name of 1 to {NAME_CHARACTERS} characters"
        raise InvalidRequest(f"identity: {message}", fields=[{"path": "identity", "message": message}])


def refuse_ambiguous(person: str, identity: str, known: Mapping[str, IdentityLinked]) -> None:
    """Raises InvalidRequest and Conflict where it would not be clear whose name it is."""
    linked = {name: one.interlocutor for name, one in known.items() if one.linked}
    if person == identity:
        raise InvalidRequest("identity: another name than the person's own",
                             fields=[{"path": "identity", "message": "the person's own name"}])
    if person in linked:
        raise Conflict("this person goes by another name; link to that one")
    if identity in linked:
        raise Conflict("this name is linked to another person; unlink it there first")
    if identity in linked.values():
        raise Conflict("this name has other names linked to it; unlink them first")


async def _change(host: Host, link: IdentityLinked) -> IdentityLinked:
    """Keep it, with what it makes of the person's profile and holds, in one batch."""
    tenant, person = link.tenant, link.interlocutor
    own, other, holds = await host.scribe.read(lambda store: _read(store, link))
    met = host.hosting.people.meet(tenant, person, own)
    async with met.lock:
        made = changed(link, met.profile, other)
        await host.scribe.commit(made, *holds)
        met.profile = made.profile or met.profile
        host.linked.put(made)
    await host.recalling.memories.forget(tenant, person)
    return made


def changed(link: IdentityLinked, before: Profile, other: Profile | None) -> IdentityLinked:
    """The link with what it brings and what it makes of the person's profile; `other` is the name's own."""
    if not link.linked:
        after = _without(before, link.brought)
        return replace(link, brought={}, profile=None if after is before else after)
    brought = {name: value for name, value in (other.fields if other else {}).items() if name not in before.fields}
    return replace(link, brought=brought, profile=_with(before, brought) if brought else None)


def link_kept(store: Store, link: IdentityLinked) -> None:
    """Link or unlink in a store that no engine holds; open conversations of the name stay open, and nobody goes on with
    them. Raises what `link` and `unlink` raise."""
    check_name(link.identity)
    known = {one.identity: one for one in store.tenant(link.tenant).identities()}
    kept = known.get(link.identity)
    if not link.linked:
        if kept is None or not kept.linked or kept.interlocutor != link.interlocutor:
            raise NotFound("this person has no such name")
        link = replace(link, brought=kept.brought)
    elif kept is not None and kept.linked and kept.interlocutor == link.interlocutor:
        return
    else:
        refuse_ambiguous(link.interlocutor, link.identity, known)
        store.audit.key_names(link.tenant, link.interlocutor)
    own, other, holds = _read(store, link)
    store.append([changed(link, own or Profile(interlocutor=link.interlocutor, tenant=link.tenant), other), *holds])
    store.apply()


def _read(store: Store, link: IdentityLinked) -> tuple[Profile | None, Profile | None, list[HoldSet]]:
    """Both profiles, and a hold for the name where one stands on the person."""
    view, tenant = store.tenant(link.tenant), link.tenant
    held = link.linked and store.audit.is_held(tenant, link.interlocutor)
    covered = store.audit.known(tenant, [link.identity]) if held else []
    return view.profile(link.interlocutor), view.profile(link.identity), [
        HoldSet(tenant=tenant, at_ms=link.at_ms, interlocutor=name, held=True, by=link.by,
                reason="a hold stands on the person that it was linked to") for name in covered]


def _with(profile: Profile, brought: Mapping[str, FieldValue]) -> Profile:
    return replace(profile, fields={**profile.fields, **brought}, version=profile.version + 1) if brought else profile


def _without(profile: Profile, brought: Mapping[str, FieldValue]) -> Profile:
    """What was brought goes; where another value has replaced it, what is remembered of it."""
    if not any(name in profile.fields for name in brought):
        return profile
    fields = dict(profile.fields)
    for name, gone in brought.items():
        value, past = fields.get(name), (gone.value, gone.at_ms)
        if value is not None and (value.value, value.at_ms) == past:
            del fields[name]
        elif value is not None:
            fields[name] = replace(value, history=tuple(one for one in value.history if tuple(one) != past))
    return replace(profile, fields=fields, version=profile.version + 1)
