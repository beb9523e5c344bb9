"""What an author wants to know of a measurement: how right, what is confused with what, and what would help."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import product
from typing import NamedTuple

import msgspec

from ruche.engine.evaluation.asking import Answer
from ruche.storage.index.words import terms

NOTHING = "(nothing)"
"""What a message matched that matched no rule, and what one out of scope means."""
SUGGESTIONS, ALIKE = 3, 0.6
"""Suggested examples per rule, and the share of words from which two of them are too much alike."""
SHOWN = 3
"""Messages that are shown of a confusion."""
STEPS = 50
"""Thresholds that are tried, between 0 and 1."""
INSIDE, OUTSIDE, GAIN = 20, 5, 0.05
"""Messages in and out of scope from which another threshold is advised, and what both shares together must gain."""


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """One rule or scenario. Shares from 0 to 1; None where there is nothing to divide by."""

    id: str
    meant: int
    fired: int
    right: int
    precision: float | None
    recall: float | None


class Confusion(NamedTuple):
    """`got` came instead of `wanted`, so often; `texts` are the first messages of which that is true."""

    wanted: str
    got: str
    times: int
    texts: tuple[str, ...]


class Theft(NamedTuple):
    """Two rules that come in each other's place."""

    first: str
    second: str
    first_for_second: int
    second_for_first: int


class Suggestion(NamedTuple):
    """Messages that a rule missed, the furthest from what it knows first."""

    id: str
    missed: int
    texts: tuple[str, ...]


class Threshold(NamedTuple):
    """What a `rule_threshold` would do: the share of messages in scope right, and of others that match none."""

    at: float
    in_scope: float
    out_of_scope: float


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """Shares from 0 to 1. `first_right`: the best match was meant; `exact`: all that was meant and nothing else."""

    n: int
    in_scope: int
    first_right: float
    exact: float
    precision: float
    recall: float
    f1: float
    out_of_scope: int
    refused: float | None
    """Share of messages out of scope that matched nothing, None without any."""
    ms_p50: float
    ms_p95: float
    items: tuple[Item, ...]
    """Worst recall first."""
    confusions: tuple[Confusion, ...]
    thefts: tuple[Theft, ...]
    never_right: tuple[str, ...]
    """Meant at least once, and matched by none of those messages."""
    never_matched: tuple[str, ...]
    """Matched by no message of the file, whatever it meant. Hard rules hold anyway and are not among them."""
    taught: int
    """Messages that stand among the agent's own examples: what was learnt measures nothing."""
    not_measured: tuple[str, ...]
    """Meant by no message of the file; hard rules are not among them."""
    suggestions: tuple[Suggestion, ...]
    thresholds: tuple[Threshold, ...]


def report(answers: Sequence[Answer], known: frozenset[str], examples: frozenset[str] = frozenset(),
           hard: frozenset[str] = frozenset()) -> Report:
    """Counts of all answers; the same answers give the same report but for the times. `examples`: the agent's own;
    `hard`: rules that hold whether or not a message matches them."""
    inside = [one for one in answers if one.row.wanted]
    outside = [one for one in answers if not one.row.wanted]
    meant = Counter(name for one in answers for name in one.row.wanted)
    fired = Counter(name for one in answers for name in one.fired)
    right = Counter(name for one in answers for name in one.fired if name in one.row.wanted)
    precision, recall = _share(right.total(), fired.total()), _share(right.total(), meant.total())
    confusions = _confusions(answers)
    times = sorted(one.ms for one in answers)
    return Report(
        n=len(answers), in_scope=len(inside),
        first_right=_share(sum(one.fired[:1] != () and one.fired[0] in one.row.wanted for one in inside), len(inside)),
        exact=_share(sum(frozenset(one.fired) == one.row.wanted for one in answers), len(answers)),
        precision=precision, recall=recall,
        f1=_share(2 * right.total(), fired.total() + meant.total()), out_of_scope=len(outside),
        refused=_share(sum(not one.fired for one in outside), len(outside)) if outside else None,
        ms_p50=round(times[len(times) // 2], 3), ms_p95=round(times[min(len(times) - 1, int(0.95 * len(times)))], 3),
        items=_items(known, meant, fired, right), confusions=confusions, thefts=_thefts(confusions),
        never_right=tuple(sorted(name for name in meant if not right[name])),
        never_matched=tuple(sorted(known - hard - fired.keys())),
        taught=sum(one.row.text.strip().lower() in examples for one in answers),
        not_measured=tuple(sorted(known - hard - meant.keys())), suggestions=_suggestions(answers),
        thresholds=_thresholds(inside, outside))


def _items(known: frozenset[str], meant: Counter[str], fired: Counter[str], right: Counter[str]) -> tuple[Item, ...]:
    found = [Item(id=name, meant=meant[name], fired=fired[name], right=right[name],
                  precision=_share(right[name], fired[name]) if fired[name] else None,
                  recall=_share(right[name], meant[name]) if meant[name] else None)
             for name in known if meant[name] or fired[name]]
    return tuple(sorted(found, key=lambda one: (1.0 if one.recall is None else one.recall, -one.meant, one.id)))


def _confusions(answers: Sequence[Answer]) -> tuple[Confusion, ...]:
    """What was missed, beside what came instead: every wrong match, or nothing."""
    texts: dict[tuple[str, str], list[str]] = defaultdict(list)
    for one in answers:
        missed = sorted(one.row.wanted - set(one.fired)) or ([NOTHING] if not one.row.wanted else [])
        wrong = [name for name in one.fired if name not in one.row.wanted] or [NOTHING]
        for pair in product(missed, wrong):
            if pair[0] != pair[1]:
                texts[pair].append(one.row.text)
    found = sorted(texts.items(), key=lambda one: (-len(one[1]), one[0]))
    return tuple(Confusion(*pair, len(said), tuple(dict.fromkeys(said))[:SHOWN]) for pair, said in found)


def _thefts(confusions: Sequence[Confusion]) -> tuple[Theft, ...]:
    counts = {(one.wanted, one.got): one.times for one in confusions if NOTHING not in (one.wanted, one.got)}
    pairs = sorted({(min(pair), max(pair)) for pair in counts})
    found = [Theft(first, second, counts.get((second, first), 0), counts.get((first, second), 0))
             for first, second in pairs]
    return tuple(sorted((one for one in found if one.first_for_second + one.second_for_first > 1),
                        key=lambda one: (-one.first_for_second - one.second_for_first, one.first, one.second)))


def _suggestions(answers: Sequence[Answer]) -> tuple[Suggestion, ...]:
    missed: dict[str, list[tuple[float, str]]] = defaultdict(list)
    for one in answers:
        for name in one.row.wanted - set(one.fired):
            missed[name].append((one.scores.get(name, 0.0), one.row.text))
    found = [Suggestion(name, len(rows), _different([text for _, text in sorted(rows)]))
             for name, rows in missed.items()]
    return tuple(sorted(found, key=lambda one: (-one.missed, one.id)))


def _different(texts: Sequence[str]) -> tuple[str, ...]:
    """The first few that do not repeat each other's words."""
    kept: list[tuple[str, set[str]]] = []
    for text in texts:
        words = set(terms(text))
        if all(len(words & other) < ALIKE * max(1, min(len(words), len(other))) for _, other in kept):
            kept.append((text, words))
        if len(kept) == SUGGESTIONS:
            break
    return tuple(text for text, _ in kept)


def _thresholds(inside: Sequence[Answer], outside: Sequence[Answer]) -> tuple[Threshold, ...]:
    """By the best score alone, whatever else the engine would filter."""
    best = [max(one.scores.items(), key=lambda pair: (pair[1], pair[0]), default=("", 0.0)) for one in inside]
    right = [score for (name, score), one in zip(best, inside, strict=True) if name in one.row.wanted]
    wrong = [max(one.scores.values(), default=0.0) for one in outside]
    cuts = [round(number / STEPS, 2) for number in range(1, STEPS)]
    return tuple(Threshold(cut, _share(sum(score >= cut for score in right), len(inside)),
                           _share(sum(score < cut for score in wrong), len(outside))) for cut in cuts)


def advised(found: Report, now: float) -> Threshold | None:
    """The threshold at which most messages are right, in and out of scope weighing the same; None where the file is too
    small to tell, or the one that is used `now` does about as well."""
    if found.in_scope < INSIDE or found.out_of_scope < OUTSIDE:
        return None
    best = max(found.thresholds, key=lambda one: (one.in_scope + one.out_of_scope, -abs(one.at - now)))
    used = min(found.thresholds, key=lambda one: abs(one.at - now))
    gain = best.in_scope + best.out_of_scope - used.in_scope - used.out_of_scope
    return best if gain >= GAIN else None


def _share(part: int, whole: int) -> float:
    return round(part / whole, 4) if whole else 0.0
