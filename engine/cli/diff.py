"""`ruche diff`: what two recorded turns were told, decided and said, field by field."""

from __future__ import annotations

import json

import click

from ruche.engine.cli.command import command as ruche_command
from ruche.engine.cli.directory import Place, on_directory

_SHOWN = 300
"""Characters of each side that are shown to people; --json has all."""


@ruche_command("diff", example="ruche diff 01m7w0xyh7p8gv4ef60yrd1vvy 01m7w0z4m3c2q9t1s8k5e6a7bd")
@click.argument("left")
@click.argument("right")
@on_directory("Whose runs.")
def command(left: str, right: str, tenant: str, place: Place, as_json: bool) -> int:
    """Compare the runs LEFT and RIGHT. Ends with 0 when they are the same, with 1 when they differ."""
    from ruche.engine.rerunning import differences
    from ruche.plugins.errors import NotFound

    with place.opened() as (store, _):
        runs = [store.tenant(tenant).run(name) for name in (left, right)]
    one, other = runs
    if one is None or other is None:
        raise NotFound(f"there is no run {left if one is None else right}")
    found = differences(one, other)
    if as_json:
        click.echo(json.dumps({"left": left, "right": right, "same": not found, "differences": [
            {"field": name, "left": first, "right": second} for name, first, second in found]}))
    else:
        for name, first, second in found:
            click.echo(f"{name}\n  - {_shown(first)}\n  + {_shown(second)}")
        click.echo(f"{len(found)} fields differ" if found else "the same", err=True)
    return int(bool(found))


def _shown(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)[:_SHOWN]
