"""Edges between rules, scenarios and steps, followed once it is certain which rules apply: two steps deep, breadth
first, in id order."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence

DEPTH = 2

Edges = Mapping[str, tuple[tuple[str, str], ...]]


def related(edges: Edges, applied: Sequence[str], scenarios: Container[str] = ()) -> tuple[dict[str, str],
                                                                                             dict[str, str]]:
    """(added, removed): rule or scenario to the reason. `applied` is in order of rank, then scenarios and steps that
    the conversation is in.

    `depends_on` and `implies` add their target, `excludes` removes it, unless the target ranks higher and excludes
    back; `specializes` lets the special rule take the place of the general one; `related` only informs. A scenario that
    is removed does not begin, whether or not something wanted it to.
    """
    added = _added(edges, applied)
    removed: dict[str, str] = {}
    for source in (*applied, *added):
        if source in removed:
            continue
        for kind, target in edges.get(source, ()):
            if kind in ("excludes", "specializes") and target != source and target not in removed:
                removed[target] = f"{kind} by {source}"
    return {rule: why for rule, why in added.items() if rule not in removed}, {
        rule: why for rule, why in removed.items() if rule in applied or rule in added or rule in scenarios}


def shut_out(edges: Edges, places: Iterable[str]) -> frozenset[str]:
    """What scenarios and steps take out while the conversation is in them."""
    return frozenset(target for place in places for kind, target in edges.get(place, ())
                     if kind in ("excludes", "specializes"))


def _added(edges: Edges, applied: Sequence[str]) -> dict[str, str]:
    added: dict[str, str] = {}
    frontier = list(applied)
    for _ in range(DEPTH):
        found = []
        for source in frontier:
            for kind, target in edges.get(source, ()):
                if kind in ("depends_on", "implies") and target not in added and target not in applied:
                    added[target] = f"{kind} of {source}"
                    found.append(target)
        frontier = found
    return added
