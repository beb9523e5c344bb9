"""`ruche hold`: legal holds, which keep what is about a person from being erased or dropped for its age."""

from __future__ import annotations

import getpass
import json
import time
from datetime import UTC, datetime

import click

from ruche.engine.cli.command import Group
from ruche.engine.cli.command import command as ruche_command
from ruche.engine.cli.directory import Place, on_directory


@click.group("hold", cls=Group, example="ruche hold place ada --reason 'case 2026-17'\nruche hold list")
def command() -> None:
    """Keep everything of a person until the hold is lifted: no erasure, no retention. While a server has the data
    directory, it is asked over its HTTP interface."""


@ruche_command("place", example="ruche hold place ada --reason 'case 2026-17'")
@click.argument("person")
@click.option("--reason", required=True, help="Kept sealed with the hold.")
@on_directory("Whose person.")
def set_hold(person: str, reason: str, tenant: str, place: Place, as_json: bool) -> None:
    """Place a hold on PERSON; one that stands gets the new reason."""
    _set(person, tenant, reason, True, place)
    click.echo(json.dumps({"person": person, "held": True}) if as_json else f"{person} is held")


@ruche_command("lift", example="ruche hold lift ada --reason 'case closed'")
@click.argument("person")
@click.option("--reason", required=True, help="Why it may go.")
@on_directory("Whose person.")
def lift(person: str, reason: str, tenant: str, place: Place, as_json: bool) -> None:
    """Lift the hold on PERSON."""
    _set(person, tenant, reason, False, place)
    click.echo(json.dumps({"person": person, "held": False}) if as_json else f"{person} is not held any more")


@ruche_command("list", example="ruche hold list --tenant acme")
@on_directory("Whose person.")
def show(tenant: str, place: Place, as_json: bool) -> None:
    """Holds that stand, oldest first."""
    with place.opened() as (store, _):
        found = store.audit.holds(tenant)
    if as_json:
        click.echo(json.dumps([one._asdict() for one in found]))
        return
    for one in found:
        day = datetime.fromtimestamp(one.at_ms / 1000, UTC).date().isoformat()
        click.echo(f"{one.interlocutor}  since {day} by {one.by}: {one.reason}")
    click.echo(f"{len(found)} holds", err=True)


command.add_command(set_hold)
command.add_command(lift)
command.add_command(show)


def _set(person: str, tenant: str, reason: str, held: bool, place: Place) -> None:
    from ruche.plugins.errors import NotFound

    with place.opened() as (store, _):
        if not held and not store.audit.is_held(tenant, person):
            raise NotFound("no hold stands on this person")
        names = store.tenant(tenant).names_of(person)
        for name in store.audit.known(tenant, names) or names[:1]:
            store.audit.hold(tenant, name, held=held, reason=reason, by=f"cli:{getpass.getuser()}",
                             at_ms=time.time_ns() // 1_000_000)
