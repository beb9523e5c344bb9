"""Many people, few of them in memory: each says something once, and afterwards every one is read again."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from itertools import islice
from typing import Any

import aiohttp

from bench.load_client import Plan, body, open_session
from bench.report import progress
from bench.server import Server

AT_ONCE = 32
AGAIN = 200
"""People who speak a second time at the end, to show that their session goes on."""


async def stream_keys(server: Server, keys: int, cap: int) -> dict[str, Any]:
    """`keys` people through at most `cap` sessions in memory; the server's memory along the way."""
    plan = Plan(url=server.url, token=server.token, sessions=keys, rate=0.0, seconds=0.0, connections=AT_ONCE)
    found: dict[int, str] = {}
    faults: Counter[str] = Counter()
    memory, most_active = [server.rss_mib()], 0

    async with open_session(plan) as http:
        async def say(person: int) -> None:
            answer = await _json(http.post("/v1/chat", data=body(plan, f"person-{person}", person)), faults)
            if answer is not None:
                found[person] = answer["session_id"]

        async def read(person: int) -> None:
            answer = await _json(http.get(f"/v1/sessions/{found[person]}/turns"), faults)
            if answer is None or len(answer["items"]) != 1:
                faults["unread"] += 1

        async def go_on(person: int) -> None:
            answer = await _json(http.post("/v1/chat", data=body(plan, f"person-{person}", 1)), faults)
            if answer is None or answer["session_id"] != found[person]:
                faults["another session"] += 1

        cpu, begun = server.cpu_seconds(), time.perf_counter()
        for start in range(0, keys, max(1, keys // 20)):
            await _all(say, range(start, min(keys, start + max(1, keys // 20))))
            memory.append(server.rss_mib())
            most_active = max(most_active, await _active(http))
            progress(f"{len(found)} of {keys}, {most_active} active at most, {memory[-1]:.0f} MiB")
        spent, cpu = time.perf_counter() - begun, server.cpu_seconds() - cpu
        progress("reading every one")
        begun = time.perf_counter()
        await _all(read, found)
        reading = time.perf_counter() - begun
        await _all(go_on, list(islice(found, 0, None, max(1, len(found) // AGAIN))))
    return {"keys": keys, "cap": cap, "answered": len(found), "most_active": most_active,
            "turns_per_s": len(found) / spent, "cpu_ms_per_turn": 1000 * cpu / max(1, len(found)),
            "errors": faults.total(), "faults": dict(faults), "readable": len(found) - faults["unread"],
            "reads_per_s": len(found) / reading, "rss_mib_start": memory[0],
            "rss_mib_quarter": memory[len(memory) // 4], "rss_mib_half": memory[len(memory) // 2],
            "rss_mib_end": memory[-1], "rss_mib_after_reading": server.rss_mib()}


async def _all(work: Callable[[int], Awaitable[None]], people: Any) -> None:
    waiting = iter(people)

    async def walk() -> None:
        for person in waiting:
            await work(person)

    await asyncio.gather(*(walk() for _ in range(AT_ONCE)))


async def _json(request: Any, faults: Counter[str]) -> dict[str, Any] | None:
    try:
        async with request as response:
            answer = await response.read()
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        faults[type(error).__name__] += 1
        return None
    if response.status != 200:
        faults[str(response.status)] += 1
        return None
    told: dict[str, Any] = json.loads(answer)
    return told


async def _active(http: aiohttp.ClientSession) -> int:
    answer = await _json(http.get("/v1/admin/actors"), Counter())
    return int(answer["sessions"]["actors"]) if answer else 0
