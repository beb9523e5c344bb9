"""Open-loop load over HTTP: requests leave at Poisson times, whether or not earlier ones were answered.

Latency counts from the time at which a request was due, so that a slow answer cannot hide the wait of those behind it.
As a process of its own (`python -m bench.load_client`, a plan as JSON on standard input) it floods instead.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from bench.turn import question
from ruche.engine.cli.serve import run_loop

ANSWER_SECONDS = 30.0
_ENDS = ("turn.completed", "turn.failed")


@dataclass(frozen=True, kw_only=True)
class Plan:
    """`rate` a second for `seconds`, spread evenly over `sessions` people; a share of `streams` asks for events."""

    url: str
    token: str
    sessions: int
    rate: float
    seconds: float
    agent: str = "bench10"
    rules: int = 10
    channel: str = "api"
    streams: float = 0.0
    connections: int = 256
    seed: int = 7
    probes: tuple[str, ...] = ()
    """Tokens the server has not seen, one request each, spread over the time."""


@dataclass
class Seen:
    """What came back. `answered`: (second in which it was due, ms until the answer). All times count from due."""

    answered: list[tuple[float, float]] = field(default_factory=list)
    first_text_ms: list[float] = field(default_factory=list)
    streams: int = 0
    whole_streams: int = 0
    probe_ms: list[float] = field(default_factory=list)
    late_ms: list[float] = field(default_factory=list)
    """How long after it was due a request was begun: the generator's own fault."""
    faults: Counter[str] = field(default_factory=Counter)


class Generator:
    """One run of a plan."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.seen = Seen()
        self._random = random.Random(plan.seed)
        self._tasks: set[asyncio.Task[None]] = set()
        self._begun = time.monotonic()

    async def run(self) -> Seen:
        async with open_session(self.plan) as self._http:
            self._begun = time.monotonic()
            await asyncio.gather(self._talk(), self._probe())
            while self._tasks:
                await asyncio.wait(self._tasks)
        return self.seen

    async def _talk(self) -> None:
        due, end = self._begun, self._begun + self.plan.seconds
        while (due := due + self._random.expovariate(self.plan.rate)) < end:
            await self._until(due)
            self.seen.late_ms.append(self._since(due))
            one = self._stream if self._random.random() < self.plan.streams else self._chat
            self._start(one(due))

    async def _probe(self) -> None:
        probes = self.plan.probes
        for place, token in enumerate(probes):
            due = self._begun + (place + 0.5) * self.plan.seconds / len(probes)
            await self._until(due)
            self._start(self._prove(token, due))

    async def _until(self, due: float) -> None:
        wait = due - time.monotonic()
        if wait > 0:
            await asyncio.sleep(wait)

    def _since(self, due: float) -> float:
        return 1000 * (time.monotonic() - due)  # uvloop's own clock counts whole milliseconds

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(self._caught(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _caught(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            self.seen.faults[type(error).__name__] += 1

    async def _chat(self, due: float) -> None:
        async with self._http.post("/v1/chat", data=self._body()) as response:
            answer = await response.read()
        if response.status != 200 or b'"status":"complete"' not in answer:
            self.seen.faults[str(response.status)] += 1
            return
        self.seen.answered.append((due - self._begun, self._since(due)))

    async def _stream(self, due: float) -> None:
        self.seen.streams += 1
        kind, told = "", False
        async with self._http.post("/v1/chat/stream", data=self._body()) as response:
            async for line in response.content:
                if line.startswith(b"event: "):
                    kind = line[7:].strip().decode()
                elif line.startswith(b"data: ") and not told and kind in ("message.segment", "turn.completed"):
                    self.seen.first_text_ms.append(self._since(due))
                    told = True
        self.seen.whole_streams += response.status == 200 and kind == "turn.completed"

    async def _prove(self, token: str, due: float) -> None:
        """A route whose role the token lacks: it is verified, and then the request is over."""
        async with self._http.get("/v1/admin/actors", headers={"Authorization": f"Bearer {token}"}) as response:
            await response.read()
        if response.status == 403:
            self.seen.probe_ms.append(self._since(due))
        else:
            self.seen.faults[f"probe {response.status}"] += 1

    def _body(self) -> bytes:
        return body(self.plan, f"person-{self._random.randrange(self.plan.sessions)}", self._random.randrange(1000))


def open_session(plan: Plan) -> aiohttp.ClientSession:
    """Connections that are kept, for one token."""
    return aiohttp.ClientSession(
        plan.url, connector=aiohttp.TCPConnector(limit=plan.connections, keepalive_timeout=60),
        timeout=aiohttp.ClientTimeout(total=ANSWER_SECONDS),
        headers={"Authorization": f"Bearer {plan.token}", "Content-Type": "application/json"})


def body(plan: Plan, person: str, number: int) -> bytes:
    return json.dumps({"agent_id": plan.agent, "message": question(number, plan.rules), "channel": plan.channel,
                       "channel_user_id": person}).encode()


async def drive(plan: Plan) -> Seen:
    """Run a plan to its end, and until everything is answered or has failed."""
    return await Generator(plan).run()


async def flood(plan: Plan) -> dict[str, int]:
    """As much as `connections` kept connections carry: each sends again as soon as it is answered."""
    counted: Counter[str] = Counter()
    end = time.monotonic() + plan.seconds

    async def press(http: aiohttp.ClientSession, number: int) -> None:
        while time.monotonic() < end:
            try:
                async with http.post("/v1/chat", data=body(plan, f"person-{number % plan.sessions}", number)) as got:
                    await got.read()
                counted[str(got.status)] += 1
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                counted[type(error).__name__] += 1
            number += plan.connections

    async with open_session(plan) as http:
        await asyncio.gather(*(press(http, number) for number in range(plan.connections)))
    return dict(counted)


def main() -> None:
    """Reads plans, one JSON object a line; floods for each and prints what came back."""
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        print(json.dumps(run_loop(flood(Plan(**json.loads(line))))), flush=True)


if __name__ == "__main__":
    main()
