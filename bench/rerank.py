"""Latency of the reranker through the engine's own service: budget, breaker and thread included.

Without `--model` a TinyBERT-L2-H128 of random weights is made on the spot; its speed is the real one's.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.report import emit, percentile, progress, table
from bench.tinybert import write_folder
from ruche.actors.reranker import Reranking
from ruche.actors.system import ActorSystem
from ruche.plugins.breaker import Breaker
from ruche.plugins.rerankers.cross import CrossEncoder

QUESTION_WORDS = 8


def texts(candidates: int, tokens: int, seed: int) -> tuple[str, list[str]]:
    """A question and passages that together with it and three special tokens have `tokens` tokens (made-up words)."""
    source = random.Random(seed)
    words = max(1, tokens - QUESTION_WORDS - 3)
    return _words(source, QUESTION_WORDS), [_words(source, words) for _ in range(candidates)]


def _words(source: random.Random, count: int) -> str:
    return " ".join(f"word{source.randrange(30_000)}" for _ in range(count))


async def one_by_one(reranking: Reranking, options: argparse.Namespace) -> dict[str, Any]:
    """Closed loop: the next request when the last is answered."""
    times, cpu = [], time.process_time()
    for number in range(options.requests):
        query, passages = texts(options.candidates, options.tokens, number)
        started = time.perf_counter()
        await reranking.rerank(query, passages)
        times.append(1000.0 * (time.perf_counter() - started))
    cpu = 1000.0 * (time.process_time() - cpu) / len(times)
    return {"p50_ms": percentile(times, 0.5), "p95_ms": percentile(times, 0.95), "p99_ms": percentile(times, 0.99),
            "cpu_ms": cpu}


async def open_loop(reranking: Reranking, options: argparse.Namespace) -> dict[str, Any]:
    """Requests arrive at their own times (Poisson), whether or not the last one is answered."""
    source, late, tasks = random.Random(3), 0, []
    loop = asyncio.get_running_loop()
    due = started = loop.time()
    for number in range(options.open_requests):
        due += source.expovariate(options.rate / 60.0)
        await asyncio.sleep(max(0.0, due - loop.time()))
        query, passages = texts(options.candidates, options.tokens, number)
        tasks.append(asyncio.create_task(_timed(reranking, query, passages)))
    times = await asyncio.gather(*tasks)
    late = sum(1 for ms in times if ms > 250.0)
    return {"queries_per_min_open_loop": 60.0 * len(times) / (loop.time() - started), "over_budget": late,
            "open_loop_p95_ms": percentile(times, 0.95)}


async def _timed(reranking: Reranking, query: str, passages: Sequence[str]) -> float:
    started = time.perf_counter()
    await reranking.rerank(query, passages)
    return 1000.0 * (time.perf_counter() - started)


async def measure(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    started = time.perf_counter()
    model = CrossEncoder(folder, device=options.device, threads=options.threads)
    loaded = time.perf_counter() - started
    async with ActorSystem() as system:
        breaker = Breaker()
        reranking = Reranking(model, breaker=breaker, system=system)
        await reranking.rerank(*texts(options.candidates, options.tokens, 0))
        progress(f"{options.requests} requests one by one on {model.provider}")
        closed = await one_by_one(reranking, options)
        progress(f"{options.open_requests} requests at {options.rate:g} a minute")
        opened = await open_loop(reranking, options)
        return {"provider": model.provider, "load_s": loaded, **closed, **opened, "breaker_trips": breaker.trips,
                "outcomes": dict(reranking.outcomes), "candidates": options.candidates, "tokens": options.tokens}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, help="a cross-encoder folder: model.onnx and tokenizer.json")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda", "auto"))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--candidates", type=int, default=24)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--rate", type=float, default=600.0, help="requests a minute in the open loop")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    options.requests = 100 if options.quick else 500
    options.open_requests = 60 if options.quick else 400
    with tempfile.TemporaryDirectory() as made:
        folder = options.model or write_folder(Path(made) / "tinybert")
        result = asyncio.run(measure(folder, options))
    rows = [(name, value) for name, value in result.items() if name != "outcomes"]
    emit(result, table("reranking", ("what", "value"), rows), as_json=options.json)


if __name__ == "__main__":
    main()
