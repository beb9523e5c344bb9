"""Which rules apply to the last message of a conversation: exactly those that the case names, family by family.

The conversation lies before the session as it was; the engine has its embedder, and a scripted model where one is asked
for.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from bench.suites.asking import Asking, sampled, share
from bench.suites.cases import Case, Part, read_guidelines
from bench.suites.oracle import Label
from bench.suites.posed import Posed, alone
from bench.suites.scripted import hostile, perfect
from ruche.storage.model.conversation import SessionState
from ruche.storage.model.run import Run

WHY = {
    "applied before": "whether an action was carried out before stands in earlier replies, in other words",
    "with other knowledge": "the condition is about something that no word of the message names",
    "in context": "the condition is about the course of the conversation, not about its last message",
    "nothing applies": "the message resembles a condition that it does not meet",
    "disambiguation": "what is not said tells which of several rules may be meant",
}
_NO_NAME = re.compile(r"[^a-z0-9]+")


async def run(asking: Asking, folder: Path, train: Path | None, limit: int | None, seed: int) -> dict[str, Any]:
    """Per cent of the cases of each family in which exactly the right rules apply; over all, F1 of single rules. With a
    scripted model `scripted.perfect` or `scripted.hostile`."""
    cases = [posed(guidelines, case) for guidelines, case in sampled(read_guidelines(folder), limit, seed)]
    if asking.model == "hostile":
        return await hostile(asking, cases)
    return await perfect(asking, cases) if asking.model == "perfect" else await _alone(asking, cases)


async def _alone(asking: Asking, cases: list[Posed]) -> dict[str, Any]:
    metrics, decided = await alone(asking, cases, lambda family: WHY.get(
        family, "the condition is met by meaning that a sentence vector does not hold"))
    right = sum(len(got & one.wanted) for got, one in zip(decided, cases, strict=True))
    found, wanted = sum(map(len, decided)), sum(len(one.wanted) for one in cases)
    return {**metrics, "rule_f1": share(2 * right, found + wanted)}


def posed(guidelines: dict[str, Part], case: Case) -> Posed:
    part = case.part
    ambiguous = "to_disambiguate_guidelines_names" in part
    names = part.get("to_disambiguate_guidelines_names") or part.get("conversation_guideline_names") or \
        part.get("guidelines_names") or []
    names = [name for name in dict.fromkeys(names) if name in guidelines]
    wanted = frozenset(part.get("disambiguating_guideline_names") or part.get("relevant_guideline_names")
                       or part.get("guidelines_target_names") or [])
    before = frozenset(names) if case.family.startswith("previously_applied") else \
        frozenset(part.get("previously_applied_guidelines_names") or ()) & set(names)

    def begun(session: SessionState) -> SessionState:
        turns = len(case.exchanges)
        return msgspec.structs.replace(
            session, history=case.exchanges[-10:], turn_count=turns, rule_fires=dict.fromkeys(sorted(before), 1),
            rule_last_turn=dict.fromkeys(sorted(before), turns - 1))

    def outcome(run: Run) -> frozenset[str]:
        """Rules that apply; where several are equally likely, those that the engine asks about."""
        if ambiguous:
            return frozenset(run.decisions.get("match", {}).get("unclear", ()))
        return frozenset(rule.id for rule in run.rules)

    label = Label(rules=None if ambiguous else wanted, applied=before,
                  which=tuple(name for name in names if name in wanted) if ambiguous else ())
    return Posed(case=case, bundle=_bundle(names, guidelines, part, exclusive=ambiguous), session=begun, label=label,
                 outcome=outcome, wanted=wanted, known=frozenset(names))


def _bundle(names: list[str], guidelines: dict[str, Part], part: Part, *, exclusive: bool) -> dict[str, Any]:
    """A rule for each guideline; what is to be told apart excludes each other. What else the agent knows of is its
    glossary, its tools and variables that models may see."""
    rules = [{"id": name, "if": guidelines[name]["condition"], "topic": name.replace("_", " "),
              "then": guidelines[name].get("action") or "take note of it", "max_fires": 0} for name in names]
    edges = [{"source": one, "kind": "excludes", "target": other} for one in names for other in names
             if exclusive and one != other]
    return {"id": "measured", "agent": {"name": "Measured"}, "rules": rules, "relationships": edges,
            "glossary": [{"term": one["name"], "definition": one["description"]} for one in part.get("terms", ())],
            "tools": [{"id": _name(one["title"]), "description": f"{one['title']}: {one['description']}"}
                      for one in part.get("capabilities", ())],
            "variables": [{"name": name, "default": value, "shown": True} for name, value in _values(part)]}


def _values(part: Part) -> Iterator[tuple[str, Any]]:
    for one in part.get("context_variables", ()):
        data = one["data"] if isinstance(one["data"], dict) else {"": one["data"]}
        yield from ((_name(f"{one['name']} {key}".strip()), value) for key, value in data.items())


def _name(text: str) -> str:
    return _NO_NAME.sub("_", text.lower()).strip("_")[:50]
