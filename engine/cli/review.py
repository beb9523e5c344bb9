"""`ruche review`: what people think of recorded turns, in a data directory that no server holds at the moment."""

from __future__ import annotations

import getpass
import json
import secrets
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from ruche.engine.cli.command import Group
from ruche.engine.cli.command import command as ruche_command
from ruche.engine.cli.directory import Place, on_directory

if TYPE_CHECKING:
    from ruche.engine.reviewing import Verdict

_WHOSE = "Whose runs."


@click.group("review", cls=Group, example="ruche review queue\nruche review reject RUN --note 'wrong price'")
def command() -> None:
    """See which turns nobody has looked at, and say what you think of them. A running server does the same at
    /v1/reviews/queue and /v1/runs/RUN/review."""


@ruche_command("queue", example="ruche review queue --limit 50")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 1_000))
@on_directory(_WHOSE, json="JSON Lines.")
def queue(limit: int, tenant: str, place: Place, as_json: bool) -> None:
    """Turns that nobody has reviewed: the gravest risk first, of one risk the oldest."""
    from ruche.engine.reviewing import open_runs

    with place.opened() as (store, _):
        found = open_runs(store, tenant, limit=limit).runs
    for run in found:
        at = datetime.fromtimestamp(run.created_ms / 1000, UTC).isoformat(timespec="seconds")
        click.echo(json.dumps({"run": run.id, "at": at, "agent": run.agent, "risk": run.risk, "status": run.status,
                               "session": run.session})
                   if as_json else f"{run.id} {at} {run.agent} {run.risk} {run.status}")
    click.echo(f"{len(found)} to review", err=True)


@ruche_command("approve", example="ruche review approve RUN --note 'as it should be'")
@click.argument("run")
@click.option("--note", required=True, help="Why.")
@on_directory(_WHOSE)
def approve(run: str, note: str, tenant: str, place: Place, as_json: bool) -> None:
    """RUN is good, and may serve as an example."""
    _add(run, "approve", note, None, tenant, place, as_json=as_json)


@ruche_command("reject", example="ruche review reject RUN --note 'wrong price'")
@click.argument("run")
@click.option("--note", required=True, help="Why.")
@on_directory(_WHOSE)
def reject(run: str, note: str, tenant: str, place: Place, as_json: bool) -> None:
    """RUN is not good."""
    _add(run, "reject", note, None, tenant, place, as_json=as_json)


@ruche_command("rate", example="ruche review rate RUN --rating 4 --note 'a little long'")
@click.argument("run")
@click.option("--rating", required=True, type=click.IntRange(1, 5), help="1 is bad, 5 is good.")
@click.option("--note", required=True, help="Why.")
@on_directory(_WHOSE)
def rate(run: str, rating: int, note: str, tenant: str, place: Place, as_json: bool) -> None:
    """How good RUN is."""
    _add(run, "rate", note, rating, tenant, place, as_json=as_json)


for _one in (queue, approve, reject, rate):
    command.add_command(_one)


def _add(run: str, verdict: Verdict, note: str, rating: int | None, tenant: str, place: Place, *,
         as_json: bool) -> None:
    """The same again gives the one that is there. Raises NotFound, Erased, Conflict, NotAllowed."""
    from ruche.engine.reviewing import KINDS
    from ruche.plugins.errors import NotFound
    from ruche.storage import advisories
    from ruche.storage.model.ids import make_id
    from ruche.storage.model.record import AdvisoryAdded

    with place.opened() as (store, _):
        view = store.tenant(tenant)
        if view.run(run) is None:
            raise NotFound(f"there is no run {run}")
        now, earlier = time.time_ns() // 1_000_000, view.advisories(run)
        said = AdvisoryAdded(tenant=tenant, at_ms=now, id=make_id(now, secrets.token_bytes(10)), run_id=run,
                             kind=KINDS[verdict], author=f"human:{getpass.getuser()}",
                             body=advisories.body(note, "", rating=rating))
        if not any((one.kind, one.body) == (said.kind, said.body) for one in earlier):
            advisories.check(said, earlier)
            store.append([said])
            store.apply()
        state = advisories.fold(view.advisories(run))
    click.echo(json.dumps({"run": run, "verdict": verdict, "review": state.review}) if as_json
               else f"{run}: {state.review}")
