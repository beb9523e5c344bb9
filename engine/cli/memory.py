"""`ruche memory`: what is remembered, in a data directory that no server holds at the moment."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import click

from ruche.engine.cli.command import Group
from ruche.engine.cli.command import command as ruche_command
from ruche.engine.cli.directory import Place, on_directory

_KINDS = ("episode", "cluster", "wisdom", "companion")


@click.group("memory", cls=Group, example="ruche memory list ada\nruche memory episodes --kind wisdom")
def command() -> None:
    """Look at what agents remember of persons, and at what `ruche migrate memories` brought in."""


@ruche_command("list", example="ruche memory list ada --limit 50")
@click.argument("person")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 5_000))
@on_directory("Whose person.", json="JSON Lines.")
def list_(person: str, limit: int, tenant: str, place: Place, as_json: bool) -> None:
    """What is remembered of PERSON under all of their names, newest first."""
    with place.opened() as (store, _):
        view = store.tenant(tenant)
        names = view.names_of(person)
        store.audit.key_names(tenant, names[0])
        found = [one.utterance for one in reversed(view.memories_of(names, limit))]
    for one in found:
        at = _at(one.at_ms)
        click.echo(json.dumps({"id": one.id, "at": at, "speaker": one.speaker, "source": one.source or "chat",
                               "document": "" if one.turn else one.session, "turn": one.turn, "text": one.text})
                   if as_json else f"{at}  {one.speaker}: {one.text}")
    click.echo(f"{len(found)} memories", err=True)


@ruche_command("episodes", example="ruche memory episodes --kind companion")
@click.option("--kind", type=click.Choice(_KINDS), help="Of this kind only.")
@click.option("--person", help="About this person only.")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 1_000))
@on_directory("Whose memories.", json="JSON Lines.")
def episodes(kind: str | None, person: str | None, limit: int, tenant: str, place: Place, as_json: bool) -> None:
    """What other programs remembered, the newest day first."""
    from ruche.storage.episodes import content

    with place.opened() as (store, _):
        found = store.tenant(tenant).episodes(kind=kind, interlocutor=person, limit=limit).items
    for one in found:
        click.echo(json.dumps({"id": one.id, "kind": one.kind, "person": one.interlocutor, "at": _at(one.at_ms),
                               "content": content(one)})
                   if as_json else f"{_at(one.at_ms)}  {one.kind} {one.id} {one.interlocutor}".rstrip())
    click.echo(f"{len(found)} shown", err=True)


command.add_command(list_)
command.add_command(episodes)


def _at(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="seconds")
