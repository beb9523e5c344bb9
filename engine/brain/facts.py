"""What a reply says beyond what patterns find: which facts a model is asked for, and what comes of its answer.

Specification section 7: patterns first, then a model for what they do not find, then both together; what a pattern
found stands. Rules whose facts nobody could read are in error, which a hard rule counts as broken.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ruche.plugins.contracts import Verdict
from ruche.plugins.generators.facts import Facts
from ruche.storage.model.rule import Rule

FIGURES = {"amount": "the largest sum of money that the reply names, as a number",
           "currency": "the ISO 4217 code of that sum",
           "percent": "the largest percentage that the reply names, as a number"}
"""What patterns look for too, and may not find."""
UNREAD = "the model that reads what a reply says gave no answer for"


def declared(rules: Iterable[Rule]) -> dict[str, str]:
    """Every fact that an author describes: name to what it is."""
    return {name: told for rule in rules for name, told in rule.extract.items()}


def facts_of(reads: Iterable[str], described: Mapping[str, str], *, figures: bool) -> frozenset[str]:
    """The facts that an expression reads, bare or as `reply.NAME`; sums and percentages among them with `figures`."""
    bare = {name.removeprefix("reply.") for name in reads}
    return frozenset(bare & (described.keys() | (FIGURES.keys() if figures else set())))


def missing(wanted: frozenset[str], reply: Mapping[str, Any], described: Mapping[str, str], *,
            by_model: bool) -> dict[str, str]:
    """What a model is asked for: described facts always, sums and percentages where a model wrote the reply and no
    pattern found them."""
    return {name: described.get(name) or FIGURES[name] for name in sorted(wanted)
            if name in described or (by_model and name not in reply)}


def merged(reply: dict[str, Any], facts: Facts) -> dict[str, Any]:
    """What patterns found, and what a model found besides."""
    if not facts.values:
        return reply
    names = {**facts.values, **reply}
    return {**names, "contains_amount": "amount" in names, "contains_percent": "percent" in names}


def unreadable(verdict: Verdict, wanted: frozenset[str], facts: Facts) -> Verdict:
    """The verdict on a rule, which is in error where it rests for want of facts that nobody could read."""
    lost = sorted(wanted & facts.unread)
    if not lost or verdict.outcome != "not_applicable":
        return verdict
    return Verdict(outcome="error", reason=f"{UNREAD} {', '.join(lost)}")
