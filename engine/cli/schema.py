"""`ruche schema`: the JSON Schemas (draft-07) of the files of an agent folder."""

from __future__ import annotations

import json
from pathlib import Path

import click

from ruche.engine.cli.command import command as ruche_command


@ruche_command("schema", example="ruche schema rules\nruche schema --to agents/support/.schema")
@click.argument("kind", required=False)
@click.option("--to", "target", type=click.Path(path_type=Path, file_okay=False), help="Write all of them to a folder.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def command(kind: str | None, target: Path | None, as_json: bool) -> int:
    """Show the schema of KIND (agent, rules, scenario, ...), list the kinds, or write all schemas --to a folder."""
    from ruche.engine.authoring.schema import schemas
    from ruche.plugins.errors import NotFound

    made = schemas()
    if target is not None:
        target.mkdir(parents=True, exist_ok=True)
        for name, schema in made.items():
            (target / name).write_text(json.dumps(schema, indent=1) + "\n", encoding="utf-8", newline="\n")
        click.echo(json.dumps({"folder": str(target), "files": sorted(made)}) if as_json else
                   f"{target}: {len(made)} schemas written")
    elif kind is None:
        names = sorted(name.removesuffix(".json") for name in made)
        click.echo(json.dumps(names) if as_json else "\n".join(names))
    elif f"{kind}.json" in made:
        click.echo(json.dumps(made[f"{kind}.json"], indent=None if as_json else 1))
    else:
        known = ", ".join(sorted(name.removesuffix(".json") for name in made))
        raise NotFound(f"no file of an agent is called {kind}; known: {known}")
    return 0
