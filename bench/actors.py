"""Cost of actors: `python -m bench.actors [--actors N] [--quick] [--json] [--loop uvloop|asyncio]`.

Three kinds in one process, interleaved, medians of the rounds: this runtime (a Directory of coroutine actors),
`pykka.ThreadingActor`, and a bare asyncio task with a queue, which shows what the event loop itself costs.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

from bench.actor_kinds import Kind, Queues, Ruche, Threads
from bench.report import count
from ruche.actors.system import ActorSystem, calm_collector

KEYS = ("bytes_per_idle_actor", "ask_per_s", "ask_p50_us", "ask_p99_us", "tell_per_s", "directory_warm_p50_us",
        "directory_cold_p50_us", "gc_pause_ms", "gc_pause_cpu_ms")


class Pauses:
    """Longest pause of the garbage collector while in force, in ms: by the clock, and what it computed itself, without
    what other processes took of the core meanwhile."""

    def __enter__(self) -> Pauses:
        self.longest = self.computed = self._begun = self._cpu = 0.0
        gc.callbacks.append(self._note)
        return self

    def __exit__(self, *_: object) -> None:
        gc.callbacks.remove(self._note)

    def _note(self, phase: str, _: dict[str, int]) -> None:
        now, cpu = time.perf_counter(), time.thread_time()
        if phase == "start":
            self._begun, self._cpu = now, cpu
        else:
            self.longest = max(self.longest, (now - self._begun) * 1000)
            self.computed = max(self.computed, (cpu - self._cpu) * 1000)


def resident() -> int:
    """Resident bytes of this process; 0 where the system does not tell."""
    statm = Path("/proc/self/statm")
    return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") if statm.exists() else 0


async def idle(kind: Kind, count: int) -> dict[str, float]:
    """Resident bytes of an actor that has answered once and waits; spawns a second; longest collector pause."""
    before, begun = resident(), time.perf_counter()
    with Pauses() as pauses:
        for number in range(count):
            kind.make(f"idle:{number}")
            if number % 1000 == 999:
                await asyncio.sleep(0)
        made = time.perf_counter() - begun
        for number in range(count):
            await kind.ask(f"idle:{number}", number)
    return {"bytes_per_idle_actor": round((resident() - before) / count), "spawn_per_s": round(count / made),
            "gc_pause_ms": round(pauses.longest, 2), "gc_pause_cpu_ms": round(pauses.computed, 2)}


async def timed(ask: Callable[[str, Any], Awaitable[Any]], keys: list[str], count: int) -> list[float]:
    """Microseconds of each of `count` questions, one after the other, over the keys in turn."""
    times = []
    for number in range(count):
        begun = time.perf_counter()
        await ask(keys[number % len(keys)], number)
        times.append((time.perf_counter() - begun) * 1e6)
    return times


async def questions(kind: Kind, actors: int, count: int) -> dict[str, float]:
    keys = [f"ask:{number}" for number in range(actors)]
    await timed(kind.ask, keys, actors)
    begun, cpu = time.perf_counter(), time.process_time()
    times = sorted(await timed(kind.ask, keys, count))
    elapsed, cpu = time.perf_counter() - begun, time.process_time() - cpu
    return {"ask_per_s": round(count / elapsed), "ask_p50_us": round(times[count // 2], 1),
            "ask_p99_us": round(times[count * 99 // 100], 1), "ask_cpu_us": round(cpu / count * 1e6, 1)}


async def announcements(kind: Kind, count: int) -> dict[str, float]:
    await kind.ask("tell", 0)
    begun = time.perf_counter()
    for number in range(count):
        kind.tell("tell", number)
    await kind.ask("tell", 0)
    return {"tell_per_s": round(count / (time.perf_counter() - begun))}


async def keyed(kind: Kind, count: int) -> dict[str, float]:
    """First question to a key that is not in memory, and a further one."""
    cold = await timed(kind.ask, [f"key:{number}" for number in range(count)], count)
    warm = await timed(kind.ask, ["key:0"], count * 4)
    return {"directory_cold_p50_us": round(statistics.median(cold), 1),
            "directory_warm_p50_us": round(statistics.median(warm), 1)}


async def rounds(kinds: dict[str, Kind], count: int, repeat: int) -> dict[str, dict[str, float]]:
    """Medians over interleaved rounds, by kind."""
    seen: dict[str, list[dict[str, float]]] = {name: [] for name in kinds}
    for _ in range(repeat):
        for name, kind in kinds.items():
            threads = isinstance(kind, Threads)
            row = await questions(kind, 1, count // 4 if threads else count)
            row |= await announcements(kind, count)
            row |= await keyed(kind, 200 if threads else count // 10)
            await kind.clear()
            seen[name].append(row)
    return {name: {key: statistics.median(row[key] for row in rows) for key in rows[0]} for name, rows in seen.items()}


async def crowds(kinds: dict[str, Kind], count: int) -> list[dict[str, Any]]:
    """Latency with 1, 1,000 and 10,000 actors asked in turn; threads stop at 1,000."""
    rows = []
    for actors in (1, 1_000, 10_000):
        for name, kind in kinds.items():
            if not isinstance(kind, Threads) or actors <= 1_000:
                rows.append({"actors": actors, "kind": name, **await questions(kind, actors, max(count, actors))})
                await kind.clear()
    return rows


async def stream(count: int, cap: int) -> dict[str, float]:
    """New keys without end through a directory of `cap`: CPU us a key (activate, answer, passivate), and evictions."""
    kind = Ruche(cap)
    cpu = time.process_time()
    begun = time.perf_counter()
    for number in range(count):
        await kind.ask(f"stream:{number}", number)
    elapsed, passivated = time.perf_counter() - begun, kind.directory.stats["passivated"]
    row = {"keys": count, "cap": cap, "cpu_us_per_key": round((time.process_time() - cpu) / count * 1e6, 1),
           "passivated": passivated, "passivations_per_s": round(passivated / elapsed),
           "most_held": len(kind.directory)}
    await kind.clear()
    return row


async def measure(actors: int, quick: bool) -> dict[str, Any]:
    count, repeat = (8_000, 3) if quick else (40_000, 5)
    with calm_collector():
        async with ActorSystem(grace=60):
            return await _measure(actors, count, repeat)


async def _measure(actors: int, count: int, repeat: int) -> dict[str, Any]:
    kinds: dict[str, Kind] = {"ruche": Ruche(), "thread_actor": Threads(), "bare_queue": Queues()}
    table = {name: await idle(kind, size) for (name, kind), size in
             zip(kinds.items(), (actors, min(actors, 1_000), min(actors, 20_000)), strict=True)}
    for kind in kinds.values():
        await kind.clear()
    small = await idle(kinds["ruche"], min(actors, 10_000))
    await kinds["ruche"].clear()
    for name, row in (await rounds(kinds, count, repeat)).items():
        table[name] |= row
    crowd = await crowds(kinds, count // 2)
    streamed = await stream(count * 5, 10_000)
    ruche = table.pop("ruche")
    return {**ruche, **table, "actors": actors, "spawn_per_s_10k": small["spawn_per_s"], "crowd": crowd,
            "stream": streamed, "loop": type(asyncio.get_running_loop()).__module__,
            "python": sys.version.split()[0]}


def show(result: dict[str, Any]) -> None:
    """The table for people."""
    names = ["ruche", "thread_actor", "bare_queue"]
    rows = {"ruche": result, **{name: result[name] for name in names[1:]}}
    print(f"{'':26}" + "".join(f"{name:>16}" for name in names))
    for key in (*KEYS, "spawn_per_s", "ask_cpu_us"):
        print(f"{key:26}" + "".join(f"{rows[name][key]:>16,}" for name in names))
    for row in result["crowd"]:
        print(f"{row['actors']:>6,} actors, {row['kind']:12} p50 {row['ask_p50_us']:>7} us   "
              f"p99 {row['ask_p99_us']:>8} us   {row['ask_per_s']:>9,} asks/s")
    streamed = result["stream"]
    print(f"{streamed['keys']:,} keys through a cap of {streamed['cap']:,}: {streamed['cpu_us_per_key']} us CPU a key, "
          f"{streamed['passivations_per_s']:,} passivations/s, {streamed['most_held']:,} held")
    print(f"{result['actors']:,} idle actors (threads 1,000, queues 20,000); {result['loop']}, {result['python']}")


def run(main: Coroutine[Any, Any, dict[str, Any]], loop: str) -> dict[str, Any]:
    if loop == "uvloop":
        import uvloop
        return uvloop.run(main)
    return asyncio.run(main)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.actors", description=__doc__)
    parser.add_argument("--actors", type=count, default=100_000, help="idle actors to hold (100,000)")
    parser.add_argument("--quick", action="store_true", help="fewer repetitions; under 45 s")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of the table")
    parser.add_argument("--loop", choices=["uvloop", "asyncio"],
                        default="asyncio" if sys.platform == "win32" else "uvloop")
    return parser.parse_args()


if __name__ == "__main__":
    chosen = arguments()
    measured = run(measure(chosen.actors, chosen.quick), chosen.loop)
    print(json.dumps(measured)) if chosen.json else show(measured)
