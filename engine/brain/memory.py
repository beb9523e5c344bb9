"""Between phases 1 and 2, where the agent remembers: what of earlier conversations bears on this message.

It serves quality and fails open: what cannot be recalled in time is not known, and the run says why. What is recalled
is data with a speaker; it never chooses a rule, a step or a tool.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec

from ruche.engine.brain.calls import asked
from ruche.engine.brain.identify import Identified
from ruche.engine.brain.screen import orders
from ruche.plugins.contracts import Asked, Memory, Recalled, Recollected, TurnOutput
from ruche.plugins.tape import Tape
from ruche.storage.model.event import OutboxItem
from ruche.storage.model.memory import AGENT, PERSON
from ruche.storage.model.turn import MemoryHit

SECONDS = 1.0
"""After which the turn goes on without memories (specification, memory A9)."""
KIND = "memory"
"""Of the outbox item that has a turn learnt once it is committed."""


async def recall(who: Identified, memory: Memory, tape: Tape) -> Identified:
    """The turn's fixed points with what was recalled. What stands in the session's own history is left out."""
    turn, head = who.turn, who.agent.bundle.agent
    question = Asked(
        tenant=turn.tenant, person=turn.session.key.interlocutor, text=who.text, asker=PERSON, other=AGENT,
        now_ms=who.now_ms, half_life_days=head.memory_half_life_days,
        without=tuple(exchange.turn_id for exchange in turn.session.history))
    request = [who.text, who.now_ms, question.half_life_days, question.without]
    found, fault = await asked(tape, "recall", request, lambda: memory.recall(question), Recalled, SECONDS)
    return msgspec.structs.replace(who, recalled=_screened(who, found) if found else Recalled(reason=fault))


def _screened(who: Identified, found: Recalled) -> Recalled:
    """Without citing what reads like orders to the agent."""
    if not who.agent.screened:
        return found
    bad = {one.id for one in found.memories if one.id in found.cited and orders(one.text)}
    return msgspec.structs.replace(found, cited=tuple(name for name in found.cited if name not in bad))


def cited(who: Identified) -> tuple[Recollected, ...]:
    """Those worth telling, best first."""
    if who.recalled is None:
        return ()
    known = {one.id: one for one in who.recalled.memories}
    return tuple(known[name] for name in who.recalled.cited if name in known)


def memory_names(who: Identified) -> dict[str, Any]:
    """The best that is cited, for texts and expressions. Without one the names are not known."""
    best = cited(who)[:1]
    return {"memory_text": best[0].text, "memory_speaker": best[0].speaker,
            "memory_date": _day(who, best[0])} if best else {}


def as_data(who: Identified, memories: tuple[Recollected, ...]) -> list[dict[str, str]]:
    """What a model is told of them."""
    return [{"speaker": one.speaker, "date": _day(who, one), "text": one.text} for one in memories]


def hits(who: Identified) -> tuple[MemoryHit, ...]:
    return tuple(MemoryHit(chunk_id=one.id, score=one.score) for one in cited(who))


def explained(who: Identified) -> dict[str, Any]:
    """How the memories were chosen: what was considered, each kept one with its scores, cues and places."""
    found = who.recalled
    if found is None or not (found.considered or found.reason):
        return {}
    kept = [{"id": one.id, "score": one.score, "vector": one.vector, "lexical": one.lexical, "cues": one.cues,
             "place": one.place, "reranked": one.reranked} for one in found.memories]
    return {"considered": found.considered, "reason": found.reason, "kept": kept, "cited": found.cited,
            "method": found.method, "repeated": found.repeated}


def to_be_learnt(output: TurnOutput, who: Identified) -> TurnOutput:
    """The turn with the errand to learn it, which is committed with it."""
    turn = who.turn
    item = OutboxItem(id=f"{KIND}:{turn.turn_id}", kind=KIND, target="", at_ms=who.now_ms,
                      payload={"interlocutor": turn.session.key.interlocutor, "run": turn.turn_id})
    return msgspec.structs.replace(output, outbox=(*output.outbox, item))


def _day(who: Identified, one: Recollected) -> str:
    return datetime.fromtimestamp(one.at_ms // 1000, UTC).astimezone(who.agent.zone).date().isoformat()
