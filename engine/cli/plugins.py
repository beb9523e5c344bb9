"""`ruche plugins`: what is built in and plugged in, by kind, and whether it can be used."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from ruche.engine.cli.command import command as ruche_command

if TYPE_CHECKING:
    from ruche.plugins.registry import Registry

_KINDS = ("brain", "enforcer", "tool", "generator", "embedder", "reranker", "selector", "channel", "decider",
          "key source")


@ruche_command("plugins", example="ruche plugins --json")
@click.option("--json", "as_json", is_flag=True, help="JSON Lines.")
def command(as_json: bool) -> int:
    """List enforcers, generators, embedders and other parts by the names that agents and settings use. Ends with 1 when
    one that is installed cannot be loaded."""
    faults = 0
    for kind, name, origin, fault in _parts():
        faults += bool(fault)
        if as_json:
            click.echo(json.dumps({"kind": kind, "name": name, "origin": origin, "usable": not fault, "fault": fault}))
        else:
            click.echo(f"{kind:<10} {name:<16} {origin}{f'  cannot be used: {fault}' if fault else ''}")
    return int(bool(faults))


def _parts() -> Iterator[tuple[str, str, str, str]]:
    """(kind, name, `built in` or where it comes from, why it cannot be used)."""
    from ruche.actors.supersede import BUILT_IN
    from ruche.plugins.channels import built_in_channels
    from ruche.plugins.enforcers import built_in
    from ruche.plugins.installed import GENERATORS
    from ruche.plugins.registry import Registry
    from ruche.plugins.selectors import NAMES

    inside = {"enforcer": built_in(), "generator": GENERATORS, "embedder": ("hashing", "minilm", "folder"),
              "selector": NAMES, "channel": built_in_channels(), "decider": BUILT_IN,
              "key source": ("file", "env", "command", "keyring")}
    for kind, names in inside.items():
        for name in sorted(names):
            yield kind, name, "built in", ""
    registry = Registry()
    for kind in _KINDS:
        for name in registry.names(kind):
            yield kind, name, "installed", _fault(registry, kind, name)


def _fault(registry: Registry, kind: str, name: str) -> str:
    from ruche.plugins.errors import ConfigurationError

    try:
        registry.load(kind, name)
    except ConfigurationError as error:
        return error.message
    return ""
