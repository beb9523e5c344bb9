"""Finds hard rules that hold at all times and contradict each other: whatever is said breaks one of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from ruche.engine.authoring.origin import Origins
from ruche.engine.authoring.possible import Claim, is_consistent, ways
from ruche.engine.authoring.problem import Problem
from ruche.plugins.errors import ConfigurationError
from ruche.plugins.expressions import compile_expression
from ruche.storage.model.bundle import AgentBundle
from ruche.storage.model.rule import Rule


class _Demand(NamedTuple):
    claim: Claim
    rule: int


def check_rivals(bundle: AgentBundle, origins: Origins) -> Iterator[Problem]:
    """Rules with one plain demand on a name each are compared, the strictest with the strictest."""
    demands: dict[str, list[_Demand]] = {}
    for index, rule in enumerate(bundle.rules):
        for claim in _always_demanded(rule):
            demands.setdefault(claim.name, []).append(_Demand(claim, index))
    for name, found in demands.items():
        pair = _clash(found)
        if pair is not None:
            one, other = (bundle.rules[index] for index in sorted((pair[0].rule, pair[1].rule)))
            yield origins.problem(("rules", max(pair[0].rule, pair[1].rule), "enforce"), "W613",
                                  f"rules {one.id} and {other.id} cannot both be kept where {name} has a value",
                                  "mend one of them, or give one a when")


def _always_demanded(rule: Rule) -> tuple[Claim, ...]:
    """What a rule that always holds demands in every way of keeping it; nothing where there are several ways."""
    if not (rule.hard and rule.enabled and rule.scope == "GLOBAL" and rule.when is None
            and isinstance(rule.enforce, str)):
        return ()
    try:
        found = ways(compile_expression(rule.enforce).tree, True)
    except ConfigurationError:  # check_texts reports it with its place
        return ()
    return found[0] if found is not None and len(found) == 1 else ()


def _clash(demands: list[_Demand]) -> tuple[_Demand, _Demand] | None:
    """Two of different rules that no value meets."""
    lower = [one for one in demands if one.claim.operator in (">", ">=") and _number(one)]
    upper = [one for one in demands if one.claim.operator in ("<", "<=") and _number(one)]
    exact = [one for one in demands if one.claim.operator == "=="]
    strictest = [max(lower, key=lambda one: (one.claim.value, one.claim.operator == ">"))] if lower else []
    strictest += [min(upper, key=lambda one: (one.claim.value, one.claim.operator != "<"))] if upper else []
    for one in (*exact[:1], *strictest[:1]):
        for other in (*exact, *strictest, *(demand for demand in demands if demand.claim.operator in ("true", "false",
                                                                                                      "!="))):
            if one.rule != other.rule and not is_consistent([one.claim, other.claim]):
                return one, other
    return None


def _number(one: _Demand) -> bool:
    return isinstance(one.claim.value, int | float) and not isinstance(one.claim.value, bool)
