"""What an agent decides to say, and the process that hosts it. `Engine` is the face that a host program embeds."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from ruche.actors.logical import Taken
    from ruche.engine.blocking import BlockingEngine
    from ruche.engine.brain.explain import Explained
    from ruche.engine.catalog import PublishedAgent
    from ruche.engine.config import Settings
    from ruche.engine.drafts import Drafts
    from ruche.engine.host import Component, Host
    from ruche.engine.migrations import Migrations
    from ruche.engine.persons import Persons
    from ruche.engine.replay import Replayed
    from ruche.engine.reviewing import Reviews
    from ruche.engine.usage import Spent
    from ruche.storage.audit import Verification
    from ruche.storage.auditor import Erasure
    from ruche.storage.backup import Shipment
    from ruche.storage.keys import KeyStatus, Level
    from ruche.storage.model.conversation import SessionState
    from ruche.storage.model.event import Event
    from ruche.storage.model.handoff import Action
    from ruche.storage.model.record import AdvisoryAdded, AgentPublished, DeadLettered
    from ruche.storage.model.run import Run
    from ruche.storage.model.turn import Turn
    from ruche.storage.proofs import Head, Proof
    from ruche.storage.retention import Dropped
    from ruche.storage.secured import Page
    from ruche.storage.store import Store
    from ruche.storage.tenant import TenantStore

T = TypeVar("T")

__all__ = ["Engine"]


class Engine:
    """The conversations of one data directory. Open it with `Engine.open`, or `Engine.blocking` without a loop.

    Every method takes the tenant it acts for; ids of another tenant are answered as unknown (NotFound).
    """

    def __init__(self, host: Host) -> None:
        self._host = host

    @classmethod
    @asynccontextmanager
    async def open(cls, data: Path | str | None = None, *, agents: Path | str | None = None,
                   settings: Settings | None = None, **plugins: Any) -> AsyncIterator[Engine]:
        """Start the engine on a directory, publish the agents of a folder, and stop it in order at the end.

        `plugins` replaces parts by name: `embedder`, `brain`, `generator`, `tools`; `enforcers` adds to those that
        rules may name. Raises DataLocked when another process holds the directory, ConfigurationError for keys,
        settings, names that are taken, or agents that cannot be used.
        """
        from ruche.engine.config import read_settings
        from ruche.engine.host import Host, Plugins

        chosen = settings or read_settings()
        changes = {name: Path(value) for name, value in (("data", data), ("agents", agents)) if value is not None}
        async with Host.start(chosen.model_copy(update=changes), Plugins(**plugins)) as host:
            yield cls(host)

    @classmethod
    def blocking(cls, data: Path | str | None = None, **options: Any) -> BlockingEngine:
        """The same calls for a host without an event loop; a context manager."""
        from ruche.engine.blocking import BlockingEngine

        return BlockingEngine(data, **options)

    # --- conversation ----------------------------------------------------------------------------------------------

    async def chat(self, **request: Any) -> Turn:
        """Say something and wait for the turn that answers it; the keywords are those of `ruche.engine.saying.Request`.

        Raises InvalidRequest, NotFound (agent, session), IdempotencyMismatch, MailboxFull, RateLimited, Unavailable,
        StorageFull. A returned turn is durable.
        """
        from ruche.engine.saying import Request, say

        turn: Turn = await say(self._host, Request(**request), "reply")
        return turn

    async def accept(self, **request: Any) -> Taken:
        """As chat, but return once the message is durable: `session_id` and `turn_id` tell where the answer will be."""
        from ruche.engine.saying import Request, say

        taken: Taken = await say(self._host, Request(**request), "accepted")
        return taken

    async def stream(self, **request: Any) -> AsyncGenerator[Event]:
        """As chat, with the turn's events as they happen, `turn.completed` or `turn.failed` last."""
        from ruche.engine.saying import Request, follow

        async with aclosing(follow(self._host, Request(**request))) as events:
            async for event in events:
                yield event

    async def follow_up(self, at_ms: int, *, unless_active: bool = True, id: str = "", **request: Any) -> str:
        """Have a message said at a time (milliseconds since 1970 UTC), also when the engine is restarted meanwhile;
        `unless_active`: unless the person says something by then. The keywords are those of chat.

        Gives the id; the same id again moves it. Raises InvalidRequest, NotFound (agent), StorageFull.
        """
        from ruche.engine.followups import follow_up
        from ruche.engine.saying import Request

        return await follow_up(self._host, Request(**request), at_ms, unless_active=unless_active, id=id)

    async def cancel_follow_up(self, tenant: str, id: str) -> None:
        """It is not said any more; one that was said, or is unknown, is fine."""
        await self._host.standing.reminders.cancel(tenant, id)

    async def events(self, tenant: str, session_id: str, after: int = 0) -> AsyncGenerator[Event]:
        """What is kept of a session after a sequence number, then what happens live, until it is closed."""
        await self.session(tenant, session_id)

        async def replay(session: str, cursor: int, limit: int) -> list[Event]:
            return await self._read(tenant, lambda store: store.events(session, cursor, limit))

        async with aclosing(self._host.hosting.feeds.follow(session_id, after, replay)) as events:
            async for event in events:
                yield event

    # --- sessions and runs -----------------------------------------------------------------------------------------

    async def session(self, tenant: str, session_id: str) -> SessionState:
        """A session as it is now. Raises NotFound."""
        found = await self._read(tenant, lambda store: store.session_by_id(session_id))
        return _known(found, "session")

    async def sessions(self, tenant: str, **filters: Any) -> Page[SessionState]:
        """Newest first; filters `interlocutor`, `agent`, `limit`, `cursor`."""
        return await self._read(tenant, lambda store: store.sessions(**filters))

    async def close_session(self, tenant: str, session_id: str) -> SessionState:
        """Close it once its turns are done; the key's next message begins another. Raises NotFound."""
        from ruche.actors.session import Close
        from ruche.engine.oversight import refuse_leaving

        session = await self.session(tenant, session_id)
        if session.closed_ms is not None:
            return session
        refuse_leaving(self._host, tenant, session.key.interlocutor)
        closed: SessionState = await self._host.sessions.ask(str(session.key), Close(session_id))
        return closed

    async def intervene(self, tenant: str, session_id: str, action: Action, *, by: str, text: str = "",
                        minutes: int | None = None, request_id: str = "", idempotency_key: str = "") -> Run:
        """A person asks for the conversation (`handoff`), takes it over (`takeover`), speaks (`reply`) or gives it back
        (`return`). The agent is silent meanwhile, for `minutes` at most without a word of the person's (0: for ever).

        Raises NotFound (session, or it is closed), Conflict (not in this state), InvalidRequest (text).
        """
        from ruche.engine.handing import intervene

        return await intervene(self._host, tenant, session_id, action, by=by, text=text, minutes=minutes,
                               request_id=request_id, key=idempotency_key)

    async def run(self, tenant: str, run_id: str) -> Run:
        """The record of a turn. Raises NotFound."""
        return _known(await self._read(tenant, lambda store: store.run(run_id)), "run")

    async def replay(self, tenant: str, run_id: str, version: int | None = None) -> Replayed:
        """Run a recorded turn again from its tape, with another version of its agent where one is given; nothing is
        called, said or kept. Raises NotFound (run, version), Erased."""
        return await self._host.rerunner.replay(tenant, run_id, version)

    async def runs(self, tenant: str, **filters: Any) -> Page[Run]:
        """Newest first; filters as `TenantStore.runs`."""
        return await self._read(tenant, lambda store: store.runs(**filters))

    async def verify(self, tenant: str, session_id: str) -> Verification:
        """Check a session's chain of runs: no gap, every hash right. Raises NotFound."""
        await self.session(tenant, session_id)
        return await self._read(tenant, lambda store: store.verify_session(session_id))

    # --- audit and erasure -----------------------------------------------------------------------------------------

    async def advisories(self, tenant: str, run_id: str) -> Sequence[AdvisoryAdded]:
        """What was added to a run, in order. Raises NotFound, Erased."""
        from ruche.engine.oversight import advisories_of

        return await advisories_of(self._host, tenant, run_id)

    async def advise(self, tenant: str, run_id: str, **advisory: Any) -> AdvisoryAdded:
        """Add to a run, once: `kind`, `author`, `note`, `subject`. Raises NotFound, Erased, NotAllowed, Conflict."""
        from ruche.engine.oversight import advise

        return await advise(self._host, tenant, run_id, **advisory)

    async def audit_head(self, tenant: str, since: int = 0) -> Head:
        """Where the tenant's audit log stands, signed, and that the log of `since` entries is its beginning."""
        return await self._host.scribe.read(lambda store: store.audit.head(tenant, since))

    async def audit_proof(self, tenant: str, run_id: str) -> Proof:
        """That a run is in the tenant's audit log; holds for an erased run as well. Raises NotFound."""
        return _known(await self._host.scribe.read(lambda store: store.audit.proof(tenant, "run", run_id)), "run")

    async def erase(self, tenant: str, interlocutor: str, *, reason: str, by: str) -> Erasure:
        """End a person's sessions and make everything of theirs unreadable for ever. Raises NotFound, Conflict (a legal
        hold), StorageFull."""
        from ruche.engine.oversight import erase

        return await erase(self._host, tenant, interlocutor, reason=reason, by=by)

    async def hold(self, tenant: str, interlocutor: str, *, held: bool, reason: str, by: str) -> None:
        """Place or lift a legal hold: while it stands nothing of the person is erased or dropped for its age."""
        from ruche.engine.oversight import hold

        await hold(self._host, tenant, interlocutor, held=held, reason=reason, by=by)

    async def canonical_run(self, tenant: str, run_id: str) -> bytes:
        """A run in the bytes that its hash is over. Raises NotFound, Erased."""
        return _known(await self._read(tenant, lambda store: store.canonical_run(run_id)), "run")

    @property
    def people(self) -> Persons:
        """What is kept of persons: read, set right, handed out."""
        from ruche.engine.persons import Persons

        return Persons(self._host)

    @property
    def reviews(self) -> Reviews:
        """Runs that wait for a person's judgement, verdicts, and explanations."""
        from ruche.engine.reviewing import Reviews

        return Reviews(self._host)

    async def back_up(self) -> Shipment:
        """Bring the backup folder of the settings up to now. Raises Conflict where there is none, and what keeps it."""
        return await self._host.standing.custody.ship()

    def retention(self) -> dict[str, int]:
        """Days that each kind of record is kept; what is not named is kept for ever."""
        return self._host.settings.storage.retention.rules()

    async def let_go(self) -> Dropped:
        """Let go now of what is older than the settings and the agents' fields allow. Raises Unavailable, OSError."""
        return await self._host.standing.sweeper.sweep_now()

    async def keys(self) -> KeyStatus:
        """The keys that everything is sealed under, by level, and rotations that are not finished."""
        return await self._host.scribe.read(lambda store: store.keys.status())

    async def rotate_keys(self, level: Level, tenant: str | None = None, person: str | None = None) -> KeyStatus:
        """Begin a rotation of a level other than `root`; it goes on by itself, also after a restart. Raises NotFound,
        StorageFull."""
        def begin(store: Store) -> KeyStatus:
            store.keys.rotate(level, tenant=tenant, person=person)
            return store.keys.status()

        return await self._host.scribe.read(begin)

    # --- agents and operations -------------------------------------------------------------------------------------

    async def agents(self, tenant: str = "default") -> list[PublishedAgent]:
        """The agents that serve a tenant, by id."""
        return self._host.catalog.of_tenant(tenant)

    async def agent(self, tenant: str, agent_id: str) -> PublishedAgent:
        """Raises NotFound."""
        return self._host.catalog.published(tenant, agent_id)

    async def explain(self, tenant: str, agent_id: str, text: str, session_id: str | None = None) -> Explained:
        """What a text would match and move, in a new conversation or in this session's place; nothing is kept.

        Raises NotFound (agent, session of this agent), InvalidRequest (a brain that does not explain).
        """
        from ruche.engine.explaining import explain

        session = None if session_id is None else await self.session(tenant, session_id)
        return await explain(self._host, tenant, agent_id, text, session)

    async def publish(self, folder: Path | str) -> list[PublishedAgent]:
        """Publish an agent folder, or every one below it; nothing when one does not check (ConfigurationError)."""
        return await self._host.catalog.publish_all(Path(folder))

    @property
    def migrations(self) -> Migrations:
        """Plans for conversations that run while an agent changes: made, reviewed, deployed."""
        return self._host.migrations

    async def versions(self, tenant: str, agent_id: str, *, below: int | None = None,
                       limit: int = 20) -> list[AgentPublished]:
        """The published versions of an agent below a number, newest first. Raises NotFound."""
        return await self._host.catalog.versions(tenant, agent_id, below=below, limit=limit)

    async def rollback(self, tenant: str, agent_id: str, version: int, by: str = "") -> PublishedAgent:
        """Publish what an earlier version holds as the newest; turns that run keep theirs. Raises NotFound.

        An agent that comes from a folder is published from there again at the next start.
        """
        return await self._host.catalog.rollback(tenant, agent_id, version, by)

    @property
    def drafts(self) -> Drafts:
        """Agents that are written over the API: edited part by part, checked, published."""
        return self._host.drafts

    async def usage(self, tenant: str, first: int, last: int) -> list[Spent]:
        """What the tenant's models read, wrote and cost from UTC day `first` to `last` (counted from 1970-01-01), by
        day and agent. Raises InvalidRequest for more than 31 days."""
        return await self._host.accounts.of(tenant, first, last)

    async def health(self) -> list[Component]:
        """Every part with its state and what a small request to it took."""
        return await self._host.health()

    async def dead_letters(self, tenant: str, limit: int = 100) -> Sequence[DeadLettered]:
        """Messages that could not be answered, newest first."""
        return await self._read(tenant, lambda store: store.dead_letters(limit))

    def memory_metrics(self) -> bytes:
        """Memory and reranking, as Prometheus reads it."""
        return self._host.recalling.metrics()

    def actors(self, tenant: str | None = None) -> dict[str, Any]:
        """Live sessions, their mailboxes, restarts, the gate's queues, the services and the clock.

        With a tenant, nothing that names another.
        """
        from ruche.engine.census import census

        return census(self._host, tenant)

    def actor_metrics(self) -> bytes:
        """The same in counters, as Prometheus reads them: `ruche_actors_*`."""
        from ruche.engine.census import render

        return render(self._host)

    @property
    def settings(self) -> Settings:
        return self._host.settings

    @property
    def notices(self) -> tuple[str, ...]:
        """What an operator should know about this start."""
        return self._host.notices

    @property
    def token_key(self) -> bytes:
        """32 bytes that sign access tokens, derived from the root key."""
        return self._host.store.derive_key("access tokens")

    async def _read(self, tenant: str, question: Callable[[TenantStore], T]) -> T:
        return await self._host.scribe.read(lambda store: question(store.tenant(tenant)))


def _known(found: T | None, what: str) -> T:
    if found is None:
        from ruche.plugins.errors import NotFound

        raise NotFound(f"there is no such {what}")
    return found
