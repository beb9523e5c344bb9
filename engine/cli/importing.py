"""`ruche import`: makes an agent folder from what others have written."""

from __future__ import annotations

import json
from pathlib import Path

import click

from ruche.engine.authoring.importers.dot import import_dot
from ruche.engine.authoring.importers.star import import_star
from ruche.engine.authoring.load import load_folder
from ruche.engine.cli.command import command as ruche_command
from ruche.plugins.errors import ConfigurationError


@ruche_command("import", example="ruche import dot workflow.dot agents/support")
@click.argument("kind", type=click.Choice(["star", "dot"]))
@click.argument("sources", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def command(kind: str, sources: tuple[Path, ...], folder: Path, as_json: bool) -> int:
    """Make a new agent in FOLDER from SOURCES: `dot` files (one scenario each), or a `star` folder of task graphs."""
    if kind == "star" and len(sources) > 1:
        raise ConfigurationError("give one folder of task graphs")
    written = import_star(sources[0], folder) if kind == "star" else import_dot(sources, folder)
    found = load_folder(folder)
    for problem in found.problems:
        click.echo(str(problem), err=True)
    if as_json:
        click.echo(json.dumps({"folder": str(folder), "files": len(written), "errors": len(found.errors)}))
    else:
        click.echo(f"{folder}: {len(written)} files written, {len(found.errors)} errors")
        click.echo(f"Next: read it, connect its tools, then ruche check {folder}", err=True)
    return 1 if found.errors else 0
