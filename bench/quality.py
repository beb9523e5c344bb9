"""How right the engine is, on any folder of a known format; each suite is a file of `bench/suites/`.

Nothing is tuned on the rows that are asked.
"""

from __future__ import annotations

import argparse
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from bench.report import emit, measured, percentile, progress, table
from bench.suites import (
    constraints,
    documents,
    fields,
    injection,
    journeys,
    many,
    matching,
    memory,
    pii,
    rules,
    scenario,
)
from bench.suites.asking import Asking
from bench.suites.scripted import MODELS
from ruche.actors.retriever import Retriever
from ruche.actors.system import ActorSystem
from ruche.engine.config import ModelSettings
from ruche.plugins.embedders import open_embedder

Suite = Callable[[Asking, Path, Path | None, int | None, int], Awaitable[dict[str, Any]]]
"""(asking, folder, folder to learn from, limit, seed) to metrics, with `n` and, where there is something to say,
`notes` (lines that explain the figures) among them."""
SUITES: dict[str, Suite] = {
    "rules": rules.run,
    "many": many.run,
    "documents": documents.run,
    "injection": injection.run,
    "memory": memory.run,
    "constraints": constraints.run,
    "pii": pii.run,
    "scenario": scenario.run,
    "fields": fields.run,
    "matching": matching.run,
    "journeys": journeys.run,
}


async def measure(options: argparse.Namespace) -> dict[str, Any]:
    embedder, notice = open_embedder(ModelSettings(embedder=options.embedder))
    if notice:
        progress(notice)
    async with ActorSystem() as system:
        asking = Asking(Retriever(embedder, system), model=options.model)
        metrics = await SUITES[options.suite](asking, options.data, options.train, options.limit, options.seed)
    answer = {"suite": options.suite, "n": metrics.pop("n"), "notes": metrics.pop("notes", []), "metrics": metrics}
    if options.model != "none":
        answer["model"] = options.model
    return {**answer, "embedder": embedder.name, "ms_per_query_p50": round(percentile(asking.times or [0.0], 0.5), 3)}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("suite", choices=sorted(SUITES))
    parser.add_argument("--data", type=Path, required=True, help="the folder with the rows to ask")
    parser.add_argument("--train", type=Path, help="another folder to learn from")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--model", choices=MODELS, default="none",
                        help="for matching and journeys: a scripted model behind a real endpoint, one that knows the "
                             "labels or one that answers wrongly on purpose")
    chosen = parser.parse_known_args(arguments)[0]
    if chosen.model != "none" and chosen.suite not in ("matching", "journeys"):
        parser.error(f"no scripted model knows the labels of {chosen.suite}; --model goes with matching and journeys")
    options, result = measured(parser, arguments, measure, quick=200, rows="rows")
    shown = [*result["metrics"].items(), ("n", result["n"]), ("ms_per_query_p50", result["ms_per_query_p50"])]
    said = "" if options.model == "none" else f" and a {options.model} model"
    text = table(f"{options.suite} with {result['embedder']}{said}", ("metric", "value"), shown)
    emit(result, "\n".join([text, *result["notes"]]), as_json=options.json)


if __name__ == "__main__":
    main()
