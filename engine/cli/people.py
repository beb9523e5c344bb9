"""`ruche people`: what is kept of persons, in a data directory that no server holds at the moment."""

from __future__ import annotations

import getpass
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ruche.engine.cli.command import Group
from ruche.engine.cli.command import command as ruche_command
from ruche.engine.cli.directory import Place, on_directory

if TYPE_CHECKING:
    from ruche.storage.store import Store

_WHOSE = "Whose person."


@click.group("people", cls=Group, example="ruche people show ada\nruche people export ada --to ada.zip")
def command() -> None:
    """Look at persons, link the names that one comes by, and hand out what is kept. Any name stands for the person. A
    running server does the same at /v1/interlocutors."""


@ruche_command("show", example="ruche people show ada")
@click.argument("person")
@on_directory(_WHOSE)
def show(person: str, tenant: str, place: Place, as_json: bool) -> None:
    """What is known of PERSON, with where each value came from, and the names that they come by."""
    import msgspec

    with place.opened() as (store, _):
        names = _names(store, tenant, person)
        profile = store.tenant(tenant).profile(names[0])
    fields = profile.fields if profile else {}
    if as_json:
        click.echo(json.dumps({"person": names[0], "names": names[1:], "fields": msgspec.to_builtins(fields)}))
        return
    click.echo(names[0] + (f", also {', '.join(names[1:])}" if names[1:] else ""))
    for name, value in sorted(fields.items()):
        proven = f", right by {value.verified_by}" if value.verified else ""
        click.echo(f"  {name}: {value.value}  ({value.source}{proven})")


@ruche_command("export", example="ruche people export ada --to ada.zip")
@click.argument("person")
@click.option("--to", "target", required=True, type=click.Path(path_type=Path), help="File to write.")
@on_directory(_WHOSE)
def export(person: str, target: Path, tenant: str, place: Place, as_json: bool) -> None:
    """Write everything that is kept of PERSON as a ZIP of JSON files, which anybody can read and no erasure reaches."""
    from ruche.engine.handout import archive
    from ruche.plugins.errors import ConfigurationError

    if target.exists():
        raise ConfigurationError(f"{target} is there already; choose another name")
    with place.opened() as (store, _):
        _names(store, tenant, person)
        body = archive(store.tenant(tenant), tenant, person)
    target.write_bytes(body)
    click.echo(json.dumps({"file": str(target), "bytes": len(body)}) if as_json else f"{target}: {len(body)} bytes")


@ruche_command("link", example="ruche people link ada kiosk-7")
@click.argument("person")
@click.argument("name")
@on_directory(_WHOSE)
def link(person: str, name: str, tenant: str, place: Place, as_json: bool) -> None:
    """From now on whoever comes by NAME is PERSON: spoken with, erased, held and handed out as one."""
    _change(person, name, True, tenant, place)
    click.echo(json.dumps({"person": person, "name": name, "linked": True}) if as_json else f"{name} is {person} now")


@ruche_command("unlink", example="ruche people unlink ada kiosk-7")
@click.argument("person")
@click.argument("name")
@on_directory(_WHOSE)
def unlink(person: str, name: str, tenant: str, place: Place, as_json: bool) -> None:
    """NAME is nobody else's again, as it was; what was said by it meanwhile stays PERSON's."""
    _change(person, name, False, tenant, place)
    click.echo(json.dumps({"person": person, "name": name, "linked": False}) if as_json
               else f"{name} is not {person} any more")


for _one in (show, export, link, unlink):
    command.add_command(_one)


def _names(store: Store, tenant: str, person: str) -> tuple[str, ...]:
    """All of the person's names, that of their records first. Raises NotFound."""
    names = store.tenant(tenant).names_of(person)
    store.audit.key_names(tenant, names[0])
    return names


def _change(person: str, name: str, linked: bool, tenant: str, place: Place) -> None:
    from ruche.engine.identities import link_kept
    from ruche.storage.model.record import IdentityLinked

    with place.opened() as (store, _):
        link_kept(store, IdentityLinked(tenant=tenant, at_ms=_now(), interlocutor=person, identity=name, linked=linked,
                                        by=_by()))


def _by() -> str:
    return f"cli:{getpass.getuser()}"


def _now() -> int:
    return time.time_ns() // 1_000_000
