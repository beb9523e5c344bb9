"""What is kept of a person: read, set right by colleagues, linked, handed out whole. `oversight.py` erases and holds.

A value that a colleague enters is checked by every agent of the tenant that knows its field.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from ruche.engine.brain.fields import CompiledField, fault_of
from ruche.engine.brain.learn import HISTORY
from ruche.engine.brain.typed import typed_value
from ruche.engine.handout import archive
from ruche.engine.identities import link, unlink
from ruche.engine.oversight import refuse_leaving
from ruche.plugins.errors import InvalidRequest
from ruche.storage.model.conversation import FieldValue, Profile
from ruche.storage.model.memory import Utterance
from ruche.storage.model.record import IdentityLinked, ProfileSaved
from ruche.storage.store import Store

if TYPE_CHECKING:
    from ruche.engine.brain.compiled import CompiledAgent
    from ruche.engine.host import Host


class Persons:
    """The persons of a running engine. Every method takes the tenant it acts for and any name of the person, and raises
    NotFound for somebody of whom nothing is kept."""

    def __init__(self, host: Host) -> None:
        self._host = host

    async def profile(self, tenant: str, interlocutor: str) -> Profile:
        """The fields that are known of the person."""
        person = self._host.linked.person(tenant, interlocutor)

        def read(store: Store) -> Profile | None:
            store.audit.key_names(tenant, person)
            return store.tenant(tenant).profile(person)

        return await self._host.scribe.read(read) or Profile(interlocutor=person, tenant=tenant)

    def personal(self, tenant: str, name: str) -> bool:
        """True for a field that an agent marks as personal data, or that no agent knows any more."""
        known = [field for _, field in self._fields(tenant, name)]
        return not known or any(field.spec.pii for field in known)

    async def amend(self, tenant: str, interlocutor: str, values: Mapping[str, Any], *, by: str) -> Profile:
        """Enter values of fields as right, or take them out (None). All or none. Raises InvalidRequest with the fields
        that cannot be, Unavailable while the person is being erased."""
        kept = await self.profile(tenant, interlocutor)
        refuse_leaving(self._host, tenant, kept.interlocutor)
        entered = self._checked(tenant, values)
        person = self._host.hosting.people.meet(tenant, kept.interlocutor, kept)
        async with person.lock:
            now = self._host.hosting.clock_ms()
            fields = dict(person.profile.fields)
            for name, value in entered.items():
                old = fields.pop(name, None)
                if value is not None:
                    fields[name] = _entered(value, old, now, by)
            changed = replace(person.profile, fields=fields, version=person.profile.version + 1)
            await self._host.scribe.commit(ProfileSaved(tenant=tenant, at_ms=now, profile=changed))
            person.profile = changed
        return changed

    async def memories(self, tenant: str, interlocutor: str, limit: int = 20) -> list[Utterance]:
        """What agents that remember have kept of what was said with the person, newest first."""
        names = self._host.linked.names(tenant, interlocutor)

        def read(store: Store) -> list[Utterance]:
            store.audit.key_names(tenant, names[0])
            return [one.utterance for one in reversed(store.tenant(tenant).memories_of(names, limit))]

        return await self._host.scribe.read(read)

    async def export(self, tenant: str, interlocutor: str) -> bytes:
        """Everything that is held about the person, as a ZIP of JSON files: profile, other names, sessions, runs with
        what was added to them, memories. It is not sealed: whoever has it can read it."""
        await self.profile(tenant, interlocutor)
        return await self._host.scribe.read(lambda store: archive(store.tenant(tenant), tenant, interlocutor))

    async def identities(self, tenant: str, interlocutor: str) -> list[IdentityLinked]:
        """The other names that the person comes by."""
        await self.profile(tenant, interlocutor)
        return self._host.linked.of(tenant, interlocutor)

    async def link(self, tenant: str, interlocutor: str, identity: str, *, by: str) -> IdentityLinked:
        """Make `identity` another name of the person; see `identities.link`. Raises InvalidRequest, Conflict."""
        return await link(self._host, tenant, interlocutor, identity, by=by)

    async def unlink(self, tenant: str, interlocutor: str, identity: str, *, by: str) -> None:
        """The name is nobody else's again, as it was before."""
        await unlink(self._host, tenant, interlocutor, identity, by=by)

    def _checked(self, tenant: str, values: Mapping[str, Any]) -> dict[str, Any]:
        found, faults = dict[str, Any](), list[dict[str, str]]()
        for name, given in values.items():
            value, fault = self._read(tenant, name, given)
            found[name] = value
            if fault:
                faults.append({"path": f"fields.{name}", "message": fault})
        if faults:
            raise InvalidRequest("; ".join(f"{one['path']}: {one['message']}" for one in faults), fields=faults)
        return found

    def _read(self, tenant: str, name: str, given: Any) -> tuple[Any, str]:
        """(value, why it cannot be). Taking out needs no agent that knows the field."""
        if given is None:
            return None, ""
        known = list(self._fields(tenant, name))
        if not known:
            return None, "no agent keeps a field of this name for persons"
        value: Any = None
        for agent, field in known:
            today = datetime.fromtimestamp(self._host.hosting.clock_ms() / 1000, UTC).astimezone(agent.zone).date()
            value = typed_value(field, given, agent.place(today))
            fault = "is no value of the field's type" if value is None else fault_of(field, value)
            if fault:
                return None, f"{fault} (agent {agent.id})"
        return value, ""

    def _fields(self, tenant: str, name: str) -> Iterator[tuple[CompiledAgent, CompiledField]]:
        for one in self._host.catalog.of_tenant(tenant):
            field = one.compiled.fields.get(name)
            if field is not None and field.kept:
                yield one.compiled, field


def _entered(value: Any, old: FieldValue | None, now: int, by: str) -> FieldValue:
    history = () if old is None else ((old.value, old.at_ms), *old.history)[:HISTORY]
    return FieldValue(value=value, source="human_entered", origin=f"human:{by}", at_ms=now, verified=True,
                      verified_by=f"human:{by}", verified_ms=now, history=history)
