"""Compares what a turn did with what a test expects of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from ruche.engine.authoring.conversations import ScriptedTurn
from ruche.engine.authoring.document import Path
from ruche.storage.model.conversation import SessionState
from ruche.storage.model.run import Run

_LONGEST = 300


@dataclass(frozen=True)
class Happened:
    """A turn as it was kept, the session after it, and how the test's world was used."""

    run: Run
    session: SessionState
    asked: int = 0
    """How often the model was asked."""
    unanswered: tuple[str, ...] = ()
    """HTTP tools that the test has no result for."""


@dataclass(frozen=True)
class Miss:
    """An expectation that did not hold. `place` is where it stands within the turn."""

    place: Path
    expected: str
    got: str
    instead: str = field(default="")


def judge(turn: ScriptedTurn, happened: Happened) -> list[Miss]:
    """Everything that was expected and did not happen, in the order in which a turn goes."""
    return [miss for look in _LOOKS for miss in look(turn, happened)]


def _world(turn: ScriptedTurn, happened: Happened) -> Iterator[Miss]:
    for tool in dict.fromkeys(happened.unanswered):
        yield Miss((), f"a result for the HTTP tool {tool}", "none", f"write results: {{{tool}: ...}}")
    if happened.asked != len(turn.model):
        yield Miss(("model",) if turn.model else (), f"{_times(len(turn.model))} of the model",
                   _times(happened.asked), "write what the model answers each time under model:")


def _rules(turn: ScriptedTurn, happened: Happened) -> Iterator[Miss]:
    applied = {rule.id: rule for rule in happened.run.rules}
    for index, name in enumerate(turn.rules):
        if name not in applied:
            yield Miss(("rules", index), f"rule {name} to be applied", _dropped(name, happened.run) or _these(applied))
    for index, name in enumerate(turn.not_rules):
        if name in applied:
            yield Miss(("not_rules", index), f"rule {name} not to be applied", f"it {applied[name].why}")


def _dropped(name: str, run: Run) -> str:
    """Why a rule that was looked at was not applied, as far as the run tells."""
    notes = run.decisions.get("match", {})
    reasons = [reason for reason, ids in notes.get("dropped", {}).items() if name in ids]
    reasons += ["selection"] if name in notes.get("cut", ()) else []
    applied = ", ".join(rule.id for rule in run.rules) or "none"
    return f"it was dropped by {reasons[0]}; applied: {applied}" if reasons else ""


def _scenarios(turn: ScriptedTurn, happened: Happened) -> Iterator[Miss]:
    places = [(move.id, move.step) for move in happened.run.scenarios if move.action not in ("PAUSE", "CANCEL")]
    places += [(one.scenario, one.step) for one in happened.session.scenarios if one.status == "active"]
    shown = ", ".join(dict.fromkeys(f"{scenario}/{step}" for scenario, step in places)) or "no scenario"
    if turn.scenario is not None and turn.scenario not in {scenario for scenario, _ in places}:
        yield Miss(("scenario",), f"scenario {turn.scenario}", shown)
    elif turn.step is not None and not any(step == turn.step and turn.scenario in (None, scenario)
                                           for scenario, step in places):
        yield Miss(("step",), f"step {turn.step}", shown)


def _tools(turn: ScriptedTurn, happened: Happened) -> Iterator[Miss]:
    called = [call for call in happened.run.tools if call.status != "skipped"]
    done = {call.name for call in called if call.status in ("ok", "cached")}
    shown = ", ".join(f"{call.name} {call.status} {call.error}".strip() for call in happened.run.tools) or "no call"
    for index, name in enumerate(turn.tools):
        if name not in done:
            yield Miss(("tools", index), f"tool {name} to be called", shown)
    for index, name in enumerate(turn.not_tools):
        if name in {call.name for call in called}:
            yield Miss(("not_tools", index), f"tool {name} not to be called", shown)


def _words(turn: ScriptedTurn, happened: Happened) -> Iterator[Miss]:
    said = _quoted(happened.run.reply)
    if turn.reply is not None and turn.reply != happened.run.reply:
        yield Miss(("reply",), _quoted(turn.reply), said)
    plain = _plain(happened.run.reply)
    for index, text in enumerate(turn.contains):
        if _plain(text) not in plain:
            yield Miss(("contains", index), f"a reply with {_quoted(text)}", said)
    for index, text in enumerate(turn.lacks):
        if _plain(text) in plain:
            yield Miss(("lacks", index), f"a reply without {_quoted(text)}", said)


def _verdicts(turn: ScriptedTurn, happened: Happened) -> Iterator[Miss]:
    enforcement = happened.run.enforcement
    checked = dict(enforcement.checked)
    for name, verdict in turn.verdicts.items():
        if checked.get(name) != verdict:
            yield Miss(("verdicts", name), f"rule {name} to be judged {verdict}", checked.get(name, "not judged"))
    if turn.risk is not None and turn.risk != enforcement.risk:
        broken = "; ".join(f"{one.rule}: {one.reason}" for one in enforcement.violations)
        yield Miss(("risk",), f"risk {turn.risk}", f"{enforcement.risk} {broken}".strip())


def _ends(turn: ScriptedTurn, happened: Happened) -> Iterator[Miss]:
    for name in ("status", "response_type", "language"):
        wanted, got = getattr(turn, name), getattr(happened.run, name)
        if wanted is not None and wanted != got:
            error = f" ({happened.run.error})" if happened.run.error else ""
            yield Miss((name,), f"{name} {wanted}", f"{got}{error}")
    if happened.run.status == "failed" and turn.status != "failed":
        yield Miss((), "an answer", f"the turn failed: {happened.run.error}")


_LOOKS: tuple[Callable[[ScriptedTurn, Happened], Iterator[Miss]], ...] = (
    _world, _rules, _scenarios, _tools, _words, _verdicts, _ends)


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())


def _quoted(text: str) -> str:
    return f'"{text}"' if len(text) <= _LONGEST else f'"{text[:_LONGEST]}..."'


def _times(count: int) -> str:
    return "1 call" if count == 1 else f"{count} calls"


def _these(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"
