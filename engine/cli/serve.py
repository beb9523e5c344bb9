"""`ruche serve`: the engine with its HTTP interface and console, until a signal ends it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ruche.engine.cli.command import command as ruche_command

if TYPE_CHECKING:
    from ruche.engine.server.running import Ready


@ruche_command("serve", example="ruche serve --agents agents --port 8700")
@click.option("--data", type=click.Path(path_type=Path), help="Data directory (default: data).")
@click.option("--agents", type=click.Path(path_type=Path),
              help="Folder of agent folders, or one of them (default: the samples frontdesk and kiosk).")
@click.option("--port", type=click.IntRange(0, 65535), help="Port (default: 8700; 0 takes a free one).")
@click.option("--host", help="Address to listen on (default: 127.0.0.1).")
@click.option("--tls-cert", type=click.Path(path_type=Path), help="Certificate chain, a PEM file.")
@click.option("--tls-key", type=click.Path(path_type=Path), help="Private key of the certificate, a PEM file.")
@click.option("--behind-proxy", is_flag=True, default=None, help="A proxy in front of this server does TLS.")
@click.option("--watch", is_flag=True, help="Publish an agent folder again when it changes.")
@click.option("--config", type=click.Path(path_type=Path), help="Settings file (default: ruche.toml, if it is there).")
@click.option("--json", "as_json", is_flag=True, help="One line of JSON with url, console and token, for scripts.")
def command(data: Path | None, agents: Path | None, watch: bool, config: Path | None, as_json: bool,
            **server: Any) -> None:
    """Serve agents over HTTP, with the console at the link it prints.

    An address that others can reach needs TLS: --tls-cert and --tls-key, or --behind-proxy.
    """
    from ruche.engine.config import read_settings
    from ruche.engine.server.exposure import check_exposure

    settings = read_settings(config, data=data, agents=agents, samples=True, server=server,
                             log={"json_lines": True if as_json else None})
    check_exposure(settings.server)
    from ruche.engine.server.running import serve

    run_loop(serve(settings, _as_json if as_json else _for_people, watch))


def run_loop(coroutine: Any) -> Any:
    """Run on uvloop where it is installed."""
    import asyncio

    try:
        import uvloop
    except ImportError:
        return asyncio.run(coroutine)
    return uvloop.run(coroutine)


def _as_json(ready: Ready) -> None:
    print(json.dumps({"url": ready.url, "console": ready.console, "token": ready.token,
                      "agents": list(ready.agents)}), flush=True)


def _for_people(ready: Ready) -> None:
    for notice in ready.notices:
        click.echo(click.style("note: ", fg="yellow") + notice, err=True)
    click.echo(f"Agents: {', '.join(ready.agents) or 'none'}", err=True)
    click.echo("Console (the link works once; the browser then stays signed in):", err=True)
    click.echo(f"  {ready.console}")
    click.echo("Interface: " + click.style(f"{ready.url}/openapi.json", underline=True)
               + "   tokens: ruche token --help   stop: Ctrl+C", err=True)
    sys.stdout.flush()
