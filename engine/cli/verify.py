"""`ruche verify`: proves that the recorded sessions of a tenant are whole and unchanged."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ruche.engine.cli.command import command as ruche_command

if TYPE_CHECKING:
    from ruche.storage.audit import Verification
    from ruche.storage.tenant import TenantStore

_INTEGRITY = 5


@ruche_command("verify", example="ruche verify --data data")
@click.argument("sessions", nargs=-1)
@click.option("--tenant", default="default", show_default=True, help="Whose sessions.")
@click.option("--data", type=click.Path(path_type=Path), help="Data directory (default: data).")
@click.option("--config", type=click.Path(path_type=Path), help="Settings file (default: ruche.toml, if it is there).")
@click.option("--json", "as_json", is_flag=True, help="One JSON line a session.")
def command(sessions: tuple[str, ...], tenant: str, data: Path | None, config: Path | None, as_json: bool) -> int:
    """Check the chains of SESSIONS (default: all of the tenant): no gap, every hash right. Ends with 5 when one is not.

    The data directory must not be in use by a server.
    """
    from ruche.engine.config import read_settings

    settings = read_settings(config, data=data)
    require_data(settings.data)
    import anyio

    from ruche.engine.host import open_store

    store = anyio.run(open_store, settings)
    try:
        results = [_show(found, as_json) for found in _verify(store.tenant(tenant), sessions)]
    finally:
        store.close()
    click.echo(f"{len(results)} sessions, {results.count(False)} damaged", err=True)
    return 0 if all(results) else _INTEGRITY


def require_data(data: Path) -> None:
    """Raises NotFound: to look at a data directory never makes one."""
    from ruche.plugins.errors import NotFound

    if not data.is_dir():
        raise NotFound(f"{data}: there is no data directory here; name it with --data")


def _verify(store: TenantStore, sessions: tuple[str, ...]) -> Iterator[Verification]:
    from ruche.plugins.errors import NotFound

    for session_id in sessions or _all_sessions(store):
        if store.session_by_id(session_id) is None:
            raise NotFound(f"there is no session {session_id}")
        yield store.verify_session(session_id)


def _all_sessions(store: TenantStore) -> Iterator[str]:
    cursor: str | None = None
    while True:
        page = store.sessions(limit=100, cursor=cursor)
        yield from (session.id for session in page.items)
        cursor = page.next_cursor
        if cursor is None:
            return


def _show(found: Verification, as_json: bool) -> bool:
    if as_json:
        click.echo(json.dumps({"session": found.session_id, "runs": found.runs, "ok": found.ok,
                               "problems": list(found.problems)}))
    else:
        click.echo(f"{found.session_id} {found.runs} runs {'ok' if found.ok else 'DAMAGED'}")
        for problem in found.problems:
            click.echo(f"    {problem}")
    return found.ok
