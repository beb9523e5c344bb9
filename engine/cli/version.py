"""`ruche version`: what runs here."""

from __future__ import annotations

import json
import platform
from importlib.metadata import PackageNotFoundError, version

import click

from ruche.engine.cli.command import command as ruche_command


@ruche_command("version", example="ruche version --json")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def command(as_json: bool) -> None:
    """Show the version of the engine, of Python and of the platform."""
    found = {"ruche": engine_version(), "python": platform.python_version(),
             "platform": f"{platform.system()} {platform.machine()}".lower()}
    click.echo(json.dumps(found) if as_json else f"ruche {found['ruche']} (Python {found['python']}, "
                                                  f"{found['platform']})")


def engine_version() -> str:
    """The installed distribution's version, `unknown` when only the source tree is there."""
    try:
        return version("ruche-engine")
    except PackageNotFoundError:
        return "unknown"
