"""Faults put into the runtime on purpose, each one line of code wrong: the simulation must find every one of them."""

from __future__ import annotations
import __future__

import ast
import inspect
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import CodeType, FunctionType, ModuleType
from typing import Any

from ruche.actors import (
    activations,
    fair,
    feed,
    ledger,
    line,
    logical,
    mailbox,
    outcome,
    recovery,
    repeats,
    scribe,
    session,
    stage,
    thinking,
    undoing,
    worker,
)
from ruche.engine import compensating
from tests.simulation import preempt


@dataclass(frozen=True)
class Break:
    """`old` in the source of `where` (a qualified name in `module`) becomes `new`, and likewise `also` `so`."""

    name: str
    module: ModuleType
    where: str
    old: str
    new: str
    also: str = ""
    so: str = ""
    rare: bool = False
    """Needs so many things at once that it takes about a thousand worlds or more."""


BREAKS = (
    Break("a caller is answered before the commit", worker, "_commit",
          "with anyio.CancelScope(shield=True):", "turn.answer(answer_of(outcome.run))\n        if True:"),
    Break("a commit is not shielded", worker, "_commit", "with anyio.CancelScope(shield=True):", "if True:"),
    Break("an activation begins before it has read everything", session, "SessionActor._take_up",
          "segments=segments, done=done)", "segments=segments, done=done); self._go_on()"),
    Break("what was said is said again after a lost commit", logical, "LogicalTurn.put_off",
          "self.interrupted = self.interrupted or tuple(self.stage.segments)", "pass"),
    Break("a commit that failed is forgotten", worker, "_commit", "line.owe(turn, error)", "turn.answer(error)"),
    Break("the person is not locked while the profile changes", worker, "_finish", "async with person.lock:",
          "if True:"),
    Break("a superseded turn is not cancelled", line, "Line._rethink", "running.scope.cancel()", "pass"),
    Break("a superseded brain may go on speaking", line, "Line._rethink", "running.stage.end()", "pass"),
    Break("a turn that was restarted is restarted again", line, "Line.place", "and not last.again()", ""),
    Break("a superseded turn's outcome is used", worker, "_think_and_finish", "turn.sealed = not turn.again()",
          "turn.sealed = True"),
    Break("what was put off first is done last", line, "Line.owe", "self.owed.append(item)",
          "self.owed.insert(0, item)"),
    Break("nobody waits for the journal when a session rests", session, "SessionActor._hand_over",
          "await opened.ledger.quiet()", "pass"),
    Break("what is unanswered is not handed over", session, "SessionActor._hand_over",
          "self._hosting.orphans[self._address] = orphans", "pass"),
    Break("what was handed over is taken twice", session, "SessionActor.on_start",
          "hosting.orphans.pop(self._address, None)", "hosting.orphans.get(self._address, None)"),
    Break("a request is not looked up", repeats, "known", "if key is None:", "if True:"),
    Break("two sessions of a person take one request", repeats, "known", "line.expect(message)", "pass"),
    Break("a segment leaves although its message is lost", stage, "SessionStage._segment",
          "self._refuse_when_over()", "pass", rare=True),
    Break("a turn that the journal never heard of keeps its name", session, "SessionActor._written",
          "elif turn.replaces and not turn.writing:", "elif False:", rare=True),
    Break("a message is said to be taken before it is durable", session, "SessionActor._accept",
          "turn.held = self._may_hold(turn, caller)", "caller.accepted(); turn.held = self._may_hold(turn, caller)"),
    Break("recovery forgets that a turn was superseded", recovery, "orphans_of", "while turn_id in successor:",
          "while False:"),
    Break("recovery forgets a turn's group", recovery, "orphans_of", "group.get(turn_id, turn_id)", "turn_id"),
    Break("the segments of a crashed turn are ignored", session, "SessionActor._take_up",
          "segments=segments, done=done)", "done=done)"),
    Break("a group that failed is counted", ledger, "Ledger._written", "if error is None:", "if True:"),
    Break("a new session does not wait for the last one's records", line, "Line.resume", "seq, self._before", "seq"),
    Break("an effect that was reserved is reserved again", stage, "SessionStage._reserve",
          "if known is not None:", "if False:"),
    Break("an effect may happen before its reservation is durable", stage, "SessionStage._reserve",
          "await self._scribe.commit(EffectReserved(", "self._scribe.post((EffectReserved(",
          "arguments=effect.arguments))", "arguments=effect.arguments),), lambda error: None)"),
    Break("a message may be acted upon before it is durable", stage, "SessionStage._reserve",
          "await self._ledger.quiet()", "pass"),
    Break("the writer forgets to listen for the next bell", scribe, "Scribe._take", "self._rung = False", "pass"),
    Break("the writer listens for the bell too late", scribe, "Scribe._take", "self._rung = False", "pass",
          "return groups", "self._rung = False; return groups", rare=True),
    Break("a commit is reported before it is made", scribe, "Writer._flush",
          "outcomes = self._append(groups)", "outcomes = [(done, None) for _, done in groups]",
          also="self._scribe._report(outcomes, sum(len(records) for records, _ in groups))",
          so="self._scribe._report(outcomes, 1); self._append(groups)"),
    Break("a mailbox goes idle outside its lock", mailbox, "Mailbox.take",
          "with self._lock:", "if True:"),
    Break("a replay begins before anybody listens", feed, "Feeds.follow",
          "listener = self.listen(session_id, after)", "listener = self.listen(session_id, after); "
          "self.leave(listener)"),
    Break("a listener hears again what was replayed", feed, "Listener.next", "if event.seq > self.cursor:", "if True:"),
    Break("a slot that is given back wakes nobody", fair, "FairGate.leave", "self._serve()", "pass"),
    Break("a slot is not given back when a turn fails", fair, "TenantSlot.__aexit__", "self._gate.leave(self._tenant)",
          "error is None and self._gate.leave(self._tenant)"),
    Break("a busy session may be let go", activations, "Activations.release", "and not owner.busy", ""),
    Break("letters that raced with the end are dropped", activations, "Activations._exited",
          "slot.hold([letter for letter in exit.left if not letter.is_stop], first=True)", "pass"),
    Break("a session is reopened although there is a newer one", line, "Line.owe",
          "and all(each.open is item.open for each in self.items)", "", rare=True),
    Break("a superseded turn has no run", outcome, "_with_former", "runs.append(run)", "pass"),
    Break("the run of a superseded turn is not a link of the chain", outcome, "_with_former",
          "session, run = superseded(", "_, run = superseded("),
    Break("callers of an absorbed message are forgotten", logical, "LogicalTurn.take_in",
          "self.callers += other.callers", "pass"),
    Break("listeners of an absorbed message are not told", outcome, "committing", "*turn.absorbed", ""),
    Break("what a superseded attempt did is forgotten", worker, "_think_and_finish",
          "turn.earlier += turn.stage.done", "pass"),
    Break("what is wanted still is undone", undoing, "to_undo", "if effect.key not in claimed:", "if True:"),
    Break("what was done before a crash is forgotten", line, "Line.take_up", "earlier=done", "earlier=[]"),
    Break("the undoing is not kept with the turn", outcome, "committing", "*undoing, ", ""),
    Break("each try at undoing has a key of its own", compensating, "Compensation.deliver",
          """key = f"{item.payload['key']}:undo\"""", """key = f"{item.payload['key']}:undo:{item.attempts}\""""),
    Break("a start that was stopped in good order counts", session, "SessionActor.on_stop",
          "await make_peace(self._line)", "pass"),
    Break("a turn that replaces another keeps its count", line, "Line._supersede", "peace=running.peace", "peace=None",
          rare=True),
    Break("the watchdog does not bark", thinking, "think", "deadline=anyio.current_time() + hosting.turn_seconds", ""),
)


@contextmanager
def broken(fault: Break) -> Iterator[None]:
    """While this lasts, the runtime has the fault."""
    function = _find(fault.module, fault.where)
    source = textwrap.dedent(inspect.getsource(function))
    if fault.old not in source or fault.also not in source:
        raise LookupError(f"{fault.where} does not say {fault.old!r} any more; say how to break it now")
    tree = ast.parse(source.replace(fault.old, fault.new, 1).replace(fault.also or fault.new, fault.so or fault.new))
    before = function.__code__
    function.__code__ = _code(tree, function.__name__)
    if fault.module in preempt.MODULES:
        preempt.broken[function] = _code(preempt.pointed(tree), function.__name__)
    try:
        yield
    finally:
        function.__code__ = before
        preempt.broken.clear()


def _code(tree: ast.Module, name: str) -> CodeType:
    compiled = compile(tree, "<broken>", "exec", __future__.annotations.compiler_flag, dont_inherit=True)
    return next(code for code in compiled.co_consts if isinstance(code, CodeType) and code.co_name == name)


def _find(module: ModuleType, where: str) -> FunctionType:
    found: Any = module
    for name in where.split("."):
        found = vars(found)[name]
    assert isinstance(found, FunctionType)
    return found
