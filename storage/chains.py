"""The chain of every session, offline: numbers without a gap, and each run pointing back at the one before it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Set

from ruche.storage.evidence import Fault
from ruche.storage.looking import Seen, fault_of


def chain_faults(runs: Iterable[Seen], session: int, sequence: int,
                 heads: Mapping[tuple[int, str], Set[int]], ends: Mapping[tuple[int, str], str]) -> Iterator[Fault]:
    """`session` and `sequence` are the columns of these names; by tenant tag and session `heads` has the numbers of
    runs that were the last of a dropped day, `ends` the hash that the session's state has of its last run."""
    found: dict[tuple[int, str], list[tuple[int, Seen]]] = {}
    for one in runs:
        if one.entry.values is not None:
            owner = one.entry.tag, one.entry.values[session]
            found.setdefault(owner, []).append((one.entry.values[sequence], one))
    for owner, numbered in found.items():
        numbered.sort(key=lambda pair: pair[0])
        yield from _links(numbered, heads.get(owner, frozenset()))
        last = numbered[-1][1]
        if last.run is not None and ends.get(owner, last.run.hash) != last.run.hash:
            yield fault_of(last, "its session's state does not name it as the last run")


def _links(runs: Iterable[tuple[int, Seen]], heads: Set[int]) -> Iterator[Fault]:
    """A run follows the one before it, or the last one of a day that was dropped."""
    last, before = -1, ""
    for number, one in runs:
        if number <= last or (number != last + 1 and number - 1 not in heads):
            yield fault_of(one, f"run {number} of its session stands where {last + 1} was expected")
        if one.run is not None:
            expected = one.run.genesis if number == 0 else before if number == last + 1 else ""
            if expected and one.run.previous != expected:
                yield fault_of(one, "does not point back at the run before it")
        last, before = number, one.run.hash if one.run is not None else ""
