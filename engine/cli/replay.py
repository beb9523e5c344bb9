"""`ruche replay`: runs a recorded turn again from its tape, without model, tools or network, and compares."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ruche.engine.cli.command import command as ruche_command

if TYPE_CHECKING:
    from ruche.engine.config import Settings
    from ruche.engine.replay import Recorded, Replayed

_SHOWN = 2_000
"""Characters of each side of a difference that are shown to people; --json has all."""


@ruche_command("replay", example="ruche replay 01m7w0xyh7p8gv4ef60yrd1vvy --data data")
@click.argument("run_id")
@click.option("--tenant", default="default", show_default=True, help="Whose run.")
@click.option("--agent", "folder", type=click.Path(path_type=Path, exists=True, file_okay=False),
              help="Run it with the agent in this folder instead of the version that it was made with.")
@click.option("--data", type=click.Path(path_type=Path), help="Data directory (default: data).")
@click.option("--config", type=click.Path(path_type=Path), help="Settings file (default: ruche.toml, if it is there).")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def command(run_id: str, tenant: str, folder: Path | None, data: Path | None, config: Path | None,
            as_json: bool) -> int:
    """Run the turn RUN_ID again. Ends with 0 when reply, decisions and hashes are the same, with 1 when they differ.

    The session's earlier turns are run again first, to rebuild the state. What was erased cannot differ: that ends
    with 0 too, and says so. The data directory must not be in use.
    """
    import anyio

    from ruche.engine.authoring.load import load_folder
    from ruche.engine.cli.verify import require_data
    from ruche.engine.config import read_settings
    from ruche.engine.host import known_enforcers
    from ruche.engine.replay import replay
    from ruche.plugins.registry import Registry

    instead = None if folder is None else load_folder(folder).require()
    settings = read_settings(config, data=data)
    require_data(settings.data)
    recorded = _load(settings, tenant, run_id)
    if recorded is None:
        text = f"run {run_id} was made unreadable when its person was erased; there is nothing to run again"
        click.echo(json.dumps({"run": run_id, "erased": True, "notes": [text]}) if as_json else f"erased: {text}")
        return 0
    replayed = anyio.run(lambda: replay(recorded, known_enforcers(Registry()), instead=instead))
    click.echo(json.dumps(_as_dict(replayed)) if as_json else "\n".join(_lines(replayed)))
    return 1 if replayed.difference is not None else 0


def _load(settings: Settings, tenant: str, run_id: str) -> Recorded | None:
    """None for what remains of an erased person."""
    import anyio

    from ruche.engine.host import open_store
    from ruche.engine.replay import load
    from ruche.plugins.errors import Erased

    store = anyio.run(open_store, settings)
    try:
        return load(store.tenant(tenant), run_id)
    except Erased:
        return None
    finally:
        store.close()


def _notes(replayed: Replayed) -> list[str]:
    from ruche.engine.host import engine_name

    recorded, here = replayed.run.engine, engine_name()
    other = [f"recorded by {recorded}, run again by {here}"] if recorded != here else []
    return [*other, *replayed.notes]


def _as_dict(replayed: Replayed) -> dict[str, Any]:
    run, difference = replayed.run, replayed.difference
    return {"run": run.id, "session": run.session, "sequence": run.sequence, "agent": run.agent,
            "agent_version": run.agent_version, "identical": difference is None, "erased": False,
            "earlier": replayed.earlier, "difference": None if difference is None else asdict(difference),
            "output": run.hashes.output, "notes": _notes(replayed)}


def _lines(replayed: Replayed) -> list[str]:
    run, difference = replayed.run, replayed.difference
    notes = [f"note: {note}" for note in _notes(replayed)]
    if difference is None:
        return [f"identical: turn {run.sequence} of session {run.session}, {len(run.tape)} answers from its tape, "
                f"{replayed.earlier} earlier turns run again", *notes]
    return [f"differs at turn {difference.turn} of session {run.session}: {difference.site}",
            f"  recorded: {difference.recorded[:_SHOWN]}", f"  replayed: {difference.replayed[:_SHOWN]}", *notes]
