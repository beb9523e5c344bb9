"""One turn is thought: a brain under a deadline, whatever it does."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass

import anyio

from ruche.actors.hosting import Hosting
from ruche.actors.logical import LogicalTurn
from ruche.actors.stage import REPLY_CHARACTERS, SessionStage
from ruche.plugins.contracts import TurnInput, TurnOutput
from ruche.plugins.errors import RucheError
from ruche.plugins.given import SITE, Given, given
from ruche.plugins.tape import LiveTape
from ruche.storage.model.conversation import Profile
from ruche.storage.model.run import TapeEntry

log = logging.getLogger(__name__)

TIMEOUT = "TIMEOUT"


@dataclass(frozen=True, slots=True)
class Thought:
    """What came of thinking: an output, or the stable code of what went wrong."""

    output: TurnOutput | None
    error: str
    segments: tuple[str, ...]
    tape: tuple[TapeEntry, ...]
    ms: float


async def think(turn: LogicalTurn, profile: Profile, hosting: Hosting) -> Thought:
    """Run the brain in one cancel scope, which a supersede or the watchdog cancels. Only the actor's end gets out."""
    state = turn.open.state
    stage = SessionStage(turn.turn_id, state, turn.open.ledger, hosting.scribe, hosting.feeds, hosting.clock_ms)
    tape = LiveTape(hosting.clock_ms, hosting.entropy)
    begun = time.perf_counter()
    with anyio.CancelScope(deadline=anyio.current_time() + hosting.turn_seconds) as scope:
        turn.stage, turn.scope = stage, scope
        try:
            output, error = await _ask_brain(turn, profile, hosting, tape, stage)
        except asyncio.CancelledError:
            if scope.cancel_called or _being_cancelled():
                raise
            output, error = None, "CANCELLED"
        finally:
            stage.end()
            turn.scope = None
    if scope.cancelled_caught:
        output, error = None, TIMEOUT
    return Thought(output, error, tuple(stage.segments), tape.entries(), (time.perf_counter() - begun) * 1000)


async def _ask_brain(turn: LogicalTurn, profile: Profile, hosting: Hosting, tape: LiveTape,
                     stage: SessionStage) -> tuple[TurnOutput | None, str]:
    state = turn.open.state
    asked = TurnInput(
        tenant=state.key.tenant, agent=state.key.agent, turn_id=turn.turn_id, turn_group=turn.group,
        request_id=turn.messages[-1].request_id, messages=tuple(turn.messages), session=state, profile=profile,
        deadline_ms=hosting.clock_ms() + round(hosting.turn_seconds * 1000), waited_ms=turn.waited_ms)
    try:
        tape.ask_now(SITE, None, lambda: given(asked), Given)
        output = await hosting.brain.think(asked, tape, stage)
    except Exception as error:
        log.error("turn %s failed of %s%s", turn.turn_id, type(error).__name__, _place(error))
        return None, error.code if isinstance(error, RucheError) else "INTERNAL"
    fault = _fault(output, asked, turn, stage)
    if fault:
        log.error("turn %s: the brain's answer is refused: %s", turn.turn_id, fault)
        return None, "INVALID_OUTPUT"
    return output, ""


def _fault(output: TurnOutput, asked: TurnInput, turn: LogicalTurn, stage: SessionStage) -> str:
    """Why an output cannot be committed; a brain is a plugin."""
    if not isinstance(output, TurnOutput):
        return f"a {type(output).__name__} instead of a TurnOutput"
    before, after, run = asked.session, output.session, output.run
    if run.id != asked.turn_id or run.session != before.id or run.tenant != before.key.tenant:
        return "the run names another turn, session or tenant"
    if after.id != before.id or after.key != before.key or after.turn_count != before.turn_count + 1:
        return "the session after the turn is not the session before it, one turn older"
    if run.sequence != before.turn_count:
        return "the run's sequence is not the session's"
    if run.message_ids != tuple([message.id for message in turn.messages]) and not turn.again():
        return "the run answers other messages than the turn has"
    if len(run.reply) > REPLY_CHARACTERS:
        return f"the reply has more than {REPLY_CHARACTERS:,} characters"
    if stage.segments and run.reply != "".join(stage.segments):
        return "the reply is not what was released"
    return ""


def _being_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _place(error: BaseException) -> str:
    """File and line of an error; never its text, which may be a person's."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return "" if trace is None else f" at {trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"
