"""`ruche backup`: ships what is new in a data directory to a folder."""

from __future__ import annotations

import json
from pathlib import Path

import click

from ruche.engine.cli.command import command as ruche_command

ONLINE = "; a server ships its own data: set backup_to under [storage], and POST /v1/admin/backup does it at once"


@ruche_command("backup", example="ruche backup --data data --to /mnt/backup/ruche")
@click.option("--to", "folder", type=click.Path(path_type=Path), required=True, help="Folder to ship to.")
@click.option("--keep-days", type=click.FloatRange(min=0),
              help="Let go of what is only needed to go back further (default: keep all).")
@click.option("--data", type=click.Path(path_type=Path), help="Data directory (default: data).")
@click.option("--config", type=click.Path(path_type=Path), help="Settings file (default: ruche.toml, if it is there).")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def command(folder: Path, keep_days: float | None, data: Path | None, config: Path | None, as_json: bool) -> None:
    """Ship everything that the folder does not have yet; what is in it stays sealed, and the root key is not in it.

    A running server ships by itself when `storage.backup_to` is set.
    """
    from ruche.engine.cli.directory import Place

    with Place(data, config).opened(ONLINE) as (store, _):
        done = store.backup.ship(folder, keep_days=keep_days)
    if as_json:
        click.echo(json.dumps(done._asdict()))
    else:
        click.echo(f"shipped {done.bytes} bytes of {done.files} files in {done.seconds:.1f} s; the backup goes up to "
                   f"journal frame {done.sequence}")
    click.echo("keep the root key somewhere else: without it the backup cannot be read", err=True)
