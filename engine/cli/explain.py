"""`ruche explain`: says a text to an agent in an engine of its own, and shows what the turn considered and why."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ruche.engine.cli.command import command as ruche_command

if TYPE_CHECKING:
    from ruche.engine.brain.explain import Explained
    from ruche.engine.config import Settings
    from ruche.storage.model.run import Run

_SHOWN = 10
"""Rules that were not applied and are shown to people."""


@ruche_command("explain", example='ruche explain frontdesk "where is my taxi"')
@click.argument("agent")
@click.argument("texts", nargs=-1, required=True)
@click.option("--agents", type=click.Path(path_type=Path), help="Folder of agent folders (default: the samples).")
@click.option("--config", type=click.Path(path_type=Path), help="Settings file (default: ruche.toml, if it is there).")
@click.option("--json", "as_json", is_flag=True, help="One JSON line a turn.")
def command(agent: str, texts: tuple[str, ...], agents: Path | None, config: Path | None, as_json: bool) -> None:
    """Say each of TEXTS to AGENT, one turn after another, and show the reasons. Nothing is kept."""
    import asyncio

    from ruche.engine.config import read_settings

    with tempfile.TemporaryDirectory(prefix="ruche-explain-") as place:
        settings = read_settings(config, data=Path(place) / "data", agents=agents, samples=True)
        for explained, run in asyncio.run(_turns(settings, agent, texts)):
            click.echo(json.dumps(_as_dict(explained, run)) if as_json else "\n".join(_lines(explained, run)))


async def _turns(settings: Settings, agent: str, texts: tuple[str, ...]) -> list[tuple[Explained, Run]]:
    from ruche.engine import Engine
    from ruche.engine.observe import configure

    configure(settings.log.model_copy(update={"level": "ERROR", "json_lines": False}))
    async with Engine.open(settings=settings) as engine:
        await engine.agent("default", agent)
        found: list[tuple[Explained, Run]] = []
        for text in texts:
            explained = await engine.explain("default", agent, text, found[-1][1].session if found else None)
            turn = await engine.chat(agent=agent, message=text, user="explain", channel="api")
            found.append((explained, await engine.run("default", turn.turn_id)))
        return found


def _as_dict(explained: Explained, run: Run) -> dict[str, object]:
    import msgspec

    return {"said": run.said, "reply": run.reply, "rules": msgspec.to_builtins(run.rules),
            "scenarios": msgspec.to_builtins(run.scenarios), "tools": msgspec.to_builtins(run.tools),
            "enforcement": msgspec.to_builtins(run.enforcement), "decisions": run.decisions,
            "explained": msgspec.to_builtins(explained)}


def _lines(explained: Explained, run: Run) -> list[str]:
    lines = [f"> {' / '.join(run.said)}", f"< {run.reply}", f"  {run.response_type} {run.status} {run.risk}"]
    lines += [f"  rule      {one.id}: {one.why}" for one in run.rules]
    lines += _others(explained, run)
    for move in run.scenarios:
        lines.append(f"  scenario  {move.id}: {move.action.lower()} at {move.step}, {move.why}")
        lines += [f"      looked at {json.dumps(one)}" for one in move.considered]
    lines += [f"  tool      {one.name}: {one.status} {one.error}".rstrip() for one in run.tools]
    lines += [f"  judged    {rule}: {verdict}" for rule, verdict in run.enforcement.checked]
    lines += [f"  {phase:<9} {json.dumps(notes)}" for phase, notes in run.decisions.items() if notes]
    return lines


def _others(explained: Explained, run: Run) -> list[str]:
    """The rules that were not applied, and the scenarios that the text did not move."""
    applied, moved = {one.id for one in run.rules}, {one.id for one in run.scenarios}
    rules = [one for one in explained.rules if one.id not in applied]
    lines = [f"  not rule  {one.id}: {one.reason}" for one in rules[:_SHOWN]]
    if len(rules) > _SHOWN:
        lines.append(f"  not rule  and {len(rules) - _SHOWN} more, less alike (--json has all)")
    return lines + [f"  not       {one.id}: {one.reason}" for one in explained.scenarios if one.id not in moved]
