"""`ruche chat`: a conversation in the terminal, with an engine of its own or with a running server."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ruche.engine.cli.command import command as ruche_command

if TYPE_CHECKING:
    from ruche.engine.config import Settings

Happening = tuple[str, dict[str, Any]]
Speak = Callable[[str, bool], AsyncIterator[Happening]]


@ruche_command("chat", example="ruche chat frontdesk")
@click.argument("agent")
@click.option("--user", default="terminal", show_default=True, help="Who is speaking.")
@click.option("--data", type=click.Path(path_type=Path), help="Data directory (default: data).")
@click.option("--agents", type=click.Path(path_type=Path), help="Folder of agent folders (default: the samples).")
@click.option("--url", help="Talk to a running server instead; the token comes from RUCHE_TOKEN or --token.")
@click.option("--token", envvar="RUCHE_TOKEN", help="Token for --url (`ruche token` makes one).")
@click.option("--new", "fresh", is_flag=True, help="Begin a new session.")
@click.option("--why", is_flag=True, help="After each reply, say what the turn did.")
@click.option("--config", type=click.Path(path_type=Path), help="Settings file (default: ruche.toml, if it is there).")
def command(agent: str, user: str, data: Path | None, agents: Path | None, url: str | None, token: str | None,
            fresh: bool, why: bool, config: Path | None) -> None:
    """Talk to AGENT. Lines are messages; /new begins a new session, /why shows reasons, /quit or Ctrl+D ends."""
    from ruche.engine.cli.serve import run_loop
    from ruche.engine.config import read_settings

    if url is not None:
        run_loop(_remote(url.rstrip("/"), token or "", agent, fresh, why))
    else:
        run_loop(_local(read_settings(config, data=data, agents=agents, samples=True), agent, user, fresh, why))


async def _local(settings: Settings, agent: str, user: str, fresh: bool, why: bool) -> None:
    from ruche.engine import Engine
    from ruche.engine.observe import configure

    configure(settings.log.model_copy(update={"level": "ERROR", "json_lines": False}))
    async with Engine.open(settings=settings) as engine:
        await engine.agent("default", agent)
        for notice in engine.notices:
            click.echo(click.style(f"note: {notice}", fg="yellow"), err=True)

        async def speak(text: str, new: bool) -> AsyncIterator[Happening]:
            async with aclosing(engine.stream(agent=agent, message=text, user=user, new_session=new)) as events:
                async for event in events:
                    yield event.kind, event.data

        await _converse(speak, fresh, why)


async def _remote(url: str, token: str, agent: str, fresh: bool, why: bool) -> None:
    import aiohttp

    from ruche.plugins.errors import Unavailable

    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"}) as client:

        async def speak(text: str, new: bool) -> AsyncIterator[Happening]:
            body = {"agent_id": agent, "message": text, "channel": "api", "new_session": new}
            try:
                async with client.post(f"{url}/v1/chat/stream", json=body) as answer:
                    async for happening in _read(answer):
                        yield happening
            except aiohttp.ClientError:
                raise Unavailable(f"{url} cannot be reached") from None

        await _converse(speak, fresh, why)


async def _read(answer: Any) -> AsyncIterator[Happening]:
    import json

    from ruche.plugins.errors import RucheError

    if answer.status != 200:
        raise RucheError((await answer.json())["error"]["message"])
    kind = ""
    async for line in answer.content:
        if line.startswith(b"event: "):
            kind = line[7:].strip().decode()
        elif line.startswith(b"data: "):
            yield kind, json.loads(line[6:])


async def _converse(speak: Speak, fresh: bool, why: bool) -> None:
    from anyio.to_thread import run_sync

    while (text := await run_sync(_line, abandon_on_cancel=True)) is not None:
        match text.strip():
            case "":
                continue
            case "/quit" | "/exit":
                return
            case "/new":
                fresh = True
            case "/why":
                why = not why
            case message:
                await _turn(speak(message, fresh), why)
                fresh = False


def _line() -> str | None:
    try:
        return input(click.style("you   ", dim=True) if sys.stdin.isatty() else "")
    except (EOFError, KeyboardInterrupt):
        return None


async def _turn(events: AsyncIterator[Happening], why: bool) -> None:
    shown = ""
    async for kind, data in events:
        if kind == "message.segment":
            click.echo(("" if shown else _name()) + data["text"], nl=False)
            shown += data["text"]
        elif kind == "turn.completed":
            click.echo("" if shown else _name() + data["reply"])
            if why:
                _explain(data)
        elif kind == "turn.failed":
            error = data.get("error") or {}
            click.echo(("" if shown else _name()) + (data.get("turn") or {}).get("reply", ""))
            click.echo(click.style(f"the turn failed: {error.get('code', '')}", fg="red"), err=True)


def _name() -> str:
    return click.style("agent ", fg="yellow") if sys.stdout.isatty() else ""


def _explain(turn: dict[str, Any]) -> None:
    """Reasons go to standard error: what the agent said is the data."""
    lines = [f"rule {one['id']} {one['score']:.2f} {one['why']}" for one in turn.get("rules", ())]
    lines += [f"scenario {one['id']} {one['action'].lower()} at {one['step']} {one.get('why', '')}"
              for one in turn.get("scenarios", ())]
    lines += [f"tool {one['name']} {one['status']} {one['ms']:.1f} ms" for one in turn.get("tools", ())]
    enforcement = turn.get("enforcement") or {}
    lines += [f"broke {one['rule']} ({one['severity']}): {one['reason']}" for one in enforcement.get("violations", ())]
    total = (turn.get("timings_ms") or {}).get("total", 0.0)
    lines.append(f"{turn['response_type']} {turn['status']} {enforcement.get('risk', '')} {total:.1f} ms")
    for line in lines:
        click.echo(click.style(f"      {line}", dim=True), err=True)
