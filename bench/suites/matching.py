"""Which rules apply to the last message of a conversation: exactly those that the case names, family by family.

The conversation lies before the session as it was; the engine has its embedder and no language model.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import msgspec

from bench.suites.asking import Asking, sampled, share
from bench.suites.cases import Case, read_guidelines
from bench.suites.talking import Room
from ruche.storage.model.bundle import AgentBundle
from ruche.storage.model.run import Run

WHY = {
    "applied before": "whether an action was carried out before stands in earlier replies, in other words",
    "with other knowledge": "the condition is about something that no word of the message names",
    "in context": "the condition is about the course of the conversation, not about its last message",
    "nothing applies": "the message resembles a condition that it does not meet",
    "disambiguation": "what is not said tells which of several rules may be meant",
}


async def run(asking: Asking, folder: Path, train: Path | None, limit: int | None, seed: int) -> dict[str, Any]:
    """Per cent of the cases of each family in which exactly the right rules apply; over all, F1 of single rules."""
    cases = sampled(read_guidelines(folder), limit, seed)
    passed: Counter[str] = Counter()
    total: Counter[str] = Counter()
    hits: Counter[str] = Counter()
    for number, (guidelines, case) in enumerate(cases):
        got, wanted = await _applied(asking, guidelines, case, number + 1)
        total[case.family] += 1
        passed[case.family] += got == wanted
        hits.update(right=len(got & wanted), found=len(got), wanted=len(wanted))
    metrics: dict[str, Any] = {"n": len(cases), "passed": share(passed.total(), total.total()),
                               "rule_f1": share(2 * hits["right"], hits["found"] + hits["wanted"])}
    metrics |= {family: share(passed[family], total[family]) for family in sorted(total)}
    notes = [f"{family}: {passed[family]} of {total[family]} pass; the rest needs a model, because "
             f"{WHY.get(family, 'the condition is met by meaning that a sentence vector does not hold')}"
             for family in sorted(total) if passed[family] < total[family]]
    return {**metrics, "notes": notes}


async def _applied(asking: Asking, guidelines: dict[str, dict[str, Any]], case: Case,
                   version: int) -> tuple[set[str], set[str]]:
    part = case.part
    ambiguous = "to_disambiguate_guidelines_names" in part
    names = part.get("to_disambiguate_guidelines_names") or part.get("conversation_guideline_names") or \
        part.get("guidelines_names") or []
    wanted = set(part.get("disambiguating_guideline_names") or part.get("relevant_guideline_names")
                 or part.get("guidelines_target_names") or [])
    names = [name for name in dict.fromkeys(names) if name in guidelines]
    room = await Room.open(asking.retriever, _bundle(names, guidelines, exclusive=ambiguous), asking.times, version)
    talk = room.talk()
    before = tuple(part.get("previously_applied_guidelines_names") or ())
    talk.session = msgspec.structs.replace(
        talk.session, history=case.exchanges[-10:], turn_count=len(case.exchanges),
        rule_fires=dict.fromkeys(before, 1), rule_last_turn=dict.fromkeys(before, len(case.exchanges) - 1))
    run = await talk.say(case.message)
    return _named(run, names, ambiguous=ambiguous), wanted


def _bundle(names: list[str], guidelines: dict[str, dict[str, Any]], *, exclusive: bool) -> AgentBundle:
    """A rule for each guideline; what is to be told apart excludes each other."""
    rules = [{"id": name, "if": guidelines[name]["condition"],
              "then": guidelines[name].get("action") or "take note of it", "max_fires": 0} for name in names]
    edges = [{"source": one, "kind": "excludes", "target": other} for one in names for other in names
             if exclusive and one != other]
    return AgentBundle.model_validate({"id": "measured", "agent": {"name": "Measured"}, "rules": rules,
                                       "relationships": edges})


def _named(run: Run, names: list[str], *, ambiguous: bool) -> set[str]:
    """Rules that apply; where several are equally likely, those that the engine asks about."""
    if ambiguous:
        return set(run.decisions.get("match", {}).get("unclear", ())) & set(names)
    return {rule.id for rule in run.rules}
