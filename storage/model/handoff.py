"""A person takes part in a conversation: somebody asks for one, one takes over, speaks, and gives it back.

Each is a run in the session's chain, so that what a person did and said is kept, sealed and verified as a turn is.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from ruche.storage.model.conversation import Exchange, Handover, SessionState, Struct
from ruche.storage.model.run import HISTORY, Run, chain_link, digest, hashed
from ruche.storage.model.turn import Enforcement

PERSON = "person"
"""Under which a run's decisions say that a person made it."""

Action = Literal["handoff", "takeover", "reply", "return"]


class Intervention(Struct, frozen=True, kw_only=True):
    """What somebody did. `by` is who, nobody where the time was up; `text` the reply, or the reason for the others.

    From `until_ms` on (0: never) the agent speaks again by itself.
    """

    action: Action
    by: str
    text: str = ""
    until_ms: int = 0
    key: str = ""
    """The caller's idempotency key."""

    @property
    def fingerprint(self) -> str:
        """Stands for what was asked, whenever it was asked."""
        return digest([self.action, self.by, self.text])[:16]


def is_away(state: SessionState, now_ms: int) -> bool:
    """Whether the conversation is with a person, or waits for one, instead of with the agent."""
    handover = state.handover
    return state.handed_off and (handover is None or not handover.until_ms or now_ms < handover.until_ms)


def is_taken(state: SessionState, now_ms: int) -> bool:
    """Whether a person has it, so that the agent is silent."""
    return is_away(state, now_ms) and state.handover is not None and bool(state.handover.by)


def intervention_of(run: Run) -> Intervention | None:
    """What a person did in this run; None where the agent made it."""
    told: Any = run.decisions.get(PERSON)
    return None if told is None else msgspec.convert({**told, "text": told.get("text", "") or run.reply}, Intervention)


def intervene(state: SessionState, what: Intervention, *, turn_id: str, engine: str, at_ms: int,
              request_id: str = "") -> tuple[SessionState, Run]:
    """The run of an intervention, and the session after it."""
    after, key = after_intervention(state, what, turn_id, at_ms), state.key
    reply = what.text if what.action == "reply" else ""
    told = msgspec.to_builtins(msgspec.structs.replace(what, text="") if reply else what)
    enforcement = Enforcement(risk="GREEN")
    run = Run(
        id=turn_id, sequence=state.turn_count, previous=chain_link(state, engine), tenant=key.tenant, agent=key.agent,
        agent_version=state.agent_version, session=state.id, interlocutor=key.interlocutor, channel=key.channel,
        request_id=request_id, created_ms=at_ms, engine=engine, outcome="OK", response_type="HANDOFF", risk="GREEN",
        status="complete" if what.action == "return" else "handed_off", language=state.language, message_ids=(),
        said=(), reply=reply, categories=("PERSON",), enforcement=enforcement, decisions={PERSON: told},
        hashes=hashed(state, after, asked=what, enforcement=enforcement, reply=reply))
    return msgspec.structs.replace(after, previous_run=digest(run)), run


def after_intervention(state: SessionState, what: Intervention, turn_id: str, at_ms: int) -> SessionState:
    """The session after it. A question that the agent had asked is not open any more once a person has spoken."""
    last = at_ms if what.by else state.last_activity_ms  # that time passes is no activity
    state = msgspec.structs.replace(state, turn_count=state.turn_count + 1, last_activity_ms=last, hint_ms=0)
    if what.action == "return":
        return msgspec.structs.replace(state, handed_off=False, handover=None, unmatched_streak=0)
    by = "" if what.action == "handoff" else what.by
    since = state.handover.since_ms if state.handover is not None and state.handover.by == by else at_ms
    state = msgspec.structs.replace(state, handed_off=True, pending=None,
                                    handover=Handover(
        by=by, since_ms=since, until_ms=what.until_ms, turn_id=turn_id, key=what.key,
        fingerprint=what.fingerprint if what.key else ""))
    if what.action != "reply":
        return state
    exchange = Exchange(turn_id=turn_id, said=(), reply=what.text)
    return msgspec.structs.replace(state, history=(*state.history, exchange)[-HISTORY:])
