"""kill -9 in the middle of everything: what was acknowledged is there, once, and every chain verifies."""

from __future__ import annotations

import asyncio
import json
import random
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bench.model_server import Answer, ModelServer
from tests.e2e.running import Server
from tests.e2e.tree import ROOT

CHATS = 200
SPEECH = "We open at nine. We close at six. On Sundays we rest. Come and see us."
AGENT = """
name: Talker
models: {{generator: openai, url: "{url}", model: scripted}}
"""
RULES = """
- {id: hours, if: somebody asks when we open, then: Say when the shop opens and closes.}
- id: cap
  if: a refund is promised
  then: Never promise a refund.
  hard: true
  enforce: {use: phrase, options: {forbidden: [refund]}}
"""


@dataclass
class Seen:
    """What the clients were told before the process died."""

    replies: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Turn id to (session id, reply)."""
    accepted: dict[str, str] = field(default_factory=dict)
    """Turn id to session id, for messages that were answered with 202."""
    segments: dict[str, list[str]] = field(default_factory=dict)
    """Turn id to the segments received on its stream."""


async def talk(client: aiohttp.ClientSession, server: Server, name: int, seen: Seen) -> None:
    """One interlocutor who keeps talking until the connection breaks."""
    number = 0
    while True:
        number += 1
        kind = (name + number) % 4
        body = {"agent_id": "talker" if kind == 0 else "kiosk", "message": f"When do you open on day {number % 5}?",
                "channel": "api", "channel_user_id": f"caller-{name}"}
        if kind == 0:
            await _stream(client, server, body, seen)
        elif kind == 1:
            async with client.post(f"{server.url}/v1/chat", json=body, headers={"Prefer": "respond-async"}) as answer:
                taken = await answer.json()
                if answer.status == 202:
                    seen.accepted[taken["turn_id"]] = taken["session_id"]
        else:
            async with client.post(f"{server.url}/v1/chat", json=body) as answer:
                turn = await answer.json()
                if answer.status == 200:
                    seen.replies[turn["turn_id"]] = (turn["session_id"], turn["reply"])


async def _stream(client: aiohttp.ClientSession, server: Server, body: dict[str, Any], seen: Seen) -> None:
    async with client.post(f"{server.url}/v1/chat/stream", json=body) as answer:
        kind = ""
        async for line in answer.content:
            if line.startswith(b"event:"):
                kind = line[6:].strip().decode()
            elif line.startswith(b"data:") and kind in ("message.segment", "turn.completed"):
                data = json.loads(line[5:])
                if kind == "message.segment":
                    seen.segments.setdefault(data["turn_id"], []).append(data["text"])
                else:
                    seen.replies[data["turn_id"]] = (data["session_id"], data["reply"])


async def talk_until_killed(server: Server, seconds: float) -> Seen:
    seen = Seen()
    headers = {"Authorization": f"Bearer {server.token}"}
    async with aiohttp.ClientSession(headers=headers, connector=aiohttp.TCPConnector(limit=0)) as client:
        talkers = [asyncio.create_task(talk(client, server, name, seen)) for name in range(CHATS)]
        await asyncio.sleep(seconds)
        server.kill()
        endings = await asyncio.gather(*talkers, return_exceptions=True)
    odd = [e for e in endings if not isinstance(e, aiohttp.ClientError | ConnectionError | json.JSONDecodeError)]
    assert odd == []
    return seen


async def read_events(client: aiohttp.ClientSession, server: Server, session: str, wanted: set[str]) -> None:
    """Follow a session from its beginning until every wanted turn has ended."""
    async with client.get(f"{server.url}/v1/sessions/{session}/events?after=0") as answer:
        kind = ""
        async for line in answer.content:
            if line.startswith(b"event:"):
                kind = line[6:].strip().decode()
            elif line.startswith(b"data:") and kind in ("turn.completed", "turn.failed", "turn.superseded"):
                wanted.discard(json.loads(line[5:])["turn_id"])
                if not wanted:
                    return


async def check(server: Server, seen: Seen) -> None:
    headers = {"Authorization": f"Bearer {server.token}"}
    async with aiohttp.ClientSession(headers=headers, timeout=aiohttp.ClientTimeout(total=60)) as client:
        for turn_id, (_, reply) in seen.replies.items():
            async with client.get(f"{server.url}/v1/runs/{turn_id}") as answer:
                assert answer.status == 200, f"acknowledged turn {turn_id} is gone"
                assert (await answer.json())["turn"]["reply"] == reply
        waiting: dict[str, set[str]] = {}
        for turn_id, session in seen.accepted.items():
            waiting.setdefault(session, set()).add(turn_id)
        await asyncio.gather(*(read_events(client, server, session, turns) for session, turns in waiting.items()))
        for turn_id, texts in seen.segments.items():
            async with client.get(f"{server.url}/v1/runs/{turn_id}") as answer:
                assert answer.status == 200, f"the turn {turn_id} that released segments is gone"
                assert (await answer.json())["segments"][:len(texts)] == texts
        last = {session: turn_id for turn_id, (session, _) in seen.replies.items()}
        for session, turn_id in last.items():
            async with client.get(f"{server.url}/v1/runs/{turn_id}/verify") as answer:
                assert answer.status == 200
                assert (await answer.json())["ok"] is True, f"the chain of {session} does not verify"


def write_agents(root: Path, model_url: str) -> None:
    """The kiosk that ships, and an agent whose model speaks in streamed segments."""
    talker = root / "talker"
    talker.mkdir(parents=True)
    (talker / "agent.yaml").write_text(AGENT.format(url=model_url))
    (talker / "rules.yaml").write_text(RULES)
    shutil.copytree(ROOT / "engine" / "authoring" / "samples" / "kiosk", root / "kiosk")


async def kill_repeatedly(place: Path, times: int) -> None:
    chance = random.Random(7)
    acknowledged, streamed = 0, 0
    async with ModelServer(Answer(SPEECH)) as model:
        write_agents(place / "agents", model.url)
        for _ in range(times):
            server = await asyncio.to_thread(Server, place / "data", agents=place / "agents")
            seen = await talk_until_killed(server, chance.uniform(1.0, 2.5))
            acknowledged += len(seen.replies) + len(seen.accepted)
            streamed += sum(map(len, seen.segments.values()))
            after = await asyncio.to_thread(Server, place / "data", agents=place / "agents")
            try:
                await check(after, seen)
            finally:
                after.kill()
    assert acknowledged > 10 * times
    assert streamed > times
    print(f"{times} kills, {acknowledged} acknowledged answers, {streamed} streamed segments, none lost")


@pytest.mark.timeout(300)
def test_nothing_acknowledged_is_lost_when_the_process_is_killed(tmp_path: Path) -> None:
    asyncio.run(kill_repeatedly(tmp_path, 3))


@pytest.mark.long
@pytest.mark.timeout(900)
def test_nothing_acknowledged_is_lost_over_twenty_kills(tmp_path: Path) -> None:
    asyncio.run(kill_repeatedly(tmp_path, 20))
