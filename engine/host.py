"""The composition root: builds storage, plugins and actors, starts them in order and stops them in reverse."""

from __future__ import annotations

import os
import shlex
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import anyio.to_thread

from ruche.actors.dead_letters import keeper
from ruche.actors.directory import Directory, Policy
from ruche.actors.enforcer import Enforcement
from ruche.actors.fair import FairGate
from ruche.actors.feed import Feeds
from ruche.actors.hosting import REFUSAL, Hosting
from ruche.actors.recovery import recover
from ruche.actors.remembered import Remembered
from ruche.actors.retriever import Retriever
from ruche.actors.scribe import Scribe
from ruche.actors.session import SessionActor
from ruche.actors.slot import State
from ruche.actors.supersede import BUILT_IN, Decider
from ruche.actors.system import ActorSystem
from ruche.engine.admission import Admission
from ruche.engine.authoring.samples import served_samples
from ruche.engine.brain.turn import PhasedBrain
from ruche.engine.catalog import Catalog
from ruche.engine.config import Settings, StorageSettings
from ruche.engine.datadir import opening
from ruche.engine.drafts import Drafts
from ruche.engine.embedding import make_embedder, try_embedder
from ruche.engine.given import Plugins
from ruche.engine.identities import Linked
from ruche.engine.limits import Quotas
from ruche.engine.migrations import Migrations
from ruche.engine.recalling import Recalling, open_recalling
from ruche.engine.rerunning import Rerunner
from ruche.engine.speakers import Speakers
from ruche.engine.standing import Standing
from ruche.engine.subscriptions import Subscriptions
from ruche.engine.usage import Accounts
from ruche.engine.webhooks import Webhooks
from ruche.plugins.channels import built_in_channels
from ruche.plugins.contracts import Brain, Enforcer
from ruche.plugins.errors import ConfigurationError, RucheError
from ruche.plugins.installed import Installed
from ruche.plugins.registry import Registry
from ruche.plugins.tools import Tools
from ruche.storage.keyring import KeySource
from ruche.storage.keysources import (
    CommandKeySource,
    EnvKeySource,
    FileKeySource,
    KeyringKeySource,
    create_root_key,
)
from ruche.storage.model.conversation import SessionKey
from ruche.storage.store import Store


def engine_name() -> str:
    """Name and version, as runs carry it."""
    try:
        return f"ruche-engine {version('ruche-engine')}"
    except PackageNotFoundError:
        return "ruche-engine (source)"


@dataclass(frozen=True, slots=True)
class Component:
    """One part's state: `ok`, `degraded` (it serves, worse) or `failed`. `latency_ms` of a small real request."""

    name: str
    status: str
    latency_ms: float | None = None
    message: str = ""


class Host:
    """Everything that runs for one data directory. Made by `Host.start`."""

    def __init__(self, settings: Settings, store: Store, scribe: Scribe, catalog: Catalog, drafts: Drafts,
                 installed: Installed, hosting: Hosting, sessions: Directory[SessionActor], retriever: Retriever,
                 quotas: Quotas, notices: tuple[str, ...], faults: tuple[str, ...] = ()) -> None:
        self.settings = settings
        self.store = store
        self.scribe = scribe
        self.catalog = catalog
        self.drafts, self.installed = drafts, installed
        self.hosting = hosting
        self.sessions = sessions
        self.retriever = retriever
        self.quotas, self.admission = quotas, Admission()
        self.rerunner, self.accounts = Rerunner(self), Accounts(self)
        self.recalling: Recalling
        self.standing: Standing
        self.migrations: Migrations
        self.speakers: Speakers
        self.linked: Linked
        self.subscriptions: Subscriptions
        """Made once the host is there."""
        self.leaving: set[tuple[str, str]] = set()
        """Tenant and interlocutor of those who are being erased."""
        self.notices = (*notices, *faults)
        """What an operator should know about this start: a substitute for missing weights, plugins without use."""
        self._substitutes, self._faults = notices, faults

    @classmethod
    @asynccontextmanager
    async def start(cls, settings: Settings, plugins: Plugins) -> AsyncIterator[Host]:
        """Open the store, start the actors, publish the folder's agents, finish what a crash left unanswered."""
        async with AsyncExitStack() as stack:
            store = await open_store(settings)
            stack.push_async_callback(anyio.to_thread.run_sync, store.close)
            feeds = Feeds()
            stack.callback(feeds.close)  # also when the actors had to be cut off
            await stack.enter_async_context(ActorSystem())
            host = await _build(cls, settings, plugins, store, stack, feeds)
            host.notices = (*host.notices, *await host.catalog.serve_kept())
            if settings.agents is not None or settings.samples:
                roots = served_samples() if settings.agents is None else [settings.agents]
                host.notices = (*host.notices, *await host.catalog.serve_folders(*roots))
            host.notices = (*host.notices, *_keyless(host))
            await host.linked.load()
            await host.subscriptions.load()
            await recover(host.sessions, host.hosting, store.unanswered())
            await host.standing.begin()
            yield host

    async def health(self) -> list[Component]:
        """Every part, with what a small request to it took."""
        plugins = [Component("plugins", "degraded", None, "; ".join(self._faults))] if self._faults else []
        ranking, told = self.recalling.state()
        return [await self._timed("storage", self._storage_state), _journal(self.scribe, bool(self.hosting.refused)),
                await self._timed("retriever", self._embed),
                Component("reranker", ranking, None, told), *plugins,
                Component("agents", "ok" if self.catalog else "degraded"),
                Component("sessions", "degraded" if self.sessions.alarmed else "ok", None,
                          f"{len(self.sessions)} in memory")]

    async def _storage_state(self) -> tuple[str, str]:
        await self.scribe.read(lambda store: store.health())
        return ("failed", "a sync failed; restart the engine") if self.scribe.stopped else ("ok", "")

    async def _embed(self) -> tuple[str, str]:
        await self.retriever.encode(["ready"])
        state = "degraded" if self._substitutes else "ok"
        return state, "; ".join([self.retriever.embedder.name, *self._substitutes])

    async def _timed(self, name: str, probe: Callable[[], Any]) -> Component:
        begun = time.perf_counter()
        try:
            status, message = await probe()
        except RucheError as error:
            status, message = "failed", error.message
        return Component(name, status, round(1000 * (time.perf_counter() - begun), 3), message)


def _journal(scribe: Scribe, refused: bool) -> Component:
    """The writer of the journal, without which nothing can be accepted or answered."""
    if scribe.stopped:
        return Component("journal", "failed", None, "a sync failed; restart the engine")
    if scribe.writer.state is State.QUARANTINED:
        return Component("journal", "failed", None, "the writer crashed again and again and rests for a while")
    if scribe.writer.state is not State.LIVE:
        return Component("journal", "degraded", None, "the writer crashed and comes back in a moment")
    full = scribe.refusing or refused  # what ends a turn may still be kept, out of the reserve
    return Component("journal", "degraded" if full else "ok", None, "the disk is full" if full else "")


async def _build(kind: type[Host], settings: Settings, plugins: Plugins, store: Store, stack: AsyncExitStack,
                 feeds: Feeds) -> Host:
    scribe = Scribe(store)
    registry = Registry()
    embedder, notice = ((plugins.embedder, None) if plugins.embedder is not None
                        else await make_embedder(settings.models, registry))
    retriever = Retriever(embedder, remembered=Remembered(scribe.read, embedder.name, embedder.dimensions))
    await try_embedder(settings.models, retriever)
    linked = Linked(scribe)
    recalling = await open_recalling(settings.models, retriever, scribe, linked)
    installed = Installed(registry, plugins.enforcers, any_generator=plugins.generator is not None)
    catalog = Catalog(scribe, retriever, installed, plugins.clock_ms)
    tools = plugins.tools or Tools(secrets=tool_secrets(os.environ), hosts=settings.tools.hosts,
                                   at_once=settings.tools.at_once)
    speakers = Speakers(registry, os.environ, settings.models.prices)
    stack.push_async_callback(tools.close)
    stack.push_async_callback(speakers.close)
    migrations = Migrations(scribe, catalog, installed, plugins.clock_ms)
    brain = plugins.brain or PhasedBrain(
        agents=catalog, retrieval=retriever, tools=tools, generators=plugins.generator or speakers,
        enforcement=Enforcement(), channels=built_in_channels(), engine_version=engine_name(),
        memory=recalling.memories, ranking=recalling.reranking, changes=migrations.changes)
    limits = settings.limits
    quotas = Quotas(limits, scribe, plugins.clock_ms)
    hosting = _hosting(settings, plugins, brain, scribe, catalog, quotas, feeds,
                       _decider(settings, plugins, registry))
    ActorSystem.running().before_exit(feeds.stop)  # after the sessions: their last turns are still heard
    sessions = Directory(SessionActor, hosting, policy=Policy(idle_after=limits.idle_seconds,
                                                             max_active=limits.active_sessions, buffer=limits.mailbox),
                         on_dead_letter=keeper(hosting))
    drafts = Drafts(catalog, scribe, installed, plugins.clock_ms)
    host = kind(settings, store, scribe, catalog, drafts, installed, hosting, sessions, retriever, quotas,
                (notice,) if notice else (), installed.notices)
    host.recalling, host.notices = recalling, (*host.notices, *recalling.notices)
    host.migrations, host.speakers, host.linked = migrations, speakers, linked
    webhooks = Webhooks(settings.webhooks, tool_secrets(os.environ), hosting.new_id, hosting.clock_ms, scribe.commit,
                        private=settings.callbacks.allow_private)
    stack.push_async_callback(webhooks.close)
    host.subscriptions = Subscriptions(host, webhooks)
    host.standing = Standing(host, webhooks, tools)
    return host


def _keyless(host: Host) -> Iterator[str]:
    """Agents whose model cannot be asked, because its key is not there: they speak without it."""
    for agent in host.catalog.everywhere():
        for name in host.speakers.unset(agent.bundle.agent):
            yield (f"agent {agent.bundle.id} of tenant {agent.bundle.tenant}: the variable {name}, which should hold "
                   "the API key of its model, is not set; it speaks without the model")


def _hosting(settings: Settings, plugins: Plugins, brain: Brain, scribe: Scribe, catalog: Catalog,
             quotas: Quotas, feeds: Feeds, decider: Decider) -> Hosting:
    limits = settings.limits
    at_once = {tenant: limits.for_tenant(tenant).turns_at_once or limits.turns_at_once_per_tenant
               for tenant in limits.tenants}

    def refusal(key: SessionKey) -> str:
        try:
            return catalog.current(key.tenant, key.agent).refused
        except RucheError:
            return REFUSAL

    return Hosting(brain=brain, scribe=scribe, feeds=feeds, on_turn=quotas.count, decider=decider,
                   gate=FairGate(limits.turns_at_once, limits.turns_at_once_per_tenant, limits=at_once),
                   engine=engine_name(), turn_seconds=limits.turn_seconds, waiting_limit=limits.mailbox,
                   refusal=refusal, clock_ms=plugins.clock_ms, entropy=plugins.entropy,
                   channel_bases={name: channel.window_ms for name, channel in built_in_channels().items()})


def _decider(settings: Settings, plugins: Plugins, registry: Registry) -> Decider:
    """The host program's, else the one that the settings name. Raises ConfigurationError for an unknown name."""
    registry.refuse_taken("decider", BUILT_IN)
    name, known = settings.conversation.newer_message, [*BUILT_IN, *registry.names("decider")]
    if name not in known:
        raise ConfigurationError(f"setting conversation.newer_message: there is no decider called {name}; write one of "
                                 f"{', '.join(known)}")
    return plugins.decider or BUILT_IN.get(name) or registry.load("decider", name)


def known_enforcers(registry: Registry) -> dict[str, Enforcer]:
    """The built-in enforcers and those of installed plugins, by the word that an author writes."""
    return Installed(registry).enforcers


def tool_secrets(environment: Mapping[str, str]) -> dict[str, str]:
    """What `${NAME}` in a tool's headers may stand for: the variables RUCHE_SECRET_NAME, and no others."""
    return {name.removeprefix("RUCHE_SECRET_"): value for name, value in environment.items()
            if name.startswith("RUCHE_SECRET_")}


async def open_store(settings: Settings) -> Store:
    """The store of the data directory, off the loop. A directory that holds nothing yet gets a root key first.

    Raises ConfigurationError where the directory cannot be made or written.
    """
    def open_it() -> Store:
        with opening(settings.data):
            return Store.open(settings.data, key_source(settings.data, settings.storage),
                              reserve_bytes=settings.storage.reserve_bytes)

    return await anyio.to_thread.run_sync(open_it)


def key_source(data: Path, settings: StorageSettings) -> KeySource:
    """Where the settings say the root key is. A key file is made only for a data directory that is new."""
    if settings.key_source == "file":
        path = settings.key_file or data / "keys" / "root.key"
        if not path.exists() and not (data / "journal").exists():
            create_root_key(path)
        return FileKeySource(path)
    if settings.key_source == "env":
        return EnvKeySource(os.environ)
    if settings.key_source == "command":
        return CommandKeySource(shlex.split(settings.key_command or ""))
    if settings.key_source == "keyring":
        return KeyringKeySource()
    raise ConfigurationError(f"setting storage.key_source: {settings.key_source} is not one of file, env, command, "
                             "keyring")
