"""`ruche token`: a signed token for the HTTP interface, made from the data directory's root key."""

from __future__ import annotations

import json
from pathlib import Path

import click

from ruche.engine.cli.command import command as ruche_command

ROLES = ("interlocutor", "channel", "agent_author", "operator", "auditor", "admin")


@ruche_command("token", example="ruche token --tenant default --role interlocutor --sub kiosk-7")
@click.option("--tenant", default="default", show_default=True, help="Tenant the token is for.")
@click.option("--role", "roles", multiple=True, required=True, type=click.Choice(ROLES),
              help="What its bearer may do; may be given several times.")
@click.option("--sub", "subject", help="Who its bearer is (default: the first role).")
@click.option("--hours", type=click.FloatRange(min=0, min_open=True), help="How long it lives (default: 24).")
@click.option("--data", type=click.Path(path_type=Path), help="Data directory (default: data).")
@click.option("--config", type=click.Path(path_type=Path), help="Settings file (default: ruche.toml, if it is there).")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def command(tenant: str, roles: tuple[str, ...], subject: str | None, hours: float | None, data: Path | None,
            config: Path | None, as_json: bool) -> None:
    """Make a token. The server may be running: only the root key is read."""
    from ruche.engine.config import read_settings
    from ruche.engine.server.mint import check_names, mint, signing_key

    settings = read_settings(config, data=data)
    chosen = subject or roles[0]
    check_names(tenant, chosen)
    lasting = settings.server.token_hours if hours is None else hours
    token = mint(signing_key(settings), tenant=tenant, roles=roles, subject=chosen, hours=lasting)
    click.echo(json.dumps({"token": token, "tenant_id": tenant, "subject": chosen, "roles": list(roles),
                           "expires_in": int(lasting * 3600)}) if as_json else token)
