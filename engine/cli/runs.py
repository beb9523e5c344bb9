"""`ruche runs`: list, show and export the recorded turns of a data directory that no server holds at the moment."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ruche.engine.cli.command import Group
from ruche.engine.cli.directory import Place, on_directory

if TYPE_CHECKING:
    from ruche.storage.model.run import Run
    from ruche.storage.tenant import TenantStore


@click.group("runs", cls=Group, example="ruche runs list --agent support")
def command() -> None:
    """Look at recorded turns, and take them out as files."""


@command.command("list")
@click.option("--session", help="Of one session, oldest first.")
@click.option("--agent", help="Of one agent.")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 1000))
@on_directory("Whose runs.", json="JSON.")
def list_runs(session: str | None, agent: str | None, limit: int, tenant: str, place: Place,
              as_json: bool) -> int:
    """List runs, newest first."""
    with _view(tenant, place) as view:
        for run in view.runs(session=session, agent=agent, limit=limit, oldest_first=session is not None).items:
            short = _short(run)
            click.echo(json.dumps(short) if as_json else " ".join(
                (run.id, short["created_at"], run.agent, run.status, run.risk, "session", run.session)))
    return 0


@command.command("show")
@click.argument("run")
@on_directory("Whose runs.", json="JSON.")
def show_run(run: str, tenant: str, place: Place, as_json: bool) -> int:
    """Show a whole run, in its canonical form with --json."""
    from ruche.plugins.errors import NotFound

    with _view(tenant, place) as view:
        content = view.canonical_run(run)
    if content is None:
        raise NotFound(f"there is no run {run}")
    click.echo(content.decode() if as_json else json.dumps(json.loads(content), indent=2, ensure_ascii=False))
    return 0


@command.command("export")
@click.option("--to", "target", required=True, type=click.Path(path_type=Path), help="Folder to write to.")
@click.option("--from", "since", type=click.DateTime(["%Y-%m-%d"]), help="First day, UTC.")
@click.option("--until", type=click.DateTime(["%Y-%m-%d"]), help="First day that is left out, UTC.")
@on_directory("Whose runs.", json="JSON.")
def export_runs(target: Path, since: date | None, until: date | None, tenant: str, place: Place,
                as_json: bool) -> int:
    """Write each run to TO/YYYY-MM-DD/RUN.json. The files are readable as they are, and no erasure reaches them."""
    from ruche.storage.export import export

    with _view(tenant, place) as view:
        done = export(view, target.absolute(), since_ms=_ms(since), until_ms=_ms(until))
    click.echo(json.dumps(done._asdict()) if as_json else f"{done.written} runs written, {done.unchanged} unchanged")
    return 0


@contextmanager
def _view(tenant: str, place: Place) -> Iterator[TenantStore]:
    """The tenant's door."""
    with place.opened() as (store, _):
        yield store.tenant(tenant)


def _short(run: Run) -> dict[str, Any]:
    created = datetime.fromtimestamp(run.created_ms / 1000, UTC).isoformat(timespec="milliseconds")
    return {"id": run.id, "session": run.session, "agent": run.agent, "version": run.agent_version,
            "sequence": run.sequence, "created_at": created, "status": run.status, "risk": run.risk}


def _ms(day: date | None) -> int | None:
    return None if day is None else int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() * 1000)
