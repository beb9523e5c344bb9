"""What an agent decides to say, and the process that hosts it. `Engine` is the face that a host program embeds."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from ruche.engine.recorded import Recorded
from ruche.engine.talking import Talking

if TYPE_CHECKING:
    from ruche.engine.blocking import BlockingEngine
    from ruche.engine.brain.explain import Explained
    from ruche.engine.catalog import PublishedAgent
    from ruche.engine.config import Settings
    from ruche.engine.drafts import Drafts
    from ruche.engine.given import Opening, Parts
    from ruche.engine.host import Component
    from ruche.engine.migrations import Migrations
    from ruche.engine.usage import Spent
    from ruche.storage.backup import Shipment
    from ruche.storage.keys import KeyStatus, Level
    from ruche.storage.model.record import AgentPublished, DeadLettered
    from ruche.storage.retention import Dropped
    from ruche.storage.store import Store

__all__ = ["Engine"]


class Engine(Talking, Recorded):
    """The conversations of one data directory. Open it with `Engine.open`, or `Engine.blocking` without a loop.

    Every method takes the tenant it acts for; ids of another tenant are answered as unknown (NotFound).
    """

    @classmethod
    @asynccontextmanager
    async def open(cls, data: Path | str | None = None, *, agents: Path | str | None = None,
                   settings: Settings | None = None, **parts: Unpack[Parts]) -> AsyncIterator[Engine]:
        """Start the engine on a directory, publish the agents of a folder, and stop it in order at the end.

        What is left out is as the settings say (`ruche.toml`, `RUCHE_*`, else `data/` and no agents). `parts`, the
        keywords of `ruche.engine.given.Parts`, replace parts of the engine. Raises DataLocked when another process
        holds the directory, ConfigurationError for a directory, keys, settings, parts, names that are taken, or agents
        that cannot be used; the message says what to change. One engine for each event loop.
        """
        from ruche.engine.config import read_settings
        from ruche.engine.given import Plugins
        from ruche.engine.host import Host
        from ruche.plugins.errors import ConfigurationError

        plugins = Plugins(**parts)
        plugins.check()
        if data == "":
            raise ConfigurationError('data: an empty name is the current directory; write "." if that is meant')
        chosen = settings or read_settings()
        changes = {name: Path(value) for name, value in (("data", data), ("agents", agents)) if value is not None}
        async with Host.start(chosen.model_copy(update=changes), plugins) as host:
            yield cls(host)

    @classmethod
    def blocking(cls, data: Path | str | None = None, **options: Unpack[Opening]) -> BlockingEngine:
        """The same calls for a host without an event loop; a context manager."""
        from ruche.engine.blocking import BlockingEngine

        return BlockingEngine(data, **options)

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
