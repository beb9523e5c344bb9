"""The server under load over HTTP, from a second process: `python -m bench.load --sessions N --rate R --seconds S`.

The server is started as a user starts it, in a process of its own, with the embedder that costs next to nothing
(`models.embedder = "hashing"`), durable and sealed storage on disk, and no limit on requests a minute. Requests leave
at Poisson times and count from the time they were due. Many people through few sessions in memory: `bench.keys`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.curve import Second, draw, seconds_of
from bench.load_client import Plan, Seen, drive
from bench.report import count, emit, machine, median, percentile, positive, progress, table
from bench.server import Server, serving
from bench.turn import write_agent
from ruche.engine.cli.serve import run_loop

RULES = 10
QUIET_RATE, QUIET_PEOPLE = 50.0, 50
FLOOD_CONNECTIONS = 64
QUICK_S = 3.0
"""Of the first row with `--quick`: with it all rows, two starts and five floods end within 45 s."""
ROW = ("row", "rate", "turns", "turns_per_s", "errors", "p50_ms", "p95_ms", "p99_ms", "cpu_ms_per_turn",
       "rss_mib_start", "rss_mib_end", "first_segment_p95_ms", "stream_success", "auth_p99_ms", "late_p99_ms")


def write_agents(root: Path) -> Path:
    """The same agent for the tenants `default`, `quiet` and `loud`."""
    for name in ("bench10", "@quiet/bench10", "@loud/bench10"):
        write_agent(root / "agents" / name, RULES)
    return root / "agents"


@contextlib.contextmanager
def fresh_server(embedder: str = "hashing", **limits: Any) -> Iterator[Server]:
    """A server on a new data directory. Without `limits` nothing is limited by the minute."""
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        settings = {"models": {"embedder": embedder}, "limits": limits or {"requests_per_minute": 0}}
        with serving(root, write_agents(root), settings) as server:
            yield server


async def warmed(plan: Plan) -> None:
    await drive(replace(plan, rate=min(plan.rate, 100.0), seconds=1.0, sessions=20, streams=0.1, probes=()))


async def watched(server: Server, work: Any) -> tuple[Any, list[float]]:
    """The work's result, and the server's memory each second from its begin to its end."""
    memory = [server.rss_mib()]
    task = asyncio.ensure_future(work)
    while not task.done():
        await asyncio.wait((task,), timeout=1.0)
        memory.append(server.rss_mib())
    return await task, memory


async def measure(server: Server, name: str, plan: Plan) -> tuple[dict[str, Any], list[Second]]:
    """One row, and its curve by the second."""
    progress(f"{name}: {plan.rate:.0f}/s over {plan.sessions} sessions for {plan.seconds:.0f} s")
    probes = [server.token_for("default", "interlocutor", subject=f"probe-{n}") for n in range(int(20 * plan.seconds))]
    plan = replace(plan, probes=tuple(probes))
    await warmed(plan)
    cpu, wall = server.cpu_seconds(), time.perf_counter()
    seen, memory = await watched(server, drive(plan))
    cpu, wall = server.cpu_seconds() - cpu, time.perf_counter() - wall
    return {"row": name, "channel": plan.channel, "rate": plan.rate, **_figures(seen, cpu, wall),
            "rss_mib_start": memory[0], "rss_mib_half": memory[len(memory) // 2], "rss_mib_end": memory[-1],
            }, seconds_of(seen.answered, memory)


def _figures(seen: Seen, cpu: float, wall: float) -> dict[str, Any]:
    if not seen.answered:
        raise SystemExit(f"no request was answered: {dict(seen.faults)}")
    ms = [spent for _, spent in seen.answered]
    turns = len(ms) + seen.whole_streams
    return {"turns": turns, "turns_per_s": turns / wall,
            "errors": seen.faults.total() + seen.streams - seen.whole_streams, "faults": dict(seen.faults),
            "p50_ms": median(ms), "p95_ms": percentile(ms, 0.95), "p99_ms": percentile(ms, 0.99), "max_ms": max(ms),
            "cpu_ms_per_turn": 1000 * cpu / turns, "streams": seen.streams,
            "stream_success": seen.whole_streams / seen.streams if seen.streams else None,
            "first_segment_p95_ms": percentile(seen.first_text_ms, 0.95) if seen.first_text_ms else None,
            "auth_p99_ms": percentile(seen.probe_ms, 0.99) if seen.probe_ms else None,
            "late_p99_ms": percentile(seen.late_ms, 0.99)}


class Flood:
    """A third process that floods as the tenant `loud`, at a lower priority: its own CPU time is not the question."""

    def __init__(self, server: Server) -> None:
        self._plan = {"url": server.url, "token": server.token_for("loud", "channel"), "sessions": 1000, "rate": 0.0,
                      "connections": FLOOD_CONNECTIONS}
        self._process = subprocess.Popen(["nice", "-n", "10", sys.executable, "-m", "bench.load_client"], text=True,
                                         stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._line()

    def begin(self, seconds: float) -> None:
        stdin = self._process.stdin
        if stdin is not None:
            stdin.write(json.dumps({**self._plan, "seconds": seconds}) + "\n")
            stdin.flush()

    def counts(self) -> dict[str, int]:
        """By status, once it is over."""
        return dict(self._line())

    def close(self) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process.wait(30)

    def _line(self) -> Any:
        return json.loads(self._process.stdout.readline()) if self._process.stdout else {}


async def fairness(server: Server, seconds: float, runs: int = 5) -> dict[str, Any]:
    """A quiet tenant's p99 alone and beside a flooding tenant, in turns."""
    plan = Plan(url=server.url, token=server.token_for("quiet", "channel"), sessions=QUIET_PEOPLE, rate=QUIET_RATE,
                seconds=seconds)
    rows: list[dict[str, Any]] = []
    flood = Flood(server)
    await warmed(plan)
    for number in range(runs):
        progress(f"flood, run {number + 1} of {runs}")
        alone = await drive(replace(plan, seed=number))
        flood.begin(seconds + 0.5)
        beside = await drive(replace(plan, seed=number + 100))
        counts = await asyncio.to_thread(flood.counts)
        rows.append({"alone_p99_ms": _p99(alone), "flooded_p99_ms": _p99(beside),
                     "ratio": _p99(beside) / _p99(alone), "errors": beside.faults.total(), "loud": counts})
    flood.close()
    return {"quiet_tenant_p99_ratio": median([row["ratio"] for row in rows]), "runs": rows}


def _p99(seen: Seen) -> float:
    return percentile([ms for _, ms in seen.answered], 0.99)


async def run(sessions: int, rate: float, seconds: float, quick: bool) -> tuple[dict[str, Any], list[Second]]:
    """All rows. The curve is that of the first."""
    rows = []
    short = QUICK_S / 2 if quick else min(seconds, 20.0)
    with fresh_server() as server:
        plan = Plan(url=server.url, token=server.token, sessions=sessions, rate=rate, seconds=seconds, streams=0.05)
        first, curve = await measure(server, "api, hashing", plan)
        web = replace(plan, channel="web", rate=rate / 2, seconds=short)
        rows = [first, (await measure(server, "web, hashing", web))[0]]
        progress("a flooding tenant")
        fair = await fairness(server, QUICK_S / 6 if quick else 8.0)
    with fresh_server("minilm") as server:
        plan = replace(plan, url=server.url, token=server.token, rate=min(rate, 100.0), seconds=short)
        rows.append((await measure(server, "api, MiniLM", plan))[0])
    top = {name: value for name, value in first.items() if name not in ("row", "channel")}
    return {**top, "quiet_tenant_p99_ratio": fair["quiet_tenant_p99_ratio"], "rows": rows, "flood": fair["runs"]}, curve


def place() -> str:
    """Where a run took place, as a picture needs it."""
    about = machine()
    load = "" if about["load_1min"] is None else f"; 1-minute load {about['load_1min']:.1f} at the end"
    return f"Server and client on one machine with {about['cores']} cores, other work included{load}"


def render(result: dict[str, Any]) -> str:
    """The same for people."""
    rows = [[row[name] for name in ROW] for row in result["rows"]]
    flood = [[row["alone_p99_ms"], row["flooded_p99_ms"], row["ratio"], row["errors"], json.dumps(row["loud"])]
             for row in result["flood"]]
    return "\n\n".join([
        table("Under load over HTTP, from a second process", ROW, rows),
        table("A quiet tenant, alone and beside a flooding one", ("alone_p99_ms", "flooded_p99_ms", "ratio", "errors",
                                                                  "answers to the flood"), flood),
        f"quiet_tenant_p99_ratio (median): {result['quiet_tenant_p99_ratio']:.2f}"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=count, default=10_000)
    parser.add_argument("--rate", type=positive, default=500.0, help="requests a second")
    parser.add_argument("--seconds", type=positive, default=60.0)
    parser.add_argument("--svg", type=Path, help="draw latency and memory over time into this file")
    parser.add_argument("--quick", action="store_true", help="ends within 45 s")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    seconds = min(options.seconds, QUICK_S) if options.quick else options.seconds
    result, curve = run_loop(run(options.sessions, options.rate, seconds, options.quick))
    if options.svg:
        options.svg.write_text(draw(curve, options.rate, options.sessions, place()), encoding="utf-8")
    emit(result, render(result), as_json=options.json)


if __name__ == "__main__":
    main()
