"""The turn of an agent that is silent because a person has the conversation: what was said is kept, nothing is done."""

from __future__ import annotations

import msgspec

from ruche.engine.brain.identify import Identified
from ruche.plugins.contracts import TurnOutput
from ruche.storage.model.conversation import Exchange
from ruche.storage.model.run import HISTORY, Run, TapeEntry, chain_link, digest, group_of, hashed
from ruche.storage.model.turn import Enforcement


def keep_quiet(who: Identified, engine: str, timings: dict[str, float], tape: tuple[TapeEntry, ...]) -> TurnOutput:
    """A reply of no words; scenarios and fields stay as they were."""
    turn, before = who.turn, who.turn.session
    said = tuple(message.text for message in turn.messages)
    after = msgspec.structs.replace(
        before, last_activity_ms=who.now_ms, turn_count=before.turn_count + 1, agent_version=who.agent.version,
        hint_ms=0, history=(*before.history, Exchange(turn_id=turn.turn_id, said=said, reply=""))[-HISTORY:])
    enforcement = Enforcement(risk="GREEN")
    run = Run(
        id=turn.turn_id, sequence=before.turn_count, previous=chain_link(before, engine), tenant=turn.tenant,
        agent=who.agent.id, agent_version=who.agent.version, session=before.id, interlocutor=before.key.interlocutor,
        channel=before.key.channel, request_id=turn.request_id, created_ms=who.now_ms, engine=engine, outcome="OK",
        status="handed_off", response_type="HANDOFF", risk="GREEN", language=before.language,
        message_ids=tuple(message.id for message in turn.messages), said=said, reply="", enforcement=enforcement,
        timings_ms=timings, tape=tape, turn_group_id=group_of(turn.turn_id, turn.turn_group),
        hashes=hashed(before, after, asked=turn.messages, enforcement=enforcement, reply="",
                      configuration=who.agent.configuration))
    return TurnOutput(session=msgspec.structs.replace(after, previous_run=digest(run)), run=run)
