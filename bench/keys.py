"""Many session keys, few in memory: each person says something once, and afterwards every session is read again.

In process, through `Engine.chat`, with durable and sealed storage on disk and a stub embedder. What the benchmark
itself remembers lies in a file, so that the memory shown is the engine's.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TextIO

from bench.report import count, emit, percentile, progress, table
from bench.turn import StubEmbedder, data_bytes, question, write_agent
from ruche.actors.system import calm_collector, quick_handover
from ruche.engine import Engine
from ruche.engine.cli.serve import run_loop
from ruche.engine.config import read_settings
from ruche.plugins.errors import RucheError

RULES = 10
AT_ONCE = 32
POINTS = 20
"""How often memory is looked at along the way."""
RUNS_OF = 100
"""Of every so many sessions the turn's run is read as well."""


def rss_mib() -> float:
    """Resident memory of this process; 0 where the system does not tell."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))


async def spread(work: Callable[[Any], Awaitable[None]], items: Iterable[Any]) -> None:
    """The work for every item, so many at once."""
    waiting = iter(items)

    async def walk() -> None:
        for item in waiting:
            await work(item)

    await asyncio.gather(*(walk() for _ in range(AT_ONCE)))


async def speak(engine: Engine, keys: int, said: TextIO) -> tuple[list[dict[str, float]], Counter[str]]:
    """One turn of each of `keys` people; a row of figures for each part of them."""
    rows, faults, waits = list[dict[str, float]](), Counter[str](), list[float]()

    async def say(person: int) -> None:
        begun = time.perf_counter()
        try:
            turn = await engine.chat(agent="bench", user=f"person-{person}", message=question(person, RULES))
        except RucheError as error:
            faults[error.code] += 1
            return
        waits.append(time.perf_counter() - begun)
        said.write(f"{turn.session_id} {turn.turn_id}\n")

    part = max(1, keys // POINTS)
    for start in range(0, keys, part):
        cpu, wall = time.process_time(), time.perf_counter()
        people = range(start, min(keys, start + part))
        await spread(say, people)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        active = engine.actors()["sessions"]["actors"]
        rows.append({"keys": people.stop, "rss_mib": rss_mib(), "active": active, "turns_per_s": len(people) / wall,
                     "cpu_ms_per_turn": 1000 * cpu / len(people), "p50_ms": 1000 * percentile(waits, 0.5),
                     "p99_ms": 1000 * percentile(waits, 0.99)})
        waits.clear()
        progress(f"{people.stop} of {keys}, {active} active, {rows[-1]['rss_mib']:.0f} MiB")
    return rows, faults


async def read_back(engine: Engine, said: TextIO) -> dict[str, Any]:
    """Every session by its id, and of some the run of its turn."""
    found, waits = Counter[str](), list[float]()

    async def read(place: tuple[int, str]) -> None:
        number, line = place
        session_id, turn_id = line.split()
        begun = time.perf_counter()
        try:
            state = await engine.session("default", session_id)
            found["sessions"] += state.id == session_id and state.turn_count == 1 and bool(state.history)
            if number % RUNS_OF == 0:
                found["runs"] += (await engine.run("default", turn_id)).session == session_id
                found["runs_asked"] += 1
        except RucheError as error:
            found[error.code] += 1
        if number % 10 == 0:
            waits.append(time.perf_counter() - begun)

    begun, cpu = time.perf_counter(), time.process_time()
    await spread(read, _numbered(said))
    wall, cpu = time.perf_counter() - begun, time.process_time() - cpu
    return {"readable": found["sessions"], "runs_readable": found["runs"], "runs_asked": found["runs_asked"],
            "reads_per_s": found["sessions"] / wall, "cpu_ms_per_read": 1000 * cpu / max(1, found["sessions"]),
            "read_p50_ms": 1000 * percentile(waits, 0.5), "read_p99_ms": 1000 * percentile(waits, 0.99)}


def _numbered(said: TextIO) -> Iterator[tuple[int, str]]:
    said.seek(0)
    yield from enumerate(said)


def grown(rows: list[dict[str, float]]) -> float:
    """MiB that memory grows for 100,000 more keys, from the middle to the end: the least-squares slope."""
    half = rows[len(rows) // 2:]
    if len(half) < 2:
        return 0.0
    keys, memory = [row["keys"] for row in half], [row["rss_mib"] for row in half]
    middle, level = sum(keys) / len(half), sum(memory) / len(half)
    above = sum((key - middle) * (one - level) for key, one in zip(keys, memory, strict=True))
    return 100_000 * above / sum((key - middle) ** 2 for key in keys)


async def run(keys: int, cap: int, directory: Path | None) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(dir=directory) as place, ExitStack() as quiet:
        root = Path(place)
        write_agent(root / "agents" / "bench", RULES)
        settings = read_settings(environment={}, limits={"active_sessions": cap, "requests_per_minute": 0})
        said = quiet.enter_context((root / "said.txt").open("w+"))
        async with Engine.open(root / "data", agents=root / "agents", settings=settings,
                               embedder=StubEmbedder()) as engine:
            quiet.enter_context(calm_collector())
            quiet.enter_context(quick_handover())
            first = rss_mib()
            rows, faults = await speak(engine, keys, said)
            progress("reading every one")
            back, size = await read_back(engine, said), data_bytes(engine)
            after = rss_mib()
        begun = time.perf_counter()
        async with Engine.open(root / "data", agents=root / "agents", settings=settings, embedder=StubEmbedder()):
            reopened = time.perf_counter() - begun
    return {"keys": keys, "cap": cap, "answered": keys - faults.total(), "faults": dict(faults), **back,
            "errors": faults.total() + keys - faults.total() - back["readable"],
            "most_active": max(row["active"] for row in rows), "rss_mib_start": first,
            "rss_mib_half": rows[len(rows) // 2]["rss_mib"], "rss_mib_end": rows[-1]["rss_mib"],
            "rss_mib_after_reading": after, "mib_per_100k_keys": grown(rows), "reopen_s": reopened,
            "bytes_per_key": size / keys, "rows": rows}


def render(result: dict[str, Any]) -> str:
    head = ("keys", "active", "rss_mib", "turns_per_s", "cpu_ms_per_turn", "p50_ms", "p99_ms")
    summed = [[name, value] for name, value in result.items() if name not in ("rows", "faults")]
    return "\n\n".join([table("Distinct session keys through a cap", head,
                              [[row[name] for name in head] for row in result["rows"]]),
                        table("Afterwards", ("what", "value"), summed)])


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.keys", description=__doc__)
    parser.add_argument("--keys", type=count, default=1_000_000)
    parser.add_argument("--cap", type=count, default=10_000)
    parser.add_argument("--directory", type=Path, help="where the data are kept meanwhile (some 10 GB for a million)")
    parser.add_argument("--quick", action="store_true", help="ends within 45 s: 5,000 keys, a cap of 500")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    keys, cap = (min(options.keys, 5_000), min(options.cap, 500)) if options.quick else (options.keys, options.cap)
    result = run_loop(run(keys, cap, options.directory))
    emit(result, render(result), as_json=options.json)
    if result["errors"]:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
