"""Runs of other programs: judged here by the agent's rules, whatever their producer thinks of them, and kept for good.

What breaks a hard rule, or cannot be judged, is kept as well, and the producer is told not to use it. Each is a
conversation of its own that has ended; it belongs to its person, so that an erasure reaches it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec

from ruche.engine.brain.outside import Evaluated
from ruche.engine.brain.turn import PhasedBrain
from ruche.engine.explaining import profile_of
from ruche.engine.oversight import refuse_leaving
from ruche.plugins.contracts import TurnInput
from ruche.plugins.errors import Conflict, InvalidRequest
from ruche.plugins.tape import LiveTape
from ruche.storage.model.conversation import Message, SessionKey, SessionState
from ruche.storage.model.record import TurnCommitted
from ruche.storage.model.run import IMPORTED, Run, chain_link, digest, hashed

if TYPE_CHECKING:
    from ruche.engine.host import Host

CHANNEL = "@external"
"""No conversation can be held on it: names of channels begin with a letter."""


class SafetyBlocked(Conflict):
    """The run is kept, and what it would say may not be said. `run_id` in the details."""

    code = "SAFETY_BLOCKED"


class Produced(NamedTuple):
    """What a producer tells of one run."""

    agent: str
    interlocutor: str
    said: tuple[str, ...]
    reply: str
    producer: str


async def keep_run(host: Host, tenant: str, made: Produced, request_id: str = "") -> Run:
    """Judge it and keep it. Raises NotFound (agent), InvalidRequest (a brain that does not judge), SafetyBlocked after
    it was kept, Unavailable while the person is being erased, StorageFull."""
    brain, now = host.hosting.brain, host.hosting.clock_ms()
    host.catalog.published(tenant, made.agent)
    made = made._replace(interlocutor=host.linked.person(tenant, made.interlocutor))
    refuse_leaving(host, tenant, made.interlocutor)
    if not isinstance(brain, PhasedBrain):
        raise InvalidRequest("the brain of this host does not judge what others said")
    key = SessionKey(tenant=tenant, agent=made.agent, interlocutor=made.interlocutor, channel=CHANNEL)
    content_key = await host.scribe.read(lambda store: store.tenant(tenant).content_key)
    before = SessionState(id=host.hosting.new_id(), key=key, created_ms=now, last_activity_ms=now,
                          content_key=content_key)
    turn = TurnInput(
        tenant=tenant, agent=made.agent, turn_id=host.hosting.new_id(), request_id=request_id, session=before,
        profile=await profile_of(host, before),
        messages=tuple(Message(id=host.hosting.new_id(), text=text, at_ms=now) for text in made.said))
    found = await brain.judge(turn, made.reply, LiveTape(host.hosting.clock_ms, host.hosting.entropy))
    run, after = _run(turn, before, made, found, now)
    await host.scribe.commit(TurnCommitted(tenant=tenant, at_ms=now, session=after, run=run, answered=()))
    if run.risk in ("RED", "UNKNOWN"):
        reasons = [f"{one.rule}: {one.reason}" for one in run.enforcement.violations]
        raise SafetyBlocked(f"the run is kept, and its risk is {run.risk}", run_id=run.id, violations=reasons)
    return run


def _run(turn: TurnInput, before: SessionState, made: Produced, found: Evaluated, now: int) -> tuple[Run, SessionState]:
    """The run and the session after it."""
    after = msgspec.structs.replace(before, turn_count=1, closed_ms=now, agent_version=found.version)
    blocked, engine = found.enforcement.risk in ("RED", "UNKNOWN"), f"{IMPORTED} {made.producer}"
    run = Run(
        id=turn.turn_id, sequence=0, previous=chain_link(before, engine), tenant=turn.tenant, agent=made.agent,
        agent_version=found.version, session=before.id, interlocutor=made.interlocutor, channel=CHANNEL,
        request_id=turn.request_id, created_ms=now, engine=engine, outcome="BLOCKED" if blocked else "OK",
        status="blocked" if blocked else "complete", response_type="ANSWER", risk=found.enforcement.risk,
        language=found.language, message_ids=(), said=made.said, reply=made.reply, rules=found.rules,
        enforcement=found.enforcement, decisions={"producer": made.producer},
        hashes=hashed(before, after, asked=list(made.said), enforcement=found.enforcement, reply=made.reply,
                      configuration=found.configuration))
    return run, msgspec.structs.replace(after, previous_run=digest(run))
