"""From a text to its explanation: the input that a turn would have, thought about and thrown away."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ruche.engine.brain.explain import Explained
from ruche.engine.brain.turn import PhasedBrain
from ruche.engine.request import Request
from ruche.plugins.contracts import TurnInput
from ruche.plugins.errors import InvalidRequest, NotFound
from ruche.plugins.tape import LiveTape
from ruche.storage.model.conversation import Message, Profile, SessionState

if TYPE_CHECKING:
    from ruche.engine.host import Host

NOBODY = "explain"


async def explain(host: Host, tenant: str, agent: str, text: str, session: SessionState | None) -> Explained:
    """In the place of `session`, or in a conversation that begins. Raises NotFound and InvalidRequest."""
    request = Request(agent=agent, message=text, user=NOBODY, tenant=tenant)
    request.check()
    host.catalog.published(tenant, agent)
    brain = host.hosting.brain
    if not isinstance(brain, PhasedBrain):
        raise InvalidRequest("the brain of this host does not explain")
    if session is not None and session.key.agent != agent:
        raise NotFound("there is no such session")
    now = host.hosting.clock_ms()
    state = session or SessionState(id=NOBODY, key=request.key, created_ms=now, last_activity_ms=now)
    turn = TurnInput(tenant=tenant, agent=agent, turn_id=NOBODY, request_id="", session=state,
                     profile=await profile_of(host, state), messages=(Message(id=NOBODY, text=text, at_ms=now),))
    return await brain.explain(turn, LiveTape(host.hosting.clock_ms, host.hosting.entropy))


async def profile_of(host: Host, session: SessionState) -> Profile:
    """What is kept of the session's person; an empty profile for nobody."""
    key = session.key
    empty = Profile(interlocutor=key.interlocutor, tenant=key.tenant)
    if session.id == NOBODY:
        return empty
    kept = await host.scribe.read(lambda store: store.tenant(key.tenant).profile(key.interlocutor))
    return kept or empty
