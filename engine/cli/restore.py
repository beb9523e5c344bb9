"""`ruche restore`: brings a data directory back from a backup, as it is there or as it was at a time."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

import click

from ruche.engine.cli.command import command as ruche_command


@ruche_command("restore", example="ruche restore --from /mnt/backup/ruche --to data2 --to-time 2026-11-20T14:05:00Z")
@click.option("--from", "folder", type=click.Path(path_type=Path), help="Folder with the backup.")
@click.option("--to", "target", type=click.Path(path_type=Path),
              help="The new data directory; must be empty or not there.")
@click.option("--before-upgrade", type=click.Path(path_type=Path), metavar="DATA",
              help="Instead: put a data directory back as it was before its last upgrade.")
@click.option("--salvage", type=click.Path(exists=True, file_okay=False, path_type=Path), metavar="DATA",
              help="Instead: make the new directory of what is sound in a damaged one, and say what is lost.")
@click.option("--to-time", help="RFC 3339 time with its zone: bring back what was acknowledged up to then.")
@click.option("--to-sequence", type=click.IntRange(min=1), help="The same by journal frame.")
@click.option("--key-file", type=click.Path(path_type=Path),
              help="File with the root key (default: what the settings say).")
@click.option("--config", type=click.Path(path_type=Path), help="Settings file (default: ruche.toml, if it is there).")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def command(folder: Path | None, target: Path | None, before_upgrade: Path | None, salvage: Path | None,
            to_time: str | None, to_sequence: int | None, key_file: Path | None, config: Path | None,
            as_json: bool) -> int:
    """Copy, check, rebuild, and verify the chain of every session; only then the new directory gets its name.

    With --salvage a damaged directory is copied without what cannot be read, and is left as it is itself; ends with 1
    when something that was acknowledged is lost.
    """
    if before_upgrade is not None:
        return _roll_back(before_upgrade, as_json)
    if salvage is not None and target is not None:
        return _salvage(salvage, target, key_file, config, as_json)
    if folder is None or target is None:
        raise click.UsageError("name the backup with --from and the new data directory with --to")
    from ruche.engine.config import read_settings
    from ruche.engine.host import key_source
    from ruche.storage.keysources import FileKeySource
    from ruche.storage.restore import Restore, words

    settings = read_settings(config)
    kept = key_file or settings.storage.key_file or settings.data / "keys" / "root.key"
    from_file = key_file is not None or settings.storage.key_source == "file"
    keys = FileKeySource(kept) if from_file else key_source(settings.data, settings.storage)
    done = Restore(folder, keys).run(target, to_ms=_milliseconds(to_time), to_sequence=to_sequence,
                                     told=lambda said: click.echo(said, err=True))
    if as_json:
        click.echo(json.dumps(done._asdict()))
        return 0
    click.echo(f"{target}: up to journal frame {done.sequence} of {words(done.at_ms)}; {done.sessions} sessions and "
               f"{done.runs} turns verified; copied in {done.copied_seconds:.1f} s, rebuilt in "
               f"{done.rebuilt_seconds:.1f} s")
    click.echo("the root key is not part of a backup: give the new directory the key that it was made with", err=True)
    return 0


def _salvage(source: Path, target: Path, key_file: Path | None, config: Path | None, as_json: bool) -> int:
    from ruche.engine.config import read_settings
    from ruche.engine.host import key_source
    from ruche.storage.keysources import FileKeySource
    from ruche.storage.restore import words
    from ruche.storage.salvage import salvage

    settings = read_settings(config, data=source)
    keys = FileKeySource(key_file) if key_file is not None else key_source(source, settings.storage)
    done = salvage(source, target, keys, told=lambda said: click.echo(said, err=True))
    if as_json:
        click.echo(json.dumps({**done._asdict(), "gaps": [gap._asdict() for gap in done.gaps], "lost": done.lost}))
        return 1 if done.lost else 0
    for gap in done.gaps:
        held = "held by the tables: nothing is lost with them" if gap.covered else "lost"
        click.echo(f"journal frames {gap.first} to {gap.last}, between {words(gap.after_ms)} and "
                   f"{words(gap.before_ms)}: {held}")
    for kind, name in done.entries:
        click.echo(f"{kind} {name}: lost")
    click.echo(f"{done.keys} damaged places in the keyring" if done.keys else "every key is there")
    click.echo(f"{target}: {done.sessions} sessions and {done.runs} turns, {len(done.problems)} problems in chains")
    for problem in done.problems[:20]:
        click.echo(f"  {problem}")
    return 1 if done.lost else 0


def _roll_back(data: Path, as_json: bool) -> int:
    from ruche.storage.upgrade import roll_back

    form = roll_back(data)
    click.echo(json.dumps({"data": str(data), "form": form}) if as_json else
               f"{data} is as it was before the upgrade (form {form}); the upgraded one is {data}.upgraded")
    return 0


def _milliseconds(time: str | None) -> int | None:
    from ruche.plugins.errors import ConfigurationError

    if time is None:
        return None
    try:
        found = datetime.fromisoformat(time)
    except ValueError:
        found = datetime.min
    if found.tzinfo is None:
        raise ConfigurationError("--to-time: write it like 2026-11-20T14:05:00Z, with a zone")
    return int(found.timestamp() * 1000)
