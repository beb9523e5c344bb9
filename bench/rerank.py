"""Latency of the reranker through the engine's own service: budget, breaker and thread included.

python -m bench.rerank [--model DIR] [--device cpu|cuda|auto] [--candidates 24] [--tokens 64] [--bound] [--quick]

Without `--model` a TinyBERT-L2-H128 of random weights is made on the spot; its speed is the real one's. With
`--device cuda` (or `--provider cuda`) nothing is measured unless the session's first provider is CUDA. Where tensors
stay with the model (on a GPU, or with `--bound`), `parity` is the largest difference of a score from a free run on the
CPU, and `sessions` shows how requests that wait share a batch.
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
from ruche.engine.config import ModelSettings
from ruche.plugins.breaker import Breaker
from ruche.plugins.errors import ConfigurationError
from ruche.plugins.inference import CUDA
from ruche.plugins.rerankers.bound import LENGTHS
from ruche.plugins.rerankers.cross import CrossEncoder

QUESTION_WORDS = 8
SESSIONS = 4


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


async def by_tokens(reranking: Reranking, options: argparse.Namespace) -> list[dict[str, Any]]:
    """The closed loop for the other lengths for which shapes are kept."""
    rows = []
    for tokens in LENGTHS:
        if tokens != options.tokens:
            other = argparse.Namespace(candidates=options.candidates, tokens=tokens, requests=options.requests // 5)
            rows.append({"tokens": tokens, **await one_by_one(reranking, other)})
    return rows


async def together(reranking: Reranking, options: argparse.Namespace) -> dict[str, Any]:
    """So many sessions at once, each asking again when it is answered."""
    times: list[float] = []

    async def session(first: int) -> None:
        for number in range(options.requests // 10):
            times.append(await _timed(reranking, *texts(options.candidates, options.tokens, first + number)))

    started = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for number in range(SESSIONS):
            group.create_task(session(number * 10_000))
    return {"sessions": SESSIONS, "p50_ms": percentile(times, 0.5), "p95_ms": percentile(times, 0.95),
            "requests_per_s": len(times) / (time.perf_counter() - started)}


def parity(folder: Path, model: CrossEncoder, options: argparse.Namespace) -> float:
    """The largest difference of a score from the same folder's on the CPU, each shape as it comes."""
    plain = CrossEncoder(folder, device="cpu", bound=False)
    jobs = [texts(options.candidates, tokens, tokens) for tokens in (*LENGTHS, options.tokens)]
    return max(abs(one - other) for query, passages in jobs
               for one, other in zip(model.score(query, passages), plain.score(query, passages), strict=True))


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
    model = CrossEncoder(folder, device=options.device, threads=options.threads, bound=options.bound or None)
    loaded = time.perf_counter() - started
    if options.device == "cuda" and model.provider != CUDA:
        raise ConfigurationError(f"the session runs on {model.provider}")
    async with ActorSystem() as system:
        breaker = Breaker()
        reranking = Reranking(model, breaker=breaker, system=system)
        await reranking.rerank(*texts(options.candidates, options.tokens, 0))
        progress(f"{options.requests} requests one by one on {model.provider}")
        closed = await one_by_one(reranking, options)
        progress(f"{options.open_requests} requests at {options.rate:g} a minute")
        opened = await open_loop(reranking, options)
        more = {"lengths": await by_tokens(reranking, options), "together": await together(reranking, options)}
        return {"provider": model.provider, "bound": model.batches, "load_s": loaded, **closed, **opened,
                "breaker_trips": breaker.trips, "outcomes": dict(reranking.outcomes), "candidates": options.candidates,
                "tokens": options.tokens, "parity": parity(folder, model, options), **more}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="a cross-encoder folder: model.onnx and tokenizer.json")
    parser.add_argument("--device", "--provider", default="cpu", choices=("cpu", "cuda", "auto"))
    parser.add_argument("--bound", action="store_true", help="keep tensors of fixed shapes, as on a GPU")
    parser.add_argument("--threads", type=int, default=ModelSettings().reranker_threads)
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
        try:
            result = asyncio.run(measure(folder, options))
        except ConfigurationError as error:
            parser.error(error.message)
    rows = [(name, value) for name, value in result.items() if not isinstance(value, dict | list)]
    rows += [(f"{one['tokens']} tokens, p50 / p95 ms", f"{one['p50_ms']:.2f} / {one['p95_ms']:.2f}")
             for one in result["lengths"]]
    rows += [(f"together: {name}", value) for name, value in result["together"].items()]
    emit(result, table("reranking", ("what", "value"), rows), as_json=options.json)


if __name__ == "__main__":
    main()
