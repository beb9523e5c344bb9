"""`ruche init`: a new agent folder that checks, with schemas for the editor beside it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import click

from ruche.engine.authoring.load import load_folder
from ruche.engine.authoring.samples import sample_folder, sample_names
from ruche.engine.authoring.schema import FOLDER, editor_line, schemas
from ruche.engine.cli.command import command as ruche_command
from ruche.plugins.errors import ConfigurationError


@ruche_command("init", example="ruche init agents/support")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--from", "sample", default="starter", show_default=True,
              help="Which agent to begin with: starter, or one of the samples.")
@click.option("--schemas-only", is_flag=True, help="Only write the editor's schemas into an existing folder.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def command(folder: Path, sample: str, schemas_only: bool, as_json: bool) -> int:
    """Make a new agent in FOLDER; its last part becomes the agent's id."""
    if not schemas_only:
        _copy(sample, folder)
    _write_schemas(folder)
    found = load_folder(folder)
    files = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    if as_json:
        click.echo(json.dumps({"folder": str(folder), "agent": folder.absolute().name, "files": files}))
    else:
        click.echo(f"{folder}: {len(files)} files written, {len(found.errors)} errors")
        click.echo(f"Next: ruche check {folder}, then ruche serve --agents {folder.parent}", err=True)
    return 1 if found.errors else 0


def _copy(sample: str, folder: Path) -> None:
    if sample not in sample_names():
        raise ConfigurationError(f"there is no sample {sample}; choose one of {', '.join(sample_names())}")
    if folder.exists() and any(folder.iterdir()):
        raise ConfigurationError(f"{folder} is not empty; choose another name, or add --schemas-only")
    source = sample_folder(sample)
    for path in sorted(source.rglob("*")):
        name = path.relative_to(source).as_posix()
        if path.is_file() and "__pycache__" not in name:
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
            _add_editor_line(target, name)


def _add_editor_line(target: Path, name: str) -> None:
    if name.endswith(".yaml"):
        target.write_text(editor_line(name) + target.read_text(encoding="utf-8"), encoding="utf-8", newline="\n")


def _write_schemas(folder: Path) -> None:
    if not folder.is_dir():
        raise ConfigurationError(f"{folder}: there is no such folder; leave out --schemas-only to make it")
    home = folder / FOLDER
    home.mkdir(exist_ok=True)
    for name, schema in schemas().items():
        (home / name).write_text(json.dumps(schema, indent=1) + "\n", encoding="utf-8", newline="\n")
