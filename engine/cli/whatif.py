"""`ruche whatif`: recorded turns run again with another version of their agent, to see what would be different."""

from __future__ import annotations

import json
from collections import Counter
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ruche.engine.cli.command import command as ruche_command
from ruche.engine.cli.directory import Place, on_directory

if TYPE_CHECKING:
    from ruche.engine.replay import Difference, Recorded, Replayed
    from ruche.storage.model.bundle import AgentBundle
    from ruche.storage.store import Store

_SHOWN = 300


@ruche_command("whatif", example="ruche whatif agents/support --limit 100\nruche whatif support --version 3")
@click.argument("agent", type=click.Path(path_type=Path))
@click.option("--version", type=click.IntRange(min=1), help="A published version, instead of a folder.")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 10_000), help="Turns, the newest first.")
@on_directory("Whose runs; a folder says it itself.", json="JSON Lines, the counts last.")
def command(agent: Path, version: int | None, limit: int, tenant: str, place: Place, as_json: bool) -> int:
    """Run recorded turns of an agent again with the folder AGENT, or with a published --version of the agent AGENT.

    Nothing is called, said or kept: what a turn learned from outside comes from its tape, and one that asks for
    something else differs there (`generate`: it would say something else). Ends with 0 when every turn comes out the
    same, with 1 when one differs.
    """
    import anyio

    from ruche.engine.authoring.load import load_folder
    from ruche.engine.host import known_enforcers
    from ruche.engine.replay import replay
    from ruche.plugins.errors import ConfigurationError, RucheError
    from ruche.plugins.registry import Registry

    if version is None and not agent.is_dir():
        raise ConfigurationError(f"{agent}: there is no such folder; name one, or an agent's id with --version")
    bundle = load_folder(agent).require() if version is None else None
    with place.opened() as (store, _):
        instead, recorded = _read(store, bundle, tenant, str(agent), version, limit)
    enforcers, counts = known_enforcers(Registry()), Counter[str]()
    for one in recorded:
        try:
            found = _outcome(anyio.run(partial(replay, one, enforcers, instead=instead)))
        except RucheError as error:
            found = {"run": one.runs[-1].id, "outcome": "failed", "reason": error.message}
        counts[found["outcome"]] += 1
        if as_json:
            click.echo(json.dumps(found))
        elif found["outcome"] != "same":
            click.echo("\n".join(_lines(found)))
    told = {name: counts[name] for name in ("same", "differs", "failed")}
    shown = ", ".join(f"{count} {name}" for name, count in told.items())
    click.echo(json.dumps({"turns": len(recorded), **told}) if as_json else f"{len(recorded)} turns: {shown}")
    return int(counts["same"] != len(recorded))


def _read(store: Store, bundle: AgentBundle | None, tenant: str, agent: str, version: int | None,
          limit: int) -> tuple[AgentBundle, list[Recorded]]:
    """What to run them with, and the newest turns that a replay can be made of."""
    from ruche.engine.replay import load
    from ruche.plugins.errors import NotFound, RucheError
    from ruche.storage.model.bundle import AgentBundle

    if bundle is None:
        published = store.tenant(tenant).agent(agent, version)
        if published is None:
            raise NotFound(f"agent {agent} has no version {version}")
        bundle = AgentBundle.model_validate_json(published.bundle)
    view, found, cursor = store.tenant(bundle.tenant), list[Any](), None
    while len(found) < limit:
        page = view.runs(agent=bundle.id, limit=min(100, limit), cursor=cursor)
        for run in page.items[:limit - len(found)]:
            try:
                found.append(load(view, run.id))
            except RucheError as error:
                click.echo(f"{run.id} is left out: {error.message}", err=True)
        cursor = page.next_cursor
        if cursor is None:
            break
    return bundle, found


def _outcome(replayed: Replayed) -> dict[str, Any]:
    run, difference = replayed.run, replayed.difference
    told = {"run": run.id, "session": run.session, "sequence": run.sequence, "agent_version": run.agent_version}
    if difference is None or _is_configuration(difference):
        return {**told, "outcome": "same"}
    return {**told, "outcome": "differs", "turn": difference.turn, "site": difference.site,
            "recorded": difference.recorded, "replayed": difference.replayed}


def _is_configuration(difference: Difference) -> bool:
    """Everything came out the same; only the agent's own hash is another one."""
    if difference.site != "hashes":
        return False
    sides = [json.loads(text) for text in (difference.recorded, difference.replayed)]
    return len({json.dumps({**one, "configuration": ""}, sort_keys=True) for one in sides}) == 1


def _lines(found: dict[str, Any]) -> list[str]:
    if found["outcome"] == "failed":
        return [f"{found['run']}: {found['reason']}"]
    return [f"{found['run']} differs: {found['site']}", f"  - {found['recorded'][:_SHOWN]}",
            f"  + {found['replayed'][:_SHOWN]}"]
