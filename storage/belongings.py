"""Rows of what belongs to a tenant or a person outside their conversations: profiles, memories, agents, deliveries."""

from __future__ import annotations

import os
from collections.abc import Sequence

import msgspec
from msgspec.structs import replace

from ruche.storage.auditing import AuditRows
from ruche.storage.expiry import without
from ruche.storage.fields import Id
from ruche.storage.keyring import Keyring, Tenant
from ruche.storage.model.conversation import Profile
from ruche.storage.model.event import OutboxItem
from ruche.storage.model.memory import Remembered
from ruche.storage.model.record import (
    AgentPublished,
    AnyRecord,
    DeliveryNoted,
    DraftSaved,
    EpisodeKept,
    FieldsExpired,
    IdentityLinked,
    MigrationSaved,
    OutboxSettled,
    ProfileSaved,
    ReminderSet,
    UtterancesDropped,
    UtterancesKept,
    WebhookSaved,
)
from ruche.storage.overlay import Change
from ruche.storage.payload import EPISODE_BYTES, check_size
from ruche.storage.protecting import Protecting
from ruche.storage.rows import (
    DRAFT,
    PLAN,
    AgentRow,
    DeliveryRow,
    EpisodeRow,
    IdentityRow,
    OutboxRow,
    PersonRow,
    UtteranceRow,
    WebhookRow,
)
from ruche.storage.vault import DataKey

_encode = msgspec.msgpack.Encoder().encode


class Belongings:
    """Used by the appending thread alone."""

    def __init__(self, protecting: Protecting, keyring: Keyring, audit: AuditRows) -> None:
        self._put, self._remove = protecting.put, protecting.remove
        self._keyring, self._audit = keyring, audit

    def changes(self, record: AnyRecord, tenant: Tenant) -> Sequence[Change] | None:
        """The rows of a record of one of these kinds, None for every other kind."""
        match record:
            case ProfileSaved():
                return [self.profile(record.profile, tenant)]
            case AgentPublished():
                version = self._agent(record, record.version, tenant)
                return [version, self._no_draft(record.agent, tenant)] if record.ends_draft else [version]
            case DraftSaved():
                if record.bundle is None:
                    return [self._no_draft(record.agent, tenant)]
                return [self._agent(record, DRAFT, tenant)]
            case MigrationSaved():
                return [self._put(AgentRow(published=f"{record.plan.agent}:{PLAN}:{record.plan.id}",
                                           agent=record.plan.agent, version=PLAN, record=_encode(record)),
                                  tenant, self._keyring.person(record.tenant, ""))]
            case ReminderSet():
                return [self.outbox(record.item, tenant, self._keyring.person(record.tenant, record.interlocutor))]
            case OutboxSettled():
                return self._settled(record, tenant)
            case UtterancesKept():
                return [self._utterance(record, one, tenant) for one in record.memories]
            case UtterancesDropped():
                return [self._remove(UtteranceRow, name, tenant) for name in record.ids]
            case FieldsExpired():
                return self._expired(record, tenant)
            case EpisodeKept():
                return [self._episode(record, tenant)]
            case WebhookSaved():
                return [self._webhook(record, tenant)]
            case DeliveryNoted():
                return [self._delivery(record, tenant)]
            case IdentityLinked():
                return self._identity(record, tenant)
            case _:
                return None

    def profile(self, profile: Profile, tenant: Tenant) -> Change:
        put = self._put(PersonRow(person=profile.interlocutor, profile=_encode(profile)), tenant,
                        self._keyring.person(tenant.name, profile.interlocutor))
        self._audit.stage(put)
        return put

    def _expired(self, record: FieldsExpired, tenant: Tenant) -> list[Change]:
        """From the profile as it is now: nothing that was learned meanwhile is lost."""
        known = self._audit.profile(tenant, record.interlocutor)
        left = None if known is None else without(known, record.fields)
        return [] if left is None or left is known else [self.profile(left, tenant)]

    def _agent(self, record: AgentPublished | DraftSaved, version: int, tenant: Tenant) -> Change:
        return self._put(AgentRow(published=f"{record.agent}:{version}", agent=record.agent, version=version,
                                  record=_encode(record)), tenant, self._keyring.person(record.tenant, ""))

    def _no_draft(self, agent: str, tenant: Tenant) -> Change:
        return self._remove(AgentRow, f"{agent}:{DRAFT}", tenant)

    def _utterance(self, record: UtterancesKept, one: Remembered, tenant: Tenant) -> Change:
        body = _encode((tenant.name, record.interlocutor, one))
        check_size(len(body), EPISODE_BYTES, "a memory")
        return self._put(UtteranceRow(id=Id(one.utterance.id), person=record.interlocutor, at_ms=one.utterance.at_ms,
                                      record=body), tenant, self._keyring.person(tenant.name, record.interlocutor))

    def _episode(self, record: EpisodeKept, tenant: Tenant) -> Change:
        check_size(len(record.body), EPISODE_BYTES, "an episode")
        return self._put(EpisodeRow(episode=episode_name(record.kind, record.id), kind=record.kind,
                                   person=record.interlocutor, day=record.at_ms,
                                   number=int.from_bytes(os.urandom(8), "big") >> 1, record=_encode(record)), tenant,
                         self._keyring.person(tenant.name, record.interlocutor))

    def _identity(self, record: IdentityLinked, tenant: Tenant) -> list[Change]:
        link = self._put(IdentityRow(identity=record.identity, record=_encode(replace(record, profile=None))), tenant,
                         self._keyring.person(tenant.name, record.interlocutor))
        return [link] if record.profile is None else [link, self.profile(record.profile, tenant)]

    def _webhook(self, record: WebhookSaved, tenant: Tenant) -> Change:
        if record.gone:
            return self._remove(WebhookRow, record.webhook.id, tenant)
        return self._put(WebhookRow(id=Id(record.webhook.id), record=_encode(record)), tenant,
                         self._keyring.person(tenant.name, ""))

    def _delivery(self, record: DeliveryNoted, tenant: Tenant) -> Change:
        item = record.delivery.item
        return self._put(DeliveryRow(id=Id(item.id), webhook=item.target, at_ms=int(item.payload.get("at_ms", 0)),
                                     state=record.delivery.state, record=_encode(record)), tenant,
                         self._keyring.person(tenant.name, str(item.payload.get("interlocutor", ""))))

    def _settled(self, record: OutboxSettled, tenant: Tenant) -> list[Change]:
        if record.retry is None:
            return [self._remove(OutboxRow, record.item, tenant)]
        return [self.outbox(record.retry, tenant, self._keyring.person(record.tenant, record.interlocutor))]

    def outbox(self, item: OutboxItem, tenant: Tenant, key: DataKey) -> Change:
        return self._put(OutboxRow(id=Id(item.id), at_ms=item.at_ms, item=_encode((tenant.name, item))), tenant, key)


def episode_name(kind: str, id: str) -> str:
    """One episode as one string that no other pair gives."""
    return f"{kind}:{id}"
