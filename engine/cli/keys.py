"""`ruche keys`: what keys a data directory has, and changing them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ruche.engine.cli.command import Group
from ruche.engine.cli.command import command as ruche_command
from ruche.engine.cli.directory import Place, on_directory

if TYPE_CHECKING:
    from ruche.engine.config import Settings
    from ruche.storage.keys import KeyStatus
    from ruche.storage.store import Store

LEVELS = ("root", "tenant", "person", "journal", "users", "signing")


@click.group("keys", cls=Group, example="ruche keys status --data data")
def command() -> None:
    """Show and change the keys that everything is sealed under. While a server has the data directory, its
    /v1/admin/keys does the same without stopping it."""


@ruche_command("status", example="ruche keys status --data data")
@click.option("--uses", is_flag=True, help="Count what is sealed under each older key; reads everything.")
@on_directory()
def status(uses: bool, place: Place, as_json: bool) -> None:
    """Keys by level: how many, how many older ones, and how much of a key's nonces is spent at most."""
    with place.opened() as (store, _):
        found, older, signing = store.keys.status(), store.keys.older(), store.audit.signing_keys
        counted = store.keys.uses() if uses else None
    if as_json:
        click.echo(json.dumps(_shown(found) | {"older": {
            key.hex(): {"level": level, "uses": counted[key] if counted is not None else None}
            for key, level in older.items()}, "signing": [
                {"key": line.key.text(), "since_ms": line.since_ms} for line in signing]}))
        return
    for state in found.levels:
        click.echo(f"{state.level:10}{state.keys:>8} in use{state.older:>8} older{state.spent:>10.4%} of nonces spent")
    click.echo(f"signing   {1:>8} in use{len(signing) - 1:>8} older: {signing[-1].key.text()}")
    for key, level in older.items():
        if counted is not None:
            click.echo(f"{level} key {key.hex()}: {counted[key]} uses")
    if found.under_way:
        click.echo(f"under way: {', '.join(found.under_way)} (`ruche keys rotate LEVEL` goes on)")


@ruche_command("rotate", example="ruche keys rotate users\nruche keys rotate person --tenant default --person ada")
@click.argument("level", type=click.Choice(LEVELS))
@click.option("--tenant", help="Whose key (tenant: default all; person: must be named).")
@click.option("--person", help="One person of the tenant (default: everybody, with their next turn).")
@click.option("--new-key-file", type=click.Path(path_type=Path),
              help="root, where the key is not kept in a file of ours: a file with the new key in base64.")
@click.option("--finish", is_flag=True, help="root: shut out every key but the one that the key source gives now.")
@on_directory()
def rotate(level: str, tenant: str | None, person: str | None, new_key_file: Path | None, finish: bool,
           place: Place, as_json: bool) -> None:
    """Begin a rotation and see it through; what a kill cut short goes on when it is called again."""
    with place.opened() as (store, settings):
        if level == "root":
            _rotate_root(store, settings, new_key_file, finish)
        elif level == "signing":
            click.echo(f"checkpoints are signed by {store.audit.renew_signing_key().text()} from now on; those signed "
                       "before stay good", err=True)
        else:
            store.keys.rotate(level, tenant=tenant, person=person)  # type: ignore[arg-type]
            store.keys.finish(lambda progress: click.echo(
                f"{progress.level}: {progress.done} of {progress.total}", err=True))
        found = store.keys.status()
    if as_json:
        click.echo(json.dumps(_shown(found)))
    else:
        click.echo(f"{level}: " + ("under way" if level in found.under_way else "done"))


@ruche_command("retire", example="ruche keys retire 0123456789abcdef")
@click.argument("key")
@on_directory()
def retire(key: str, place: Place, as_json: bool) -> None:
    """Let go of an older person's or journal KEY (hexadecimal id), for good; refused while anything is sealed under it.
    """
    from ruche.plugins.errors import ConfigurationError

    try:
        key_id = bytes.fromhex(key)
    except ValueError:
        raise ConfigurationError("a key's id has 16 hexadecimal digits; see `ruche keys status --uses`") from None
    with place.opened() as (store, _):
        store.keys.retire(key_id)
    click.echo(json.dumps({"key": key, "gone": True}) if as_json else f"{key} is gone")


command.add_command(status)
command.add_command(rotate)
command.add_command(retire)


def _rotate_root(store: Store, settings: Settings, new_key_file: Path | None, finish: bool) -> None:
    from ruche.engine.host import key_source
    from ruche.plugins.errors import ConfigurationError
    from ruche.storage.keysources import FileKeySource

    source = key_source(settings.data, settings.storage)
    if finish:
        click.echo(f"{store.keys.finish_root(source)} older root keys shut out", err=True)
    elif new_key_file is not None:
        store.keys.rotate_root(FileKeySource(new_key_file))
        click.echo("both root keys open the keyring now; make the key source give the new one, then run "
                   "`ruche keys rotate root --finish`", err=True)
    elif isinstance(source, FileKeySource):
        store.keys.replace_root_file(source)
        click.echo("tokens that were made before are no longer valid", err=True)
    else:
        raise ConfigurationError("the root key is not kept in a file here; put the new one into a file and name it "
                                 "with --new-key-file")


def _shown(found: KeyStatus) -> dict[str, object]:
    return {"levels": [state._asdict() for state in found.levels], "under_way": list(found.under_way)}
