"""`ruche erase`: makes everything of a person or a tenant unreadable for ever, where no server holds the directory."""

from __future__ import annotations

import getpass
import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ruche.engine.cli.command import command as ruche_command

if TYPE_CHECKING:
    from ruche.storage.auditor import Erasure


@ruche_command("erase", example="ruche erase ada --yes --reason 'asked on 20 November'\n"
                                "ruche erase --everybody --tenant acme --reason 'contract ended'")
@click.argument("person", required=False)
@click.option("--everybody", is_flag=True, help="The whole tenant: its persons, agents and drafts.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--tenant", default="default", show_default=True, help="Whose person, or which tenant.")
@click.option("--reason", default="asked for", show_default=True, help="Kept with the erasure; name nobody in it.")
@click.option("--data", type=click.Path(path_type=Path), help="Data directory (default: data).")
@click.option("--config", type=click.Path(path_type=Path), help="Settings file (default: ruche.toml, if it is there).")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def command(person: str | None, everybody: bool, yes: bool, tenant: str, reason: str, data: Path | None,
            config: Path | None, as_json: bool) -> int:
    """Destroy the keys of PERSON under all of their names, or of everybody of a tenant: nothing they said can be read
    any more, and the audit log still verifies.

    A running server does the same for a person at DELETE /v1/interlocutors/PERSON. Backups of the keyring keep the keys
    as long as they are kept themselves; the answer says until when none may be left.
    """
    if (person is None) != everybody:
        raise click.UsageError("name one person, or say --everybody for the whole tenant")
    whom = f"everything of {person} in tenant {tenant}" if person else f"the whole tenant {tenant}"
    if not yes:
        click.confirm(f"Erase {whom}? It cannot be taken back", abort=True, err=True)
    done = _erase(person, tenant, reason, data, config)
    if as_json:
        import msgspec

        click.echo(json.dumps(msgspec.to_builtins(done[0] if person else done)))
    else:
        every = [proof for one in done for proof in (one, *one.also)]
        entries = ", ".join(str(one.proof.index) for one in every)
        click.echo(f"erased: {sum(len(one.keys) for one in every)} keys destroyed, entry {entries} of the audit log")
        click.echo(f"complete when no backup of the keyring from before is left; none may be after {_day(done[-1])}")
    return 0


def _erase(person: str | None, tenant: str, reason: str, data: Path | None, config: Path | None) -> list[Erasure]:
    import anyio

    from ruche.engine.cli.verify import require_data
    from ruche.engine.config import read_settings
    from ruche.engine.host import open_store

    settings = read_settings(config, data=data)
    require_data(settings.data)
    store, by, now = anyio.run(open_store, settings), f"cli:{getpass.getuser()}", time.time_ns() // 1_000_000
    try:
        if person is None:
            return store.audit.erase_tenant(tenant, reason=reason, by=by, at_ms=now)
        names = store.tenant(tenant).names_of(person)
        return [store.audit.erase(tenant, names[0], names=names, reason=reason, by=by, at_ms=now)]
    finally:
        store.close()


def _day(done: Erasure) -> str:
    return datetime.fromtimestamp(done.complete_ms / 1000, UTC).date().isoformat()
