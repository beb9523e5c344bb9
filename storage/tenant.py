"""What one tenant can read. Another tenant's id is simply unknown here."""

from __future__ import annotations

from collections.abc import Sequence

from ruche.storage.agents import Agents
from ruche.storage.audit import FindHeads, Runs, Verification
from ruche.storage.episodes import Episodes
from ruche.storage.identities import Identities, names_of
from ruche.storage.model.conversation import Profile, SessionKey, SessionState
from ruche.storage.model.event import Event
from ruche.storage.model.memory import Remembered
from ruche.storage.model.migration import MigrationPlan
from ruche.storage.model.record import (
    AdvisoryAdded,
    AgentPublished,
    DeadLettered,
    DraftSaved,
    EffectReserved,
    EffectSettled,
    EpisodeKept,
    IdentityLinked,
    SegmentReleased,
)
from ruche.storage.model.run import Run
from ruche.storage.model.told import is_bare, told
from ruche.storage.model.webhook import Delivery, Webhook
from ruche.storage.people import People
from ruche.storage.said import Said
from ruche.storage.secured import Door, Page
from ruche.storage.sessions import Idempotent, Sessions
from ruche.storage.webhooks import Webhooks


class TenantStore:
    """Reads see everything appended so far. Any thread may call; a call takes the store's lock while it looks."""

    def __init__(self, door: Door, tenant: str, heads: FindHeads) -> None:
        """`heads` tells of a session where days of its runs were dropped."""
        self._sessions = Sessions(door, tenant)
        self._people, self._agents = People(door, tenant), Agents(door, tenant)
        self._episodes, self._said = Episodes(door, tenant), Said(door, tenant)
        self._identities, self._webhooks = Identities(door, tenant), Webhooks(door, tenant)
        self._runs = Runs(door, tenant, self._sessions, heads)
        self._tenant = tenant

    @property
    def content_key(self) -> bytes:
        """32 bytes that the hashes of what is said are keyed with: for the sessions that are active."""
        return self._runs.content_key

    def session(self, key: SessionKey) -> SessionState | None:
        """The open session of a key, else its last one; None for another tenant's key."""
        return self._sessions.by_key(key) if key.tenant == self._tenant else None

    def stranger(self, key: SessionKey) -> bool:
        """True when surely nothing is kept under this key and of its person; at once, in any thread."""
        return key.tenant != self._tenant or (self._sessions.never(key) and self._people.unknown(key.interlocutor))

    def session_by_id(self, session_id: str) -> SessionState | None:
        return self._sessions.by_id(session_id)

    def sessions(self, *, interlocutor: str | None = None, agent: str | None = None, limit: int = 20,
                 cursor: str | None = None, names: Sequence[str] = ()) -> Page[SessionState]:
        """Newest first; `names` gives those of several interlocutors. Raises BadCursor."""
        if names:
            return self._sessions.page_of(names, agent=agent, limit=limit, cursor=cursor)
        return self._sessions.page(interlocutor=interlocutor, agent=agent, limit=limit, cursor=cursor)

    def profile(self, interlocutor: str) -> Profile | None:
        return self._people.profile(interlocutor)

    def identity(self, name: str) -> IdentityLinked | None:
        """Whose name this is besides their own, or was."""
        return self._identities.get(name)

    def identities(self) -> list[IdentityLinked]:
        """Every other name of the tenant's persons, by name; and those that were theirs."""
        return self._identities.all()

    def names_of(self, name: str) -> tuple[str, ...]:
        """All names of the person who goes by this one, that of their records first."""
        return names_of(name, self._identities.all())

    def memories(self, interlocutor: str, limit: int = 5_000) -> list[Remembered]:
        """What was said with a person, oldest first; of more than `limit` the newest."""
        return self._said.of(interlocutor, limit)

    def memories_of(self, names: Sequence[str], limit: int = 5_000) -> list[Remembered]:
        """What was said with those who go by these names, as `memories`."""
        found = [one for name in names for one in self._said.of(name, limit)]
        return sorted(found, key=lambda one: (one.utterance.at_ms, one.utterance.id))[-limit:]

    def run(self, run_id: str) -> Run | None:
        return self._runs.get(run_id)

    def canonical_run(self, run_id: str) -> bytes | None:
        """The run's canonical bytes, as they were hashed."""
        return self._runs.canonical(run_id)

    def run_bytes(self) -> int:
        """What the tenant's runs take on disk, in bytes; those of the last second may not be in it yet."""
        return self._runs.bytes()

    def runs(self, *, session: str | None = None, agent: str | None = None, risk: str | None = None,
             status: str | None = None, since_ms: int | None = None, until_ms: int | None = None, limit: int = 20,
             cursor: str | None = None, oldest_first: bool = False) -> Page[Run]:
        """Newest first unless `oldest_first`; since_ms <= created_ms < until_ms. Raises BadCursor."""
        return self._runs.page(session=session, agent=agent, risk=risk, status=status, since_ms=since_ms,
                               until_ms=until_ms, limit=limit, cursor=cursor, oldest_first=oldest_first)

    def events(self, session_id: str, after: int = 0, limit: int = 1000) -> list[Event]:
        """Events with a seq above `after`, in order."""
        events = self._sessions.events(session_id, after, limit)
        bare = [event.turn_id for event in events if is_bare(event)]
        return list(told(events, self._runs.between(session_id, min(bare), max(bare)))) if bare else events

    def segments(self, turn_id: str) -> list[SegmentReleased]:
        """What was released of a turn that a crash interrupted, in order; empty once the turn is committed."""
        return self._sessions.segments(turn_id)

    def idempotent(self, interlocutor: str, idempotency_key: str) -> Idempotent | None:
        return self._sessions.request(interlocutor, idempotency_key)

    def effect(self, key: str) -> EffectReserved | EffectSettled | None:
        return self._sessions.effect(key)

    def effects_of(self, turn_id: str) -> list[EffectReserved | EffectSettled]:
        """What is known of the tool calls of a turn, oldest first."""
        return self._sessions.effects_of(turn_id)

    def agent(self, agent_id: str, version: int | None = None) -> AgentPublished | None:
        """A published version, the newest when `version` is None."""
        return self._agents.get(agent_id, version)

    def agents(self) -> list[AgentPublished]:
        """The newest version of every agent, by id."""
        return self._agents.newest()

    def draft(self, agent_id: str) -> DraftSaved | None:
        """What an author is working on over the API."""
        return self._agents.draft(agent_id)

    def migration(self, agent_id: str, plan_id: str) -> MigrationPlan | None:
        """A plan for conversations that run while an agent changes."""
        return self._agents.plan(agent_id, plan_id)

    def migrations(self, agent_id: str | None = None) -> list[MigrationPlan]:
        """Newest first."""
        return self._agents.plans(agent_id)

    def drafts(self) -> list[DraftSaved]:
        """By the agent's id."""
        return self._agents.drafts()

    def dead_letters(self, limit: int = 100) -> list[DeadLettered]:
        """Newest first."""
        return self._sessions.dead_letters(limit)

    def episode(self, kind: str, id: str) -> EpisodeKept | None:
        """An episode, cluster, piece of wisdom or companion that was brought in from elsewhere."""
        return self._episodes.get(kind, id)

    def episodes(self, *, kind: str | None = None, interlocutor: str | None = None, limit: int = 20,
                 cursor: str | None = None) -> Page[EpisodeKept]:
        """Newest day first. Raises BadCursor."""
        return self._episodes.page(kind=kind, interlocutor=interlocutor, limit=limit, cursor=cursor)

    def webhooks(self) -> list[Webhook]:
        """Those that were made over the API, oldest first."""
        return self._webhooks.all()

    def delivery(self, id: str) -> Delivery | None:
        """What became of telling a webhook of something."""
        return self._webhooks.delivery(id)

    def deliveries(self, webhook: str, *, state: str | None = None, limit: int = 20,
                   cursor: str | None = None) -> Page[Delivery]:
        """Of one webhook, newest first. Raises BadCursor."""
        return self._webhooks.deliveries(webhook, state, limit, cursor)

    def advisories(self, run_id: str) -> list[AdvisoryAdded]:
        """In the order in which they were added."""
        return self._runs.advisories(run_id)

    def verify_session(self, session_id: str) -> Verification:
        """Whether the session's chain of runs is whole, recomputed from the stored bytes."""
        return self._runs.verify(session_id)
