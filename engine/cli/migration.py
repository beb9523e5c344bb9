"""`ruche migration`: what becomes of running conversations when an agent changes, before it changes."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ruche.engine.cli.command import Group
from ruche.engine.cli.command import command as ruche_command
from ruche.engine.cli.directory import Place, on_directory

if TYPE_CHECKING:
    from ruche.storage.model.migration import MigrationPlan
    from ruche.storage.store import Store

_BY = click.option("--by", default="operator", show_default=True, help="Who decides.")
_NOTE = click.option("--note", default="", help="Why.")


@click.group("migration", cls=Group, example="ruche migration plan agents/support --data data")
def command() -> None:
    """Plan, review and deploy a new version of an agent while conversations run. No server may hold the data directory;
    in one, `Engine.migrations` does the same."""


@ruche_command("plan", example="ruche migration plan agents/support --data data")
@click.argument("folder", type=click.Path(path_type=Path))
@_BY
@on_directory()
def plan(folder: Path, by: str, place: Place, as_json: bool) -> None:
    """Compare the version that serves with the folder, and keep the plan for review."""
    from ruche.engine.authoring.load import load_folder
    from ruche.engine.migrations import make_plan, summary

    bundle = load_folder(folder).require()
    with place.opened() as (store, _):
        made = make_plan(store.tenant(bundle.tenant), bundle, _now(), by)
        _keep(store, bundle.tenant, [made])
        _show_summary(summary(store.tenant(bundle.tenant), made), as_json=as_json)


@ruche_command("list", example="ruche migration list --data data")
@click.argument("agent", required=False)
@on_directory("Whose agent it is.")
def list_(agent: str | None, tenant: str, place: Place, as_json: bool) -> None:
    """Plans, newest first."""
    with place.opened() as (store, _):
        found = store.tenant(tenant).migrations(agent)
    if as_json:
        click.echo(json.dumps({"plans": [_brief(one) for one in found]}))
        return
    for one in found:
        click.echo(f"{one.agent} {one.id} {one.state} (version {one.from_version} to {one.to_hash[:12]})")


@ruche_command("show", example="ruche migration show support 3-0a1b2c3d4e --data data")
@click.argument("agent")
@click.argument("plan_id")
@on_directory("Whose agent it is.")
def show(agent: str, plan_id: str, tenant: str, place: Place, as_json: bool) -> None:
    """What the plan does at each step, and how many conversations stand there."""
    from ruche.engine.migrations import find_plan, summary

    with place.opened() as (store, _):
        found = summary(store.tenant(tenant), find_plan(store.tenant(tenant), agent, plan_id))
    _show_summary(found, as_json=as_json)


@ruche_command("policy", example="ruche migration policy support 3-0a1b2c3d4e repair ask_day stay")
@click.argument("agent")
@click.argument("plan_id")
@click.argument("scenario")
@click.argument("step")
@click.argument("action", type=click.Choice(["automatic", "stay", "restart", "exit"]))
@click.option("--channel", "channels", multiple=True, help="Only conversations on this channel; may be given again.")
@click.option("--older-than", "older", type=click.IntRange(min=0), default=0,
              help="Only sessions this old, in seconds.")
@on_directory("Whose agent it is.")
def policy(agent: str, plan_id: str, scenario: str, step: str, action: Any, channels: tuple[str, ...], older: int,
           tenant: str, place: Place, as_json: bool) -> None:
    """Decide otherwise than the plan for conversations at a step ("*": at any); the plan is to be approved again."""
    from ruche.engine.migrations import find_plan, with_policy
    from ruche.storage.model.migration import StepPolicy

    wish = StepPolicy(step=step, action=action, channels=channels, older_than_s=older)
    with place.opened() as (store, _):
        changed = with_policy(find_plan(store.tenant(tenant), agent, plan_id), scenario, wish)
        _keep(store, tenant, [changed])
    _say(changed, as_json=as_json)


@ruche_command("approve", example="ruche migration approve support 3-0a1b2c3d4e --by ann")
@click.argument("agent")
@click.argument("plan_id")
@_BY
@_NOTE
@on_directory("Whose agent it is.")
def approve(agent: str, plan_id: str, by: str, note: str, tenant: str, place: Place, as_json: bool) -> None:
    """Say that the plan may be deployed."""
    _decide(place, tenant, agent, plan_id, "approved", by, note, as_json=as_json)


@ruche_command("reject", example="ruche migration reject support 3-0a1b2c3d4e --by ann --note 'asks twice'")
@click.argument("agent")
@click.argument("plan_id")
@_BY
@_NOTE
@on_directory("Whose agent it is.")
def reject(agent: str, plan_id: str, by: str, note: str, tenant: str, place: Place, as_json: bool) -> None:
    """Say that it may not."""
    _decide(place, tenant, agent, plan_id, "rejected", by, note, as_json=as_json)


@ruche_command("deploy", example="ruche migration deploy support 3-0a1b2c3d4e --by ann")
@click.argument("agent")
@click.argument("plan_id")
@_BY
@on_directory("Whose agent it is.")
def deploy(agent: str, plan_id: str, by: str, tenant: str, place: Place, as_json: bool) -> None:
    """Publish what an approved plan leads to. Conversations move with their next message."""
    from ruche.engine.authoring.publish import next_version
    from ruche.engine.migrations import deployed, find_plan
    from ruche.plugins.errors import Conflict
    from ruche.storage.model.bundle import AgentBundle

    with place.opened() as (store, _):
        view = store.tenant(tenant)
        found = find_plan(view, agent, plan_id)
        record = next_version(AgentBundle.model_validate_json(found.target), view.agent(agent), _now())
        if record is None:
            raise Conflict(f"the newest version of {agent} holds this already")
        done = deployed(view, found, record.version, by=by, at_ms=_now())
        _keep(store, tenant, done, record)
    _say(done[0], as_json=as_json)


@ruche_command("status", example="ruche migration status support 3-0a1b2c3d4e")
@click.argument("agent")
@click.argument("plan_id")
@on_directory("Whose agent it is.")
def status(agent: str, plan_id: str, tenant: str, place: Place, as_json: bool) -> None:
    """How many conversations have moved, and how many still wait for their next message."""
    from ruche.engine.migrations import find_plan
    from ruche.engine.migrations import status as status_of

    with place.opened() as (store, _):
        found = status_of(store.tenant(tenant), find_plan(store.tenant(tenant), agent, plan_id))
    click.echo(json.dumps(found) if as_json else
               f"{found['agent']} {found['id']} {found['state']}: {found['moved']} moved, {found['waiting']} waiting")


for _one in (plan, list_, show, policy, approve, reject, deploy, status):
    command.add_command(_one)


def _keep(store: Store, tenant: str, plans: list[MigrationPlan], *records: Any) -> None:
    """One durable append for all of them."""
    from ruche.storage.model.record import MigrationSaved

    store.append([*records, *(MigrationSaved(tenant=tenant, at_ms=_now(), plan=one) for one in plans)])
    store.apply()


def _decide(place: Place, tenant: str, agent: str, plan_id: str, state: Any, by: str, note: str, *,
            as_json: bool) -> None:
    from ruche.engine.migrations import decide, find_plan

    with place.opened() as (store, _):
        changed = decide(find_plan(store.tenant(tenant), agent, plan_id), state, by=by, note=note, at_ms=_now())
        _keep(store, tenant, [changed])
    _say(changed, as_json=as_json)


def _now() -> int:
    return time.time_ns() // 1_000_000


def _brief(one: MigrationPlan) -> dict[str, Any]:
    return {"id": one.id, "agent": one.agent, "state": one.state, "from_version": one.from_version,
            "to_hash": one.to_hash, "deployed_version": one.deployed_version, "by": one.by, "note": one.note}


def _say(one: MigrationPlan, *, as_json: bool) -> None:
    after = f", version {one.deployed_version} published" if one.deployed_version else ""
    click.echo(json.dumps(_brief(one)) if as_json else f"{one.agent} {one.id} {one.state}{after}")


def _show_summary(found: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(found))
        return
    click.echo(f"{found['agent']} {found['id']} {found['state']}: {found['conversations']} conversations to move")
    for change in found["scenarios"]:
        for step in change["steps"]:
            to = f" -> {step['to']}" if step["to"] and step["to"] != step["step"] else ""
            click.echo(f"  {change['scenario']}/{step['step']}{to}: {step['kind']}, {step['why']} "
                       f"({step['conversations']})")
    for warning in found["warnings"]:
        click.echo(f"  warning: {warning}")
