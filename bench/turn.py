"""CPU and latency of one turn through `Engine.chat`, in process, with durable and sealed storage on disk.

The embedder and the model cost nothing (a stub), so that the figures are the engine's own. Event loop, garbage
collector and threads are set as `ruche serve` sets them.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sqlite3
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from bench.report import counts, emit, median, percentile, positive, progress, table
from bench.rules import check_s, enforcement_ms
from ruche.actors.system import calm_collector, quick_handover
from ruche.engine import Engine
from ruche.engine.cli.serve import run_loop
from ruche.plugins.contracts import Vectors

TOPICS = ("parcel", "invoice", "refund", "opening hours", "delivery", "warranty", "password", "appointment",
          "subscription", "voucher", "repair", "address", "newsletter", "exchange", "complaint", "loyalty card")
ACTIONS = ("track", "change", "cancel", "find", "renew", "return", "pay", "print", "forward", "explain")


class StubEmbedder:
    """Unit vectors that cost a dictionary look-up: what remains is the engine."""

    name = "stub"
    dimensions = 64
    rule_threshold = 0.3
    immediate = True

    def __init__(self) -> None:
        self._known: dict[str, np.ndarray[Any, np.dtype[np.float32]]] = {}

    def encode(self, texts: Sequence[str]) -> Vectors:
        return np.stack([self._vector(text) for text in texts])

    def _vector(self, text: str) -> np.ndarray[Any, np.dtype[np.float32]]:
        if text not in self._known:
            random = np.random.default_rng(sum(text.encode()) + len(text))
            vector = random.standard_normal(self.dimensions).astype(np.float32)
            self._known[text] = vector / np.linalg.norm(vector)
        return self._known[text]


def write_agent(folder: Path, rules: int) -> None:
    """An agent of `rules` rules, one of them hard, with a template for a fallback."""
    folder.mkdir(parents=True)
    (folder / "agent.yaml").write_text("name: Bench\nunmatched: I do not know that.\n")
    lines = []
    for i in range(rules):
        action, topic = ACTIONS[i % len(ACTIONS)], TOPICS[(i // len(ACTIONS)) % len(TOPICS)]
        lines.append(f"- id: r{i}\n  if: the customer wants to {action} the {topic} number {i}\n"
                     f"  then: Tell the customer how to {action} the {topic}, case {i}.")
    lines.append("- id: cap\n  if: a refund is promised\n  then: Never promise more than 50.\n  hard: true\n"
                 "  enforce: reply.amount <= 50\n")
    (folder / "rules.yaml").write_text("\n".join(lines))
    (folder / "templates.yaml").write_text("- id: sorry\n  text: I cannot promise that.\n  mode: FALLBACK\n")


def question(number: int, rules: int) -> str:
    i = number * 7 % rules
    return (f"I want to {ACTIONS[i % len(ACTIONS)]} the {TOPICS[(i // len(ACTIONS)) % len(TOPICS)]} number {i}")


async def measure(engine: Engine, agent: str, rules: int, sessions: int, seconds: float) -> dict[str, Any]:
    """One row: turns of `sessions` concurrent conversations for `seconds`."""
    latencies: list[float] = []
    model_calls = 0
    end = time.perf_counter() + seconds

    async def converse(name: int) -> None:
        nonlocal model_calls
        number = name
        while time.perf_counter() < end:
            begun = time.perf_counter()
            turn = await engine.chat(agent=agent, user=f"user-{sessions}-{name}", message=question(number, rules))
            latencies.append(time.perf_counter() - begun)
            model_calls += turn.usage.model_calls
            number += 1

    await engine.chat(agent=agent, user="warm", message=question(0, rules))
    bytes_before, cpu, wall = data_bytes(engine), time.process_time(), time.perf_counter()
    await asyncio.gather(*(converse(name) for name in range(sessions)))
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    turns = len(latencies)
    return {"rules": rules, "sessions": sessions, "turns": turns, "cpu_ms_per_turn": 1000 * cpu / turns,
            "p50_ms": 1000 * median(latencies), "p95_ms": 1000 * percentile(latencies, 0.95),
            "turns_per_s": turns / wall, "model_calls_per_turn": model_calls / turns,
            "bytes_per_turn": max(0, data_bytes(engine) - bytes_before) / turns}


async def growth(engine: Engine, agent: str, rules: int, repeats: int, last: int) -> list[dict[str, Any]]:
    """CPU of single turns along one conversation; the median over `repeats` conversations and the 5 turns before."""
    spent: dict[int, list[float]] = {}
    for repeat in range(repeats):
        for number in range(1, last + 1):
            begun = time.process_time()
            await engine.chat(agent=agent, user=f"long-{repeat}", message=question(number, rules))
            spent.setdefault(number, []).append(time.process_time() - begun)
    rows = []
    for at in (1, 10, 30, 100, 300):
        if at <= last:
            near = [value for number in range(at - 4 if at > 5 else at, at + 1) for value in spent[number]]
            rows.append({"turn": at, "cpu_ms": 1000 * median(near)})
    return rows


def data_bytes(engine: Engine) -> int:
    return sum(path.stat().st_size for path in engine.settings.data.rglob("*") if path.is_file())


def yardsticks(folder: Path, rounds: int = 300) -> dict[str, float]:
    """What this disk and this processor do in the same run: an 8 KB append with a sync, and a sqlite3 commit."""
    block, appends, commits = os.urandom(8192), [], []
    with (folder / "append.bin").open("ab", buffering=0) as file:
        for _ in range(rounds):
            begun = time.perf_counter()
            file.write(block)
            getattr(os, "fdatasync", os.fsync)(file.fileno())
            appends.append(time.perf_counter() - begun)
    database = sqlite3.connect(folder / "yard.sqlite", isolation_level=None)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("PRAGMA synchronous=FULL")
    database.execute("CREATE TABLE t (k INTEGER PRIMARY KEY, v BLOB)")
    cpu = time.process_time()
    for _ in range(rounds):
        begun = time.perf_counter()
        database.execute("INSERT INTO t (v) VALUES (?)", (block,))
        commits.append(time.perf_counter() - begun)
    cpu = (time.process_time() - cpu) / rounds
    database.close()
    return {"append_8k_p50_ms": 1000 * median(appends), "sqlite_commit_8k_p50_ms": 1000 * median(commits),
            "sqlite_commit_8k_cpu_ms": 1000 * cpu}


async def run(rule_counts: list[int], session_counts: list[int], seconds: float, last: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as place, ExitStack() as quiet:
        root = Path(place)
        for rules in rule_counts:
            write_agent(root / "agents" / f"bench{rules}", rules)
        yard = yardsticks(root)
        rows = []
        async with Engine.open(root / "data", agents=root / "agents", embedder=StubEmbedder()) as engine:
            quiet.enter_context(calm_collector())
            quiet.enter_context(quick_handover())
            for sessions in session_counts:
                for rules in rule_counts:
                    progress(f"{rules} rules, {sessions} sessions")
                    rows.append(await measure(engine, f"bench{rules}", rules, sessions, seconds))
            progress("growth over one conversation")
            grown = await growth(engine, f"bench{rule_counts[0]}", rule_counts[0], 3, last)
    return {"rows": rows, "growth": grown, "yardsticks": yard}


def render(result: dict[str, Any]) -> str:
    head = ("rules", "sessions", "turns", "cpu_ms_per_turn", "p50_ms", "p95_ms", "turns_per_s",
            "model_calls_per_turn", "bytes_per_turn")
    rows = [[row[key] for key in head] for row in result["rows"]]
    grown = [[row["turn"], row["cpu_ms"]] for row in result["growth"]]
    yard = [[name, value] for name, value in result["yardsticks"].items()]
    rules = [["50 expressions on one draft, ms", result["enforcement_50_ms"]],
             ["author's check of 1,000 rules, s", result["check_1000_s"]]]
    return "\n\n".join([table("One turn through Engine.chat (stub embedder, no model, channel api)", head, rows),
                        table("Growth over one conversation", ("turn", "cpu_ms"), grown),
                        table("CPU of an agent's rules", ("what", "cpu"), rules),
                        table("Yardsticks of the same run", ("what", "ms"), yard)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rules", type=counts, default=[10, 100, 1000])
    parser.add_argument("--sessions", type=counts, default=[1, 32])
    parser.add_argument("--seconds", type=positive, default=8.0, help="of each row")
    parser.add_argument("--quick", action="store_true", help="ends within 45 s")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    seconds = 2.0 if options.quick else options.seconds
    result = run_loop(run(options.rules, options.sessions, seconds, 300))
    progress("expressions and the author's check")
    result |= {"enforcement_50_ms": enforcement_ms(), "check_1000_s": check_s(write_agent)}
    emit(result, render(result), as_json=options.json)


if __name__ == "__main__":
    main()
