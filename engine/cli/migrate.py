"""`ruche migrate`: brings in memories and runs that other programs kept as plain JSON files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ruche.engine.cli.command import Group
from ruche.engine.cli.command import command as ruche_command

if TYPE_CHECKING:
    from ruche.storage.migrate import Report, Source

_SHOWN = 20


@click.group("migrate", cls=Group, example="ruche migrate runs old/data/runs --dry-run\n"
                                           "ruche migrate memories old/memory --tenant acme")
def command() -> None:
    """Bring in what other programs kept as plain files. What is here already is skipped, so that it may be run again.

    --dry-run says what would come, --verify only compares, --assume-utc takes times without a zone as UTC.
    """


def _shared(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options that both subcommands have."""
    for option in (
            click.argument("source", type=click.Path(exists=True, file_okay=False, path_type=Path)),
            click.option("--tenant", default="default", show_default=True, help="Who gets it."),
            click.option("--dry-run", is_flag=True, help="Say what would be brought in; write nothing."),
            click.option("--verify", "only_verify", is_flag=True, help="Only compare the source with what is here."),
            click.option("--assume-utc", is_flag=True, help="Take times without a zone as UTC (default: refuse them)."),
            click.option("--data", type=click.Path(path_type=Path), help="Data directory (default: data)."),
            click.option("--config", type=click.Path(path_type=Path), help="Settings file (default: ruche.toml)."),
            click.option("--json", "as_json", is_flag=True, help="One JSON document.")):
        function = option(function)
    return function


@ruche_command("memories", example="ruche migrate memories old/memory --dry-run")
@_shared
def memories(source: Path, tenant: str, dry_run: bool, only_verify: bool, assume_utc: bool, data: Path | None,
             config: Path | None, as_json: bool) -> int:
    """A tree of plain JSON memories: SOURCE/episodes, clusters, wisdom and companions, one file each.

    Each becomes an episode sealed for the person that it names, and goes with that person's erasure. Ends with 1 when
    something could not be brought in.
    """
    from ruche.storage.foreign_episodes import EpisodeTree

    return _run(EpisodeTree(source, tenant, assume_utc=assume_utc), tenant, dry_run, only_verify, data, config, as_json)


@ruche_command("runs", example="ruche migrate runs old/data/runs --person workshop")
@click.option("--person", default="import", show_default=True, help="Whose runs they are; erasing them erases these.")
@_shared
def runs(source: Path, tenant: str, person: str, dry_run: bool, only_verify: bool, assume_utc: bool, data: Path | None,
         config: Path | None, as_json: bool) -> int:
    """A flat folder of run artifacts, SOURCE/RUN_ID.json: each becomes a run in the segment of its day.

    The document is kept whole in the run; a run without a risk level is UNKNOWN. Ends with 1 when something could not
    be brought in.
    """
    from ruche.storage.foreign_runs import RunFolder

    source_of_runs = RunFolder(source, tenant, person=person, assume_utc=assume_utc)
    return _run(source_of_runs, tenant, dry_run, only_verify, data, config, as_json)


command.add_command(memories)
command.add_command(runs)


def _run(source: Source, tenant: str, dry_run: bool, only_verify: bool, data: Path | None, config: Path | None,
         as_json: bool) -> int:
    from ruche.storage.migrate import migrate

    if dry_run and not _is_there(data, config):
        report = migrate(source, None, tenant, dry_run=True)
    else:
        report = _with_store(source, tenant, dry_run, only_verify, data, config)
    click.echo(json.dumps({**report._asdict(), "ok": report.ok,
                           "problems": [one._asdict() for one in report.problems]})) if as_json else _show(report)
    return 0 if report.ok else 1


def _with_store(source: Source, tenant: str, dry_run: bool, only_verify: bool, data: Path | None,
                config: Path | None) -> Report:
    from ruche.engine.cli.directory import Place
    from ruche.storage.migrate import migrate, verify

    with Place(data, config).opened() as (store, _):
        if only_verify:
            return verify(source, store, tenant)
        return migrate(source, store, tenant, dry_run=dry_run, told=_told)


def _is_there(data: Path | None, config: Path | None) -> bool:
    from ruche.engine.config import read_settings

    return read_settings(config, data=data).data.is_dir()


def _told(done: int) -> None:
    if done % 1000 == 0:
        click.echo(f"{done} looked at", err=True)


def _show(report: Report) -> None:
    for kind, count in report.found.items():
        verb = "would be brought in" if report.dry_run else "brought in"
        click.echo(f"{kind}: {count} found, {report.imported.get(kind, 0)} {verb}")
    click.echo(f"{report.skipped} here already, {report.verified} read back and compared")
    lines = [f"{one.file}: {one.why}" for one in report.problems]
    lines += [f"{name}: is here with other content; it was left alone" for name in report.conflicts]
    lines += [f"{name}: is not here as it is in the source" for name in report.missing]
    for line in lines[:_SHOWN]:
        click.echo(line)
    if len(lines) > _SHOWN:
        click.echo(f"and {len(lines) - _SHOWN} more (--json has all)")
