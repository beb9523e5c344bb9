"""How long an agent of many rules takes to be published, and one message to be encoded and matched, as in a turn.

python -m bench.match [--rules 1000] [--examples 10] [--messages 300] [--embedder auto] [--several] [--json] [--quick]

The rules are made up of everyday words, so that nothing but the program is needed. Messages are new ones: no vector is
remembered. Publishing counts what `ruche publish` does in memory: the agent compiled, its texts encoded on two threads,
its heads fitted; a bar tells how far it is. Wall time; CPU time is that of the whole process.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import time
from collections.abc import Sequence
from typing import Any

import click

from bench.report import emit, percentile, progress, table
from ruche.actors.retriever import Retriever
from ruche.actors.system import ActorSystem
from ruche.engine.brain.compiled import CompiledAgent
from ruche.engine.config import ModelSettings
from ruche.plugins.contracts import Embedder
from ruche.plugins.embedders import open_embedder
from ruche.plugins.installed import Installed
from ruche.storage.model.bundle import AgentBundle

THINGS = ("parcel", "invoice", "garden", "ticket", "garage", "password", "window", "coat", "battery", "bicycle",
          "kitchen", "mirror", "ladder", "printer", "blanket", "camera", "passport", "heater", "elevator", "contract")
DEEDS = ("return", "repair", "book", "cancel", "extend", "move", "lend", "share", "measure", "replace", "insure",
         "paint")
WHEN = ("today", "next week", "before noon", "on Sunday", "after the holidays", "at night", "in winter", "again")
MANNERS = ("how do I {} the {} {}", "I want to {} my {} {}", "is it possible to {} a {} {}", "please {} this {} {}",
           "we tried to {} our {} {}", "who can {} the old {} {}", "any chance to {} her {} {}",
           "you were going to {} his {} {}", "what if I {} that {} {}", "it was a mistake to {} one {} {}")
LANES = 2
"""Threads that encode, as in `ruche publish`."""


def agent(rules: int, examples: int, several: bool, seed: int) -> AgentBundle:
    """An agent whose rules differ in at least one word."""
    chance = random.Random(seed)
    kinds = [(deed, thing, when) for deed in DEEDS for thing in THINGS for when in WHEN]
    chosen = chance.sample(kinds, rules)
    return AgentBundle.model_validate({
        "id": "measured", "agent": {"name": "Measured", "several_rules": several or None}, "rules": [
            {"id": f"rule-{number}", "if": "the user wants to {} the {} {}".format(*kind), "then": "so",
             "examples": [manner.format(*kind) for manner in chance.sample(MANNERS, examples)]}
            for number, kind in enumerate(chosen)]})


def messages(count: int, seed: int) -> list[str]:
    """All different, of 8 to 16 words."""
    chance = random.Random(seed)
    return [f"{chance.choice(MANNERS).format(chance.choice(DEEDS), chance.choice(THINGS), chance.choice(WHEN))} "
            f"because number {number} {chance.choice(('is broken', 'came too late', 'was not mine'))}"
            for number in range(count)]


async def measure(embedder: Embedder, options: argparse.Namespace) -> dict[str, Any]:
    bundle = agent(options.rules, options.examples, options.several, options.seed)
    async with ActorSystem() as system:
        retriever = Retriever(embedder, system, lanes=LANES)
        published = await _published(retriever, bundle)
        progress(f"{options.rules} rules of {options.examples} examples published in {published['publish_s']} s")
        await _asked(retriever, messages(20, options.seed + 1))
        texts = messages(options.messages, options.seed)
        cpu = time.process_time()
        whole = await _asked(retriever, texts)
        cpu = time.process_time() - cpu
        alone = await _encoded(retriever, messages(options.messages, options.seed + 2))
    return {"embedder": embedder.name, "rules": options.rules, "examples": options.examples, "n": len(texts),
            **published, "p50_ms": _ms(whole, 0.5), "p95_ms": _ms(whole, 0.95),
            "p99_ms": _ms(whole, 0.99), "cpu_ms": round(1_000 * cpu / len(texts), 3),
            "encode_p50_ms": _ms(alone, 0.5), "encode_p95_ms": _ms(alone, 0.95)}


async def _published(retriever: Retriever, bundle: AgentBundle) -> dict[str, Any]:
    began, cpu, size = time.perf_counter(), time.process_time(), 0
    CompiledAgent(bundle, 1, Installed().enforcers)
    with click.progressbar(length=1, label="publishing", file=sys.stderr, hidden=not sys.stderr.isatty()) as bar:
        def told(done: int, total: int) -> None:
            bar.length = total
            bar.update(done - bar.pos)

        size = len(await retriever.prepare(bundle, 1, told))
    return {"publish_s": round(time.perf_counter() - began, 2), "publish_cpu_s": round(time.process_time() - cpu, 2),
            "heads_kib": round(size / 1024)}


async def _asked(retriever: Retriever, texts: Sequence[str]) -> list[float]:
    times = []
    for text in texts:
        began = time.perf_counter()
        await retriever.retrieve("default", "measured", 1, text)
        times.append(time.perf_counter() - began)
    return times


async def _encoded(retriever: Retriever, texts: Sequence[str]) -> list[float]:
    times = []
    for text in texts:
        began = time.perf_counter()
        await retriever.encode([text])
        times.append(time.perf_counter() - began)
    return times


def _ms(times: Sequence[float], share: float) -> float:
    return round(1_000 * percentile(times, share), 3)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.match", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rules", type=int, default=1_000)
    parser.add_argument("--examples", type=int, default=10, choices=range(len(MANNERS) + 1))
    parser.add_argument("--messages", type=int, default=300)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--several", action="store_true", help="let several rules fire together")
    parser.add_argument("--embedder", default="auto", choices=("auto", "minilm", "hashing"))
    parser.add_argument("--quick", action="store_true", help="the hashing embedder")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    if options.rules > len(DEEDS) * len(THINGS) * len(WHEN):
        parser.error(f"at most {len(DEEDS) * len(THINGS) * len(WHEN)} rules can be told apart")
    embedder, notice = open_embedder(ModelSettings(embedder="hashing" if options.quick else options.embedder))
    if notice:
        progress(notice)
    result = asyncio.run(measure(embedder, options))
    emit(result, table("Encode and match one message", ("what", "value"), list(result.items())), as_json=options.json)


if __name__ == "__main__":
    main()
