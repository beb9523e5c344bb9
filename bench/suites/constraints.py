"""Instructions that an author of an agent would write, as hard constraints: replies that break them must not go out,
replies that keep them must, word for word. The replies are written here (`replies.py`), never read from the folder."""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

from bench.suites.asking import Asking, sampled, share
from bench.suites.replies import written
from bench.suites.talking import Room, Said
from ruche.plugins.errors import ConfigurationError
from ruche.storage.model.bundle import AgentBundle

Enforce = dict[str, Any]


class Instruction(NamedTuple):
    kind: str
    options: dict[str, Any]
    prompt: str


def read(folder: Path) -> list[Instruction]:
    """Every instruction of every `*.jsonl` row {prompt, instruction_id_list, kwargs}. Raises ConfigurationError."""
    files = sorted(folder.glob("*.jsonl"))
    rows = [json.loads(line) for path in files for line in path.read_text(encoding="utf-8").splitlines() if line]
    found = [Instruction(kind, {name: value for name, value in (options or {}).items() if value is not None},
                         row.get("prompt", ""))
             for row in rows for kind, options in zip(row.get("instruction_id_list", ()), row.get("kwargs", ()),
                                                      strict=False)]
    if not found:
        raise ConfigurationError(f"{folder} has no *.jsonl with instruction_id_list and kwargs")
    return found


async def run(asking: Asking, folder: Path, train: Path | None, limit: int | None, seed: int) -> dict[str, Any]:
    """Per cent over all and per kind: `violations_found` of the broken replies, `false_alarms` of the kept ones."""
    asked = sampled(read(folder), limit, seed)
    tally: Counter[tuple[str, str]] = Counter()
    for place, one in enumerate(asked):
        enforced = rules_of(one)
        if not enforced:
            tally["not expressed", one.kind] += 1
            continue
        room = await _room(asking, enforced, place)
        kept, broken = written(one.kind, one.options, one.prompt, random.Random(f"{seed}:{place}"))
        for name, texts in (("kept", kept), ("broken", broken)):
            for text in texts:
                tally[name, one.kind] += 1
                tally[f"{name} stopped", one.kind] += not await _delivered(room, text)
    return {"n": len(asked), **_metrics(tally, sorted({one.kind for one in asked}))}


def rules_of(one: Instruction) -> list[Enforce]:
    """The instruction as an author writes it: the `enforce` of one or more hard rules; nothing for an unknown kind, and
    for one that lacks what it is about."""
    make = _RULES.get(one.kind)
    try:
        return [] if make is None else make({"prompt": one.prompt, **one.options})
    except KeyError:
        return []


async def _room(asking: Asking, enforced: list[Enforce], place: int) -> Room:
    rules = [{"id": f"r{number}", "if": "the agent answers", "then": "keep to the form", "hard": True, "enforce": use}
             for number, use in enumerate(enforced)]
    bundle = AgentBundle.model_validate({"id": "measured", "agent": {"name": "Measured"}, "rules": rules})
    return await Room.open(asking.retriever, bundle, asking.times, place + 1, generator=Said())


async def _delivered(room: Room, text: str) -> bool:
    room.speaker.text = text  # type: ignore[attr-defined]
    run = await room.talk().say("go on, please")
    return run.reply == text


def _metrics(tally: Counter[tuple[str, str]], kinds: list[str]) -> dict[str, float]:
    def total(name: str) -> int:
        return sum(count for (what, _), count in tally.items() if what == name)

    found = {"violations_found": share(total("broken stopped"), total("broken")),
             "false_alarms": share(total("kept stopped"), total("kept")),
             "replies_broken": total("broken"), "replies_kept": total("kept"),
             "instructions_not_expressed": total("not expressed")}
    for kind in kinds:
        if tally["broken", kind]:
            found[f"{kind} violations_found"] = share(tally["broken stopped", kind], tally["broken", kind])
            found[f"{kind} false_alarms"] = share(tally["kept stopped", kind], tally["kept", kind])
    return found


def _bounds(relation: str, number: int, least: str, most: str) -> dict[str, int]:
    """`at least` and `less than` as an author's minimum or maximum."""
    return {most: number - 1} if relation == "less than" else {least: number}


def _use(name: str, **options: Any) -> Enforce:
    return {"use": name, "options": options}


def _length(options: dict[str, Any], unit: str, number: int) -> list[Enforce]:
    return [_use("length", **_bounds(options.get("relation", "at least"), number, f"min_{unit}", f"max_{unit}"))]


def _counted(relation: str, number: int, **what: Any) -> list[Enforce]:
    return [_use("count", **what, **_bounds(relation, number, "min", "max"))]


def _nth_paragraph(o: dict[str, Any]) -> list[Enforce]:
    before = r"(?:[^\n]+\n\n)" * (o["nth_paragraph"] - 1)
    return [_use("length", min_paragraphs=o["num_paragraphs"], max_paragraphs=o["num_paragraphs"]),
            _use("pattern", required=[rf"^{before}\W*{re.escape(o['first_word'])}\b"])]


_ANSWERS = ["My answer is yes.", "My answer is no.", "My answer is maybe."]
_RULES: dict[str, Any] = {
    "punctuation:no_comma": lambda o: [_use("pattern", forbidden=[",", "،", "、"])],
    "keywords:forbidden_words": lambda o: [_use("phrase", forbidden=list(o["forbidden_words"]))],
    "keywords:existence": lambda o: [_use("phrase", required=list(o["keywords"]), whole_words=False)],
    "keywords:frequency": lambda o: _counted(o["relation"], o["frequency"], phrase=o["keyword"], whole_words=False),
    "keywords:letter_frequency": lambda o: _counted(o["let_relation"], o["let_frequency"],
                                                    pattern=re.escape(o["letter"])),
    "change_case:capital_word_frequency": lambda o: _counted(o["capital_relation"], o["capital_frequency"],
                                                             pattern=r"\b[A-Z]+\b", case=True),
    "change_case:english_lowercase": lambda o: [_use("form", case="lower"), _use("form", language="en")],
    "change_case:english_capital": lambda o: [_use("form", case="upper"), _use("form", language="en")],
    "language:response_language": lambda o: [_use("form", language=o["language"])],
    "length_constraints:number_words": lambda o: _length(o, "words", o["num_words"]),
    "length_constraints:number_sentences": lambda o: _length(o, "sentences", o["num_sentences"]),
    "length_constraints:number_paragraphs": lambda o: [_use("count", pattern=r"\*\*\*", min=o["num_paragraphs"] - 1,
                                                           max=o["num_paragraphs"] - 1)],
    "length_constraints:nth_paragraph_first_word": _nth_paragraph,
    "detectable_format:number_highlighted_sections": lambda o: _counted(
        "at least", o["num_highlights"], pattern=r"\*[^*\n]+\*"),
    "detectable_format:number_bullet_lists": lambda o: [_use("length", min_bullets=o["num_bullets"],
                                                             max_bullets=o["num_bullets"])],
    "detectable_format:title": lambda o: [_use("pattern", required=[r"<<[^\n<>]+>>"])],
    "detectable_format:multiple_sections": lambda o: _counted(
        "at least", o["num_sections"], pattern=rf"{re.escape(o['section_spliter'].strip())}\s?\d+"),
    "detectable_format:json_format": lambda o: [_use("form", json=True)],
    "detectable_format:constrained_response": lambda o: [_use("form", one_of=_ANSWERS)],
    "detectable_content:postscript": lambda o: [_use("pattern", required=[re.escape(o["postscript_marker"])])],
    "detectable_content:number_placeholders": lambda o: _counted(
        "at least", o["num_placeholders"], pattern=r"\[[^\[\]\n]+\]"),
    "startend:end_checker": lambda o: [_use("form", ends_with=o["end_phrase"])],
    "startend:quotation": lambda o: [_use("form", quoted=True)],
    "combination:two_responses": lambda o: [_use("count", pattern=r"\*\*\*\*\*\*", min=1, max=1)],
    "combination:repeat_prompt": lambda o: [_use("form", starts_with=o["prompt_to_repeat"])],
}
