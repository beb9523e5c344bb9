"""What happens to a turn when a newer message arrives while it thinks (conversation specification, section 3).

The decider is an argument of the session: a host may hand in another function of the same shape.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum

from ruche.storage.model.conversation import Message

log = logging.getLogger(__name__)


class Decision(Enum):
    """SUPERSEDE and ABSORB think again over all messages, the one as a new turn, the other as the same turn.

    CONTINUE lets the running turn take the newer message up as it goes on (`contracts.AbsorbingStage`). QUEUE tells the
    brain that somebody waits, FORCE_COMPLETE does not; both answer the newer message in its own turn, as CONTINUE does
    where the brain does not take it.
    """

    SUPERSEDE = "SUPERSEDE"
    ABSORB = "ABSORB"
    CONTINUE = "CONTINUE"
    QUEUE = "QUEUE"
    FORCE_COMPLETE = "FORCE_COMPLETE"


@dataclass(frozen=True, slots=True)
class Situation:
    """The facts a decider may look at. `effects` counts the side effects that the running turn has recorded."""

    channel: str
    turn_id: str
    messages: tuple[Message, ...]
    newer: Message
    commit_reached: bool
    effects: int


Decider = Callable[[Situation], Decision]

REQUEST_CHANNELS = frozenset({"api"})
"""Channels whose callers each wait for a reply of their own."""


def default_decider(situation: Situation) -> Decision:
    """QUEUE once something is irrevocable or where each request has its own reply, else SUPERSEDE."""
    if situation.commit_reached or situation.effects or situation.channel in REQUEST_CHANNELS:
        return Decision.QUEUE
    return Decision.SUPERSEDE


def _leaning(decision: Decision) -> Decider:
    """The default, but with this decision where it would think again as a new turn."""
    def decider(situation: Situation) -> Decision:
        usual = default_decider(situation)
        return decision if usual is Decision.SUPERSEDE else usual

    return decider


BUILT_IN: Mapping[str, Decider] = {
    "supersede": default_decider, "absorb": _leaning(Decision.ABSORB), "continue": _leaning(Decision.CONTINUE),
    "queue": _leaning(Decision.QUEUE)}
"""By the name that the settings use."""


def decide(decider: Decider, situation: Situation) -> Decision:
    """The decider's word, bounded by the law: after the commit point a turn is finished as it is.

    A decider is a plugin: one that raises or answers nonsense leaves it to the default.
    """
    try:
        decision = Decision(decider(situation))
    except Exception as error:
        log.error("the decider failed of %s; the default decides", type(error).__name__)
        decision = default_decider(situation)
    if situation.commit_reached and decision is not Decision.FORCE_COMPLETE:
        return Decision.QUEUE
    return decision
