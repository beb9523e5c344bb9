"""The published agents of all tenants, compiled: what a turn looks up before it thinks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from weakref import WeakValueDictionary

from msgspec.structs import replace
from pydantic import ValidationError

from ruche.actors.scribe import Scribe
from ruche.engine.authoring.load import find_folders, load_folder
from ruche.engine.authoring.publish import bundle_hash, next_version
from ruche.engine.authoring.review import ReviewNeeded, refuse_unreviewed
from ruche.engine.brain.compiled import CompiledAgent
from ruche.plugins.contracts import Retrieval
from ruche.plugins.errors import ConfigurationError, NotFound, RucheError
from ruche.plugins.installed import Installed
from ruche.storage.model.bundle import AgentBundle
from ruche.storage.model.migration import MigrationPlan
from ruche.storage.model.record import AgentPublished
from ruche.storage.store import Store

Source = Literal["folder", "api"]


@dataclass(frozen=True, slots=True)
class PublishedAgent:
    """An agent as it serves now."""

    bundle: AgentBundle
    version: int
    hash: str
    compiled: CompiledAgent
    source: Source = "folder"


class Catalog:
    """Agents by tenant and id. A publish swaps one entry: running turns keep the version they began with."""

    def __init__(self, scribe: Scribe, retrieval: Retrieval, installed: Installed,
                 clock_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000) -> None:
        self._scribe = scribe
        self._retrieval = retrieval
        self._installed = installed
        self._clock_ms = clock_ms
        self._agents: dict[tuple[str, str], PublishedAgent] = {}
        self._folders: dict[tuple[str, str], Path] = {}
        self._locks: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()

    def current(self, tenant: str, agent: str) -> CompiledAgent:
        """The version that new turns use. Raises NotFound."""
        return self.published(tenant, agent).compiled

    def published(self, tenant: str, agent: str) -> PublishedAgent:
        """Raises NotFound, for another tenant's agent just as for an unknown one."""
        found = self._agents.get((tenant, agent))
        if found is None:
            raise NotFound("there is no such agent")
        return found

    def find(self, tenant: str, agent: str) -> PublishedAgent | None:
        """As `published`, None where there is none."""
        return self._agents.get((tenant, agent))

    def folder(self, tenant: str, agent: str) -> Path | None:
        """Where an agent comes from, if that is a folder that is there."""
        found = self.find(tenant, agent)
        path = self._folders.get((tenant, agent)) if found is not None and found.source == "folder" else None
        return path if path is not None and path.is_dir() else None

    def field_days(self) -> dict[str, dict[str, int]]:
        """By tenant, the days that fields of profiles are kept: the fewest that an agent of the tenant asks for."""
        found: dict[str, dict[str, int]] = {}
        for (tenant, _), agent in self._agents.items():
            for field in agent.bundle.fields:
                if field.retention_days is not None:
                    days = found.setdefault(tenant, {})
                    days[field.name] = min(field.retention_days, days.get(field.name, field.retention_days))
        return found

    def everywhere(self) -> list[PublishedAgent]:
        """All agents of all tenants."""
        return [agent for _, agent in sorted(self._agents.items())]

    def of_tenant(self, tenant: str) -> list[PublishedAgent]:
        """All agents of a tenant, by id."""
        return [agent for key, agent in sorted(self._agents.items()) if key[0] == tenant]

    async def publish_all(self, *roots: Path) -> list[PublishedAgent]:
        """Publish every agent folder under `roots`; all are checked before the first is published."""
        return [await self.publish(bundle, source="folder") for bundle in self._loaded(roots)]

    async def serve_folders(self, *roots: Path) -> list[str]:
        """As `publish_all`; an agent whose changes nobody has approved goes on as it was. Gives which, and why."""
        held = []
        for bundle in self._loaded(roots):
            try:
                await self.publish(bundle, source="folder")
            except ReviewNeeded as error:
                held.append(f"agent {bundle.id} of tenant {bundle.tenant} serves as before: {error.message}")
                latest = await self._latest(bundle.tenant, bundle.id)
                if latest is not None:
                    await self._serve(AgentBundle.model_validate_json(latest.bundle), latest, "folder")
        return held

    def _loaded(self, roots: Sequence[Path]) -> list[AgentBundle]:
        folders = [folder for root in roots for folder in find_folders(root)]
        if not folders:
            raise ConfigurationError(f"{', '.join(map(str, roots))}: there is no agent folder (a folder with "
                                     "agent.yaml); `ruche init NAME` makes one")
        loaded = {folder: load_folder(folder, self._installed).require() for folder in folders}
        self._folders.update({(bundle.tenant, bundle.id): folder.absolute() for folder, bundle in loaded.items()})
        return list(loaded.values())

    async def serve_kept(self) -> list[str]:
        """Serve the agents that were published over the API. Gives why those that cannot be used are left out."""
        faults = []
        for kept in await self._scribe.read(lambda store: store.all_agents()):
            if kept.source == "api" and not kept.retired:
                try:
                    await self._serve(AgentBundle.model_validate_json(kept.bundle), kept, "api")
                except (RucheError, ValidationError) as error:
                    reason = error.message if isinstance(error, RucheError) else "this engine does not know its form"
                    faults.append(f"agent {kept.agent} of tenant {kept.tenant} is not served: {reason}")
        return faults

    async def versions(self, tenant: str, agent: str, *, below: int | None = None,
                       limit: int = 20) -> list[AgentPublished]:
        """The published versions below a number, newest first. Raises NotFound."""
        newest = self.published(tenant, agent).version
        first = newest if below is None else min(newest, below - 1)

        def read(store: Store) -> list[AgentPublished]:
            kept = store.tenant(tenant)
            found = (kept.agent(agent, number) for number in range(first, max(0, first - limit), -1))
            return [one for one in found if one is not None]

        return await self._scribe.read(read)

    async def rollback(self, tenant: str, agent: str, version: int, by: str = "") -> PublishedAgent:
        """Publish what an earlier version holds as the newest one; turns that run keep theirs. Raises NotFound."""
        self.published(tenant, agent)
        kept = await self._scribe.read(lambda store: store.tenant(tenant).agent(agent, version))
        if kept is None or kept.retired:
            raise NotFound(f"agent {agent} has no version {version}")
        return await self.publish(AgentBundle.model_validate_json(kept.bundle), by=by, note=f"version {version} again",
                                  back=True)

    async def publish(self, bundle: AgentBundle, *, source: Source | None = None, by: str = "", note: str = "",
                      ends_draft: bool = False, back: bool = False) -> PublishedAgent:
        """Make a bundle the current version; one that is published already keeps its version. Durable on return.

        `source` is that of the version before where it is not given; `back`: it is an earlier version. Raises
        ReviewNeeded for one that nobody has approved where the agent asks for that.
        """
        async with self._lock(bundle.tenant, bundle.id):
            latest = await self._latest(bundle.tenant, bundle.id)
            origin = source or (latest.source if latest is not None else "folder")
            record = next_version(bundle, latest, self._clock_ms())
            if record is not None:
                if not back:
                    refuse_unreviewed(bundle, latest, await self._plans(bundle))
                record = replace(record, source=origin, by=by, note=note, ends_draft=ends_draft,
                                 taught=latest.taught if latest is not None else b"")
            return await self._serve(bundle, record or latest, origin, record)

    async def retire(self, tenant: str, agent: str, by: str) -> None:
        """Serve it no more; its versions stay, and so does its number. Raises NotFound."""
        self.published(tenant, agent)
        async with self._lock(tenant, agent):
            latest = await self._latest(tenant, agent)
            if latest is not None:
                await self._scribe.commit(replace(latest, version=latest.version + 1, at_ms=self._clock_ms(), by=by,
                                                  note="", retired=True, ends_draft=True))
            self._agents.pop((tenant, agent), None)

    async def _serve(self, bundle: AgentBundle, kept: AgentPublished | None, source: Source,
                     record: AgentPublished | None = None) -> PublishedAgent:
        """Compile, keep the record of a new version, swap."""
        version, digest = (kept.version, kept.hash) if kept else (1, bundle_hash(bundle))
        compiled = CompiledAgent(bundle, version, self._installed.enforcers, digest)
        agent = PublishedAgent(bundle, version, digest, compiled, source)
        taught = await self._retrieval.prepare(bundle, version, taught=kept.taught if kept else b"")
        if record is not None:
            await self._scribe.commit(replace(record, taught=taught))
        self._agents[bundle.tenant, bundle.id] = agent
        return agent

    def _lock(self, tenant: str, agent: str) -> asyncio.Lock:
        """Versions of one agent are numbered one after the other."""
        lock = self._locks.get((tenant, agent))
        if lock is None:
            lock = self._locks[tenant, agent] = asyncio.Lock()
        return lock

    async def _plans(self, bundle: AgentBundle) -> list[MigrationPlan]:
        return await self._scribe.read(lambda store: store.tenant(bundle.tenant).migrations(bundle.id))

    async def _latest(self, tenant: str, agent: str) -> AgentPublished | None:
        return await self._scribe.read(lambda store: store.tenant(tenant).agent(agent))
