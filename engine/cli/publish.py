"""`ruche publish`: agent folders become versions in a data directory that no server holds at the moment."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ruche.engine.cli.check import agent_folders, print_problems
from ruche.engine.cli.command import command as ruche_command

if TYPE_CHECKING:
    from ruche.actors.retriever import Progress
    from ruche.engine.config import Settings
    from ruche.plugins.contracts import Embedder
    from ruche.storage.model.bundle import AgentBundle
    from ruche.storage.model.record import AgentPublished
    from ruche.storage.model.run import Run
    from ruche.storage.store import Store
    from ruche.storage.tenant import TenantStore


_LANES = 2
"""Threads that encode examples."""


@ruche_command("publish", example="ruche publish agents/support --data data")
@click.argument("folders", nargs=-1, type=click.Path(path_type=Path))
@click.option("--rollback", "restored", type=click.IntRange(min=1), metavar="VERSION",
              help="Publish what this version of the one named agent held; its folder is only named, not read.")
@click.option("--learn-from", "source", type=click.Choice(["runs"]),
              help="Count first how the recorded conversations of each agent went, into habits.yaml in its folder.")
@click.option("--data", type=click.Path(path_type=Path), help="Data directory (default: data).")
@click.option("--config", type=click.Path(path_type=Path), help="Settings file (default: ruche.toml, if it is there).")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def command(folders: tuple[Path, ...], restored: int | None, source: str | None, data: Path | None, config: Path | None,
            as_json: bool) -> int:
    """Publish agent folders (default: agents), all or none. What has not changed keeps its version.

    A running server publishes changed folders itself, at its start and with --watch; so after a rollback mend the
    folder too.
    """
    found = [] if restored is not None else agent_folders(folders)
    bundles = _checked(found)
    if bundles is None:
        return 1
    import anyio

    from ruche.engine.cli.verify import require_data
    from ruche.engine.config import read_settings
    from ruche.engine.host import open_store

    settings = read_settings(config, data=data)
    if restored is not None:
        require_data(settings.data)
    store = anyio.run(open_store, settings)
    try:
        if source is not None:
            bundles = [_learned(store, folder, bundle) for folder, bundle in zip(found, bundles, strict=True)]
        published = _publish(store, bundles if restored is None else [_earlier(store, folders, restored)],
                             settings, back=restored is not None)
    finally:
        store.close()
    if as_json:
        click.echo(json.dumps({"agents": published}))
    else:
        for one in published:
            state = "published" if one["new"] else "unchanged"
            click.echo(f"{one['tenant']}/{one['agent']} version {one['version']} {state} ({one['hash'][:12]})")
    return 0


def _learned(store: Store, folder: Path, bundle: AgentBundle) -> AgentBundle:
    """The bundle with habits counted anew from all of the agent's runs, and the folder's habits.yaml to go with it."""
    from ruche.engine.authoring.habits import write_habits
    from ruche.engine.policy.logged import habits_from

    habits = habits_from(bundle, _runs(store.tenant(bundle.tenant), bundle.id))
    write_habits(folder, habits)
    click.echo(f"{bundle.id}: {sum(habit.times for habit in habits):g} decisions counted", err=True)
    return bundle.model_copy(update={"habits": habits})


def _runs(tenant: TenantStore, agent: str) -> Iterator[Run]:
    cursor = None
    while True:
        page = tenant.runs(agent=agent, limit=200, cursor=cursor)
        yield from page.items
        cursor = page.next_cursor
        if cursor is None:
            return


def _taught(bundle: AgentBundle, settings: Settings, latest: AgentPublished | None) -> bytes:
    """What the agent's examples teach; nothing is embedded for an agent without any."""
    import asyncio

    from ruche.plugins.embedders import open_embedder
    from ruche.plugins.registry import Registry

    if not any(rule.examples for rule in bundle.rules) and not any(intent.examples for intent in bundle.intents):
        return b""
    embedder, _ = open_embedder(settings.models, Registry())
    with click.progressbar(length=1, label=f"learning {bundle.id}", file=sys.stderr,
                           hidden=not sys.stderr.isatty()) as bar:
        def told(done: int, total: int) -> None:
            bar.length = total
            bar.update(done - bar.pos)

        return asyncio.run(_prepared(embedder, bundle, told, latest.taught if latest else b""))


async def _prepared(embedder: Embedder, bundle: AgentBundle, told: Progress, taught: bytes) -> bytes:
    from ruche.actors.retriever import Retriever
    from ruche.actors.system import ActorSystem

    async with ActorSystem() as system:
        return await Retriever(embedder, system, lanes=_LANES).prepare(bundle, 1, told, taught=taught)


def _earlier(store: Store, folders: tuple[Path, ...], version: int) -> AgentBundle:
    """What a version of the one named agent held. Raises NotFound, ConfigurationError (not one agent)."""
    from ruche.plugins.errors import ConfigurationError, NotFound
    from ruche.storage.model.bundle import AgentBundle

    if len(folders) != 1:
        raise ConfigurationError("name the one agent to roll back, such as ruche publish --rollback 3 agents/support")
    folder = folders[0].absolute()
    tenant = folder.parent.name[1:] if folder.parent.name.startswith("@") else "default"
    kept = store.tenant(tenant).agent(folder.name, version)
    if kept is None:
        raise NotFound(f"agent {folder.name} of tenant {tenant} has no version {version}")
    return AgentBundle.model_validate_json(kept.bundle)


def _checked(folders: list[Path]) -> list[AgentBundle] | None:
    """The bundles; None, with the problems printed, when one of the folders has an error."""
    from ruche.engine.authoring.load import load_folder

    loaded = [(folder, load_folder(folder)) for folder in folders]
    for folder, found in loaded:
        print_problems(folder, found.problems)
    if any(found.bundle is None for _, found in loaded):
        click.echo("nothing was published", err=True)
        return None
    return [found.require() for _, found in loaded]


def _publish(store: Store, bundles: list[AgentBundle], settings: Settings, *, back: bool) -> list[dict[str, Any]]:
    """One durable append for all of them, with what their examples teach."""
    from msgspec.structs import replace

    from ruche.engine.authoring.publish import bundle_hash, next_version
    from ruche.engine.authoring.review import refuse_unreviewed
    from ruche.engine.brain.compiled import CompiledAgent
    from ruche.plugins.installed import Installed

    enforcers = Installed().enforcers
    records, shown = [], []
    for bundle in bundles:
        latest = store.tenant(bundle.tenant).agent(bundle.id)
        record = next_version(bundle, latest, time.time_ns() // 1_000_000)
        if record is not None and not back:
            refuse_unreviewed(bundle, latest, store.tenant(bundle.tenant).migrations(bundle.id))
        version = record.version if record else latest.version if latest else 1
        CompiledAgent(bundle, version, enforcers)
        records += [replace(record, taught=_taught(bundle, settings, latest))] if record else []
        shown.append({"agent": bundle.id, "tenant": bundle.tenant, "version": version, "hash": bundle_hash(bundle),
                      "new": record is not None})
    if records:
        store.append(records)
        store.apply()
    return shown
