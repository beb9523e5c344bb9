"""A labelled case as it is put to the engine, and what the embedded default makes of such cases, family by family."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from bench.suites.asking import Asking, share
from bench.suites.cases import Case
from bench.suites.oracle import Label
from bench.suites.talking import Room
from ruche.storage.model.bundle import AgentBundle
from ruche.storage.model.conversation import SessionState
from ruche.storage.model.run import Run


class Posed(NamedTuple):
    """One case, its agent and its label."""

    case: Case
    bundle: dict[str, Any]
    session: Callable[[SessionState], SessionState]
    """Puts the session where the case begins."""
    label: Label
    outcome: Callable[[Run], Any]
    """What the turn decided, as the label has it."""
    wanted: Any
    known: frozenset[Any]
    """Everything that an outcome may be made of."""


async def turn(room: Room, posed: Posed) -> tuple[Run, Any]:
    """Say the last message; the run, and what it decided."""
    talk = room.talk()
    talk.session = posed.session(talk.session)
    run = await talk.say(posed.case.message)
    return run, posed.outcome(run)


async def alone(asking: Asking, cases: list[Posed], why: Callable[[str], str]) -> tuple[dict[str, Any], list[Any]]:
    """(metrics with notes, what was decided of each case) without a model. `why` says of a family why the rest of its
    cases needs one."""
    decided = []
    for number, one in enumerate(cases):
        bundle = AgentBundle.model_validate(one.bundle)
        decided.append((await turn(await Room.open(asking.retriever, bundle, asking.times, number + 1), one))[1])
    right = [got == one.wanted for got, one in zip(decided, cases, strict=True)]
    passed, total = counted(cases, right)
    notes = [f"{family}: {passed[family]} of {total[family]} pass; the rest needs a model, because {why(family)}"
             for family in sorted(total) if passed[family] < total[family]]
    return {"n": len(cases), "passed": share(passed.total(), total.total()), **shares(cases, right),
            "notes": notes}, decided


def shares(cases: Iterable[Posed], right: Iterable[bool]) -> dict[str, float]:
    """Per cent of each family."""
    passed, total = counted(cases, right)
    return {family: share(passed[family], total[family]) for family in sorted(total)}


def counted(cases: Iterable[Posed], right: Iterable[bool]) -> tuple[Counter[str], Counter[str]]:
    """How many of each family are right, and how many there are."""
    passed: Counter[str] = Counter()
    total: Counter[str] = Counter()
    for one, good in zip(cases, right, strict=True):
        total[one.case.family] += 1
        passed[one.case.family] += good
    return passed, total
