"""What a session reads from the store; each function runs on the read thread."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ruche.actors.logical import Orphan
from ruche.actors.stage import can_be_undone
from ruche.storage.model.conversation import Profile, SessionKey, SessionState
from ruche.storage.model.record import GIVEN_UP, EffectSettled
from ruche.storage.model.run import Run

if TYPE_CHECKING:
    from ruche.storage.store import Store
    from ruche.storage.tenant import TenantStore

PAGE = 1000


@dataclass(frozen=True, slots=True)
class Earlier:
    """A message that was taken before under the same idempotency key; `run` is None while it is unanswered."""

    fingerprint: str
    message_id: str
    session_id: str
    run: Run | None
    given_up: bool = False
    """The message is a dead letter."""


def recall(store: Store, key: SessionKey) -> tuple[SessionState | None, Profile | None, int]:
    """The open session of a key, the person's profile, and the number of the session's last event."""
    tenant = store.tenant(key.tenant)
    state = tenant.session(key)
    if state is None or state.closed_ms is not None:
        return None, tenant.profile(key.interlocutor), 0
    return state, tenant.profile(key.interlocutor), last_event(tenant, state.id, state.event_seq)


def stranger(store: Store, key: SessionKey) -> bool:
    """True when `recall` would surely find nothing; at once, without a disk."""
    return store.tenant(key.tenant).stranger(key)


def recall_session(store: Store, tenant_id: str, session_id: str) -> tuple[SessionState | None, int]:
    """A session, None when no turn of it was committed yet, and the number of its last event."""
    tenant = store.tenant(tenant_id)
    state = tenant.session_by_id(session_id)
    return state, last_event(tenant, session_id, 0 if state is None else state.event_seq)


def last_event(tenant: TenantStore, session_id: str, after: int) -> int:
    while events := tenant.events(session_id, after, PAGE):
        after = events[-1].seq
        if len(events) < PAGE:
            break
    return after


def left_behind(store: Store, tenant_id: str, orphan: Orphan) -> tuple[tuple[str, ...], list[EffectSettled]]:
    """What a turn had said, in order, and what it and those that it replaced had done and can be undone."""
    tenant = store.tenant(tenant_id)
    said = sorted(tenant.segments(orphan.turn_id), key=lambda segment: segment.number)
    turns = (orphan.turn_id, *(former.turn_id for former in orphan.former))
    return tuple(segment.text for segment in said), [
        effect for turn in turns for effect in tenant.effects_of(turn)
        if isinstance(effect, EffectSettled) and can_be_undone(effect)]


def look_up(store: Store, key: SessionKey, idempotency_key: str) -> Earlier | None:
    tenant = store.tenant(key.tenant)
    known = tenant.idempotent(key.interlocutor, idempotency_key)
    if known is None:
        return None
    given_up = known.turn_id == GIVEN_UP
    run = None if known.turn_id is None or given_up else tenant.run(known.turn_id)
    return Earlier(known.fingerprint or "", known.message_id, known.session_id, run, given_up)
