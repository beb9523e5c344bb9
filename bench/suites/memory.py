"""Long conversations: how much of the evidence for a question is among the first 5 and 10 utterances recalled.

Reads `conversations.jsonl` and `questions.jsonl`; each conversation is a memory of its own.
"""

from __future__ import annotations

import json
import math
import re
import time
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from bench.report import progress
from bench.suites.asking import TENANT, Asking, sampled
from ruche.actors.memory import Memories
from ruche.plugins.contracts import Asked
from ruche.plugins.errors import ConfigurationError
from ruche.storage.index.cues import MONTHS
from ruche.storage.model.memory import Utterance

DEPTHS = (5, 10)
_DATE = re.compile(r"(\d{1,2})(?:st|nd|rd|th)?\s+([A-Za-z]{3,9})\.?,?\s+(\d{4})")
_DATE_MONTH_FIRST = re.compile(r"([A-Za-z]{3,9})\.?\s+(\d{1,2})(?:st|nd|rd|th)?,?\s+(\d{4})")
_HOUR = re.compile(r"\b(\d{1,2})(?::(\d\d))?\s*(am|pm)\b", re.IGNORECASE)


class Wanted(NamedTuple):
    conversation: str
    text: str
    evidence: frozenset[str]
    category: str


async def run(asking: Asking, folder: Path, train: Path | None, limit: int | None, seed: int) -> dict[str, Any]:
    """`recall_at_5` and `recall_at_10` in per cent, overall and per category."""
    conversations = dict(_conversations(folder))
    questions = sampled(_questions(folder, conversations), limit, seed)
    memories = Memories(asking.retriever, people=len(conversations) + 1)
    needed = sorted({question.conversation for question in questions})
    for number, name in enumerate(needed, 1):
        await memories.remember(TENANT, name, conversations[name])
        progress(f"remembered conversation {number} of {len(needed)}: {len(conversations[name])} utterances")
    shares: dict[str, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    for question in questions:
        found = await _found(asking, memories, question)
        for depth in DEPTHS:
            share = len(question.evidence & set(found[:depth])) / len(question.evidence)
            for row in ("", f"_category_{question.category}"):
                shares[row][depth].append(share)
    return {"n": len(questions), **{f"recall_at_{depth}{row}": _mean(shares[row][depth])
                                    for row in sorted(shares) for depth in DEPTHS}}


async def _found(asking: Asking, memories: Memories, question: Wanted) -> list[str]:
    """Ids of the utterances recalled, best first, each once."""
    started = time.perf_counter()
    found = await memories.candidates(Asked(tenant=TENANT, person=question.conversation, text=question.text),
                                      max(DEPTHS))
    asking.times.append(1000.0 * (time.perf_counter() - started))
    return [one.utterance.id for one in found]


def _conversations(folder: Path) -> Iterator[tuple[str, list[Utterance]]]:
    for row in _lines(folder / "conversations.jsonl"):
        yield str(row["id"]), [
            Utterance(id=str(turn["id"]), session=str(session["id"]), speaker=str(turn.get("speaker", "")),
                      at_ms=when(str(session.get("time", ""))), text=str(turn.get("text", "")))
            for session in row["sessions"] for turn in session["turns"]]


def _questions(folder: Path, conversations: dict[str, list[Utterance]]) -> list[Wanted]:
    """Those whose evidence is in their conversation. Ids may be listed one by one or several in one string."""
    known = {name: {one.id for one in utterances} for name, utterances in conversations.items()}
    found = []
    for row in _lines(folder / "questions.jsonl"):
        name = str(row["conversation"])
        listed = [str(one) for one in row["evidence"]]
        ids = {part for one in listed for part in (one, *re.split(r"[;,\s]+", one))} & known.get(name, set())
        if ids:
            found.append(Wanted(name, str(row["question"]), frozenset(ids), str(row.get("category", ""))))
    return found


def when(text: str) -> int:
    """A date with or without an hour, as milliseconds since 1970 UTC; 0 where there is none."""
    hour = _HOUR.search(text)
    try:
        return round(1000 * datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())
    except ValueError:
        day = _DATE.search(text)
        parts = day.groups() if day else None
        if parts is None and (other := _DATE_MONTH_FIRST.search(text)):
            parts = other[2], other[1], other[3]
    month = next((number for number, name in enumerate(MONTHS, 1) if parts and name.startswith(parts[1].lower())), 0)
    if parts is None or not month:
        return 0
    clock = ((int(hour[1]) % 12 + 12 * (hour[3].lower() == "pm")), int(hour[2] or 0)) if hour else (0, 0)
    try:
        return round(1000 * datetime(int(parts[2]), month, int(parts[0]), *clock, tzinfo=UTC).timestamp())
    except ValueError:
        return 0


def _lines(path: Path) -> list[dict[str, Any]]:
    if not path.is_file():
        raise ConfigurationError(f"{path.parent} has no {path.name}")
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def _mean(values: list[float]) -> float:
    return round(100.0 * math.fsum(values) / max(len(values), 1), 1)
