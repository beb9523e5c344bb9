"""`ruche verify`: ten checks over a data directory or a copy of one, offline, with keys or without."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ruche.engine.cli.command import command as ruche_command

if TYPE_CHECKING:
    from ruche.engine.config import Settings
    from ruche.storage.checkpoints import Checkpoint, Note, PublicKey
    from ruche.storage.keyring import KeySource

_INTEGRITY = 5
_SHOWN = 20


@ruche_command("verify", example="ruche verify data --checkpoint held.txt")
@click.argument("directory", required=False, type=click.Path(path_type=Path))
@click.option("--checkpoint", "checkpoints", multiple=True, type=click.Path(exists=True, path_type=Path),
              help="A signed checkpoint that you kept; as often as you like.")
@click.option("--key", help="The public key that you trust: name+id+base64, or a file with it.")
@click.option("--no-keys", is_flag=True, help="Do not use the root key: check what can be checked without reading.")
@click.option("--replay", "again", is_flag=True, help="Run every turn again from its tape, in a copy; takes keys.")
@click.option("--config", type=click.Path(path_type=Path), help="Settings file (default: ruche.toml, if it is there).")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def command(directory: Path | None, checkpoints: tuple[Path, ...], key: str | None, no_keys: bool,
            again: bool, config: Path | None, as_json: bool) -> int:
    """Check the records in DIRECTORY (default: the data directory): ten checks pass, fail, or cannot be made.

    Nothing is written, and nothing but the directory is needed. Ends with 5 when a check fails.
    """
    from ruche.engine.config import read_settings
    from ruche.storage.evidence import Evidence
    from ruche.storage.verifying import verify

    settings = read_settings(config, data=directory)
    require_data(settings.data)
    held = [_held(path) for path in checkpoints]
    evidence = Evidence(settings.data, None if no_keys else _keys(settings))
    report = verify(settings.data, evidence, held, _public_key(key))
    if again and evidence.keyring is not None:
        _replay(settings, report)
    click.echo(json.dumps(report)) if as_json else _show(report)
    return 0 if report["ok"] else _INTEGRITY


def _replay(settings: Settings, report: dict[str, Any]) -> None:
    """Put what running everything again showed into the place of the tenth check."""
    import anyio

    from ruche.engine.again import run_all_again

    done = anyio.run(run_all_again, settings)
    notes = [f"{count} {what}" for count, what in (
        (done.left_out, "turns cannot be run again here: what they need is not kept, or they were brought in"),
        (done.erased, "sessions are erased")) if count]
    faults = [{"what": why, "file": "", "offset": -1, "id": session} for session, why in done.differences]
    report["checks"][-1] |= {"status": "fail" if faults else "pass", "checked": done.same + len(faults),
                             "faults": faults, "note": "; ".join(notes)}
    report["ok"] = report["ok"] and not faults


def require_data(data: Path) -> None:
    """To read makes no data directory: an empty one would pass. Raises NotFound."""
    from ruche.plugins.errors import NotFound

    if not data.is_dir():
        raise NotFound(f"{data}: there is no data directory here; name it")


def _keys(settings: Settings) -> KeySource | None:
    """The key source of the settings; None where the default key file is not there, as in a copy without keys."""
    from ruche.engine.host import key_source

    path = settings.storage.key_file or settings.data / "keys" / "root.key"
    if settings.storage.key_source == "file" and not path.exists():
        click.echo("there is no root key here; checking without keys", err=True)
        return None
    return key_source(settings.data, settings.storage)


def _held(path: Path) -> tuple[Checkpoint, Note]:
    from ruche.storage.checkpoints import read_checkpoint, read_note

    note = read_note(path.read_text(encoding="utf-8"))
    return read_checkpoint(note.text), note


def _public_key(text: str | None) -> PublicKey | None:
    from ruche.storage.checkpoints import PublicKey

    if text is None:
        return None
    return PublicKey.parse(Path(text).read_text(encoding="utf-8") if Path(text).is_file() else text)


def _show(report: dict[str, Any]) -> None:
    keys = "with keys" if report["keys"] else "without keys"
    click.echo(f"{report['directory']}: {report['entries']} entries of {report['tenants']} tenants, {keys}")
    for number, check in enumerate(report["checks"], 1):
        click.echo(f"{number:3} {check['name']:13} {check['status']:13} {check['checked']} checked"
                   + (f"; {check['note']}" if check["note"] else ""))
        for fault in check["faults"][:_SHOWN]:
            click.echo(f"      {_place(fault)}{fault['what']}")
        if len(check["faults"]) > _SHOWN:
            click.echo(f"      and {len(check['faults']) - _SHOWN} more (--json has all)")
    click.echo("This does not prove:")
    for one in report["proves_not"]:
        click.echo(f"  - {one}")


def _place(fault: dict[str, Any]) -> str:
    where = fault["file"] + (f" at byte {fault['offset']}" if fault["offset"] >= 0 else "")
    return "".join(f"{part}: " for part in (where, fault["id"]) if part)
