"""Agents that authors write over the API: a draft is worked on part by part, checked, and published at once.

Agents of folders are read here and written in their folder.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from weakref import WeakValueDictionary

import anyio

from ruche.actors.scribe import Scribe
from ruche.engine.authoring.check import check
from ruche.engine.authoring.edit import with_headers
from ruche.engine.authoring.load import load_folder
from ruche.engine.authoring.powers import refuse_powers
from ruche.engine.authoring.problem import Problem
from ruche.engine.authoring.writing import Written, files_of
from ruche.engine.catalog import Catalog, PublishedAgent
from ruche.plugins.errors import Conflict, InvalidRequest, NotFound, ReadOnly
from ruche.plugins.installed import Installed
from ruche.storage.model.agent import Agent
from ruche.storage.model.bundle import AgentBundle, canonical_bundle
from ruche.storage.model.record import DraftSaved

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")

Edit = Callable[[AgentBundle], AgentBundle]


class Unpublishable(InvalidRequest):
    """A draft that does not check. `problems` in the details has every finding."""

    code = "CHECK_FAILED"


@dataclass(frozen=True, slots=True)
class Author:
    """Who writes, and whether as an admin."""

    name: str
    admin: bool = False


@dataclass(frozen=True, slots=True)
class Draft:
    """What an author sees: the draft, or where there is none what is published (`revision` 0)."""

    bundle: AgentBundle
    revision: int
    version: int
    """The published version, 0 before the first."""
    by: str = ""
    at_ms: int = 0


class Drafts:
    """The drafts of all tenants. Edits of one agent happen one after the other."""

    def __init__(self, catalog: Catalog, scribe: Scribe, installed: Installed, clock_ms: Callable[[], int]) -> None:
        self._catalog, self._scribe, self._installed, self._clock_ms = catalog, scribe, installed, clock_ms
        self._locks: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()

    async def read(self, tenant: str, agent: str) -> Draft:
        """The draft, else what is published. Raises NotFound."""
        kept = await self._scribe.read(lambda store: store.tenant(tenant).draft(agent))
        published = self._catalog.find(tenant, agent)
        version = published.version if published else 0
        if kept is not None and kept.bundle is not None:
            bundle = AgentBundle.model_validate_json(kept.bundle)
            return Draft(bundle, kept.revision, version, kept.by, kept.at_ms)
        return Draft(self._catalog.published(tenant, agent).bundle, 0, version)

    async def unpublished(self, tenant: str) -> list[Draft]:
        """The drafts of agents that serve nobody yet, by id."""
        kept = await self._scribe.read(lambda store: store.tenant(tenant).drafts())
        return [Draft(AgentBundle.model_validate_json(one.bundle), one.revision, 0, one.by, one.at_ms)
                for one in kept if one.bundle is not None and self._catalog.find(tenant, one.agent) is None]

    async def create(self, tenant: str, agent: str, head: Agent, author: Author) -> Draft:
        """A draft with nothing but its head; the same again is answered the same while nothing was added. Raises
        InvalidRequest (id), Conflict (the id is taken)."""
        if not _ID.fullmatch(agent):
            raise InvalidRequest("id: letters, digits, - and _, at most 64",
                                 fields=[{"path": "id", "message": "letters, digits, - and _, at most 64"}])
        async with self._lock(tenant, agent):
            kept = await self._scribe.read(lambda store: store.tenant(tenant).draft(agent))
            begun = AgentBundle(id=agent, tenant=tenant, agent=head)
            if kept is not None and kept.bundle == canonical_bundle(begun):
                return Draft(begun, kept.revision, 0, kept.by, kept.at_ms)
            if kept is not None or self._catalog.find(tenant, agent) is not None:
                raise Conflict("there is an agent of this id already")
            return await self._keep(begun, None, 0, 0, author)

    async def edit(self, tenant: str, agent: str, change: Edit, author: Author, expected: int | None = None) -> Draft:
        """Change the draft; where there is none, one of what is published.

        Raises NotFound, ReadOnly (it comes from a folder), Conflict (`expected` is not its revision any more),
        Forbidden (`powers.py`), and what `change` raises.
        """
        async with self._lock(tenant, agent):
            before = await self.writable(tenant, agent)
            if expected is not None and expected != before.revision:
                raise Conflict(f"somebody changed it meanwhile: it is at revision {before.revision}",
                               revision=before.revision)
            after = change(before.bundle)
            if after is before.bundle:
                return before
            after = with_headers(after, before.bundle)
            return await self._keep(after, before.bundle, before.revision, before.version, author)

    async def writable(self, tenant: str, agent: str) -> Draft:
        """As `read`; raises ReadOnly for an agent that comes from a folder."""
        found, published = await self.read(tenant, agent), self._catalog.find(tenant, agent)
        if published is not None and published.source == "folder":
            raise ReadOnly("this agent comes from a folder; change it there and run `ruche publish`")
        return found

    async def discard(self, tenant: str, agent: str, author: Author) -> None:
        """Throw the draft away; what is published goes on. Raises NotFound, ReadOnly."""
        async with self._lock(tenant, agent):
            draft = await self.writable(tenant, agent)
            if not draft.revision:
                raise NotFound("there is no draft")
            await self._scribe.commit(self._record(tenant, agent, draft.revision, None, author))

    async def check(self, tenant: str, agent: str) -> list[Problem]:
        """What the author's check finds in the draft, or in what is published; in its folder, as that is now, for one
        that comes from there. Raises NotFound."""
        draft, folder = await self.read(tenant, agent), self._catalog.folder(tenant, agent)
        if folder is not None and not draft.revision:
            return list((await anyio.to_thread.run_sync(load_folder, folder, self._installed)).problems)
        return await self._check(draft.bundle)

    async def files(self, tenant: str, agent: str) -> dict[str, str]:
        """The draft, or what is published, as the files of an agent folder, in which `check` names lines. What headers
        of tools hold is left out. Raises NotFound."""
        return await anyio.to_thread.run_sync(files_of, (await self.read(tenant, agent)).bundle)

    async def publish(self, tenant: str, agent: str, author: Author,
                      note: str = "") -> tuple[PublishedAgent, list[Problem]]:
        """The draft becomes the version that new turns use, at once and whole. Gives the warnings besides.

        Without a draft, or when it holds what is published already, there is no new version. Raises NotFound, ReadOnly,
        Unpublishable with every problem.
        """
        async with self._lock(tenant, agent):
            draft = await self.writable(tenant, agent)
            problems = await self._check(draft.bundle)
            if any(one.is_error for one in problems):
                first = next(one for one in problems if one.is_error)
                raise Unpublishable(f"it cannot be published: {first}",
                                    problems=[{**one.as_dict(), "path": one.path} for one in problems])
            if not draft.revision:
                return self._catalog.published(tenant, agent), problems
            served = await self._catalog.publish(draft.bundle, source="api", by=author.name, note=note, ends_draft=True)
            if served.version == draft.version:  # it holds what is published already
                await self._scribe.commit(self._record(tenant, agent, draft.revision, None, author))
            return served, problems

    async def retire(self, tenant: str, agent: str, author: Author) -> None:
        """The agent serves nobody any more and its draft goes; its versions stay for the runs made with them.

        Raises NotFound, ReadOnly.
        """
        async with self._lock(tenant, agent):
            draft = await self.writable(tenant, agent)
            if self._catalog.find(tenant, agent) is None:
                await self._scribe.commit(self._record(tenant, agent, draft.revision, None, author))
            else:
                await self._catalog.retire(tenant, agent, author.name)

    async def _keep(self, bundle: AgentBundle, before: AgentBundle | None, revision: int, version: int,
                    author: Author) -> Draft:
        refuse_powers(bundle, before, admin=author.admin)
        body = await anyio.to_thread.run_sync(partial(canonical_bundle, bundle))
        record = self._record(bundle.tenant, bundle.id, revision + 1, body, author)
        await self._scribe.commit(record)
        return Draft(bundle, record.revision, version, record.by, record.at_ms)

    def _record(self, tenant: str, agent: str, revision: int, body: bytes | None, author: Author) -> DraftSaved:
        return DraftSaved(tenant=tenant, at_ms=self._clock_ms(), agent=agent, revision=revision, bundle=body,
                          by=author.name)

    async def _check(self, bundle: AgentBundle) -> list[Problem]:
        return await anyio.to_thread.run_sync(partial(check, bundle, Written(bundle), self._installed))

    def _lock(self, tenant: str, agent: str) -> asyncio.Lock:
        lock = self._locks.get((tenant, agent))
        if lock is None:
            lock = self._locks[tenant, agent] = asyncio.Lock()
        return lock
