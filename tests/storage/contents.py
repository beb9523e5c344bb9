"""One of everything that a store keeps, and what can be read of it."""

from __future__ import annotations

from typing import Any

from ruche.storage.model.event import OutboxItem
from ruche.storage.model.record import (
    AdvisoryAdded,
    AgentPublished,
    DeadLettered,
    EffectReserved,
    EffectSettled,
)
from ruche.storage.store import Store
from ruche.storage.tenant import TenantStore
from tests.storage.records import NOW_MS, Conversation, accepted, profile, segment, session_key

RESERVED = EffectReserved(tenant="acme", at_ms=NOW_MS, session_id="s1", turn_id="t1", tool="book", key="effect-1",
                          policy="IRREVERSIBLE", arguments={"room": 12})
SETTLED = EffectSettled(tenant="acme", at_ms=NOW_MS + 1, session_id="s1", turn_id="t1", tool="book", key="effect-1",
                        status="ok", result={"booked": True})
ITEM = OutboxItem(id="o1", kind="webhook", target="https://example.org", at_ms=NOW_MS, payload={"a": 1})


def published(agent: str, version: int, tenant: str = "acme") -> AgentPublished:
    return AgentPublished(tenant=tenant, at_ms=NOW_MS, agent=agent, version=version, hash="h", bundle=b"{}")


def advisory(number: int, run: str = "s1-t00000") -> AdvisoryAdded:
    return AdvisoryAdded(tenant="acme", at_ms=NOW_MS + number, id=f"a{number}", run_id=run, kind="note", author="eve",
                         body={"n": number})


def filled(store: Store) -> Conversation:
    """One of everything."""
    talk = Conversation()
    store.append([accepted("m1", idempotency_key="k1", fingerprint="f1"), accepted("m2"), RESERVED])
    store.append([talk.turn("hello", "Good day.", answered=("m1",), profile=profile(city="Bern"), outbox=(ITEM,))])
    store.append([SETTLED, segment("t9", 1, "First part."), segment("t9", 2, "Second part."), published("desk", 1),
                  published("desk", 2), published("kiosk", 1), advisory(1), advisory(2),
                  DeadLettered(tenant="acme", at_ms=NOW_MS, key=session_key(), message=accepted("m7").message,
                               reason="broken")])
    return talk


def everything(tenant: TenantStore) -> list[Any]:
    """What one can read of what `filled` wrote."""
    return [tenant.session(session_key()), tenant.session_by_id("s1"), tenant.sessions(), tenant.sessions(agent="desk"),
            tenant.sessions(interlocutor="ada"), tenant.profile("ada"), tenant.run("s1-t00000"),
            tenant.canonical_run("s1-t00000"), tenant.runs(), tenant.runs(session="s1"), tenant.runs(risk="GREEN"),
            tenant.events("s1"), tenant.segments("t9"), tenant.idempotent("ada", "k1"), tenant.effect("effect-1"),
            tenant.agent("desk"), tenant.agent("desk", 1), tenant.agents(), tenant.dead_letters(),
            tenant.advisories("s1-t00000"), tenant.verify_session("s1")]
