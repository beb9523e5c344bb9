"""What a session can be asked: the messages that its mailbox takes."""

from __future__ import annotations

from dataclasses import dataclass

from ruche.actors.logical import Want
from ruche.storage.model.conversation import Message, SessionState
from ruche.storage.model.handoff import Intervention


@dataclass(frozen=True, slots=True)
class Say:
    """Something was said. Answered with a Turn (want "reply"), or with Taken once the message is durable.

    `session_id` must be the open session of the key, when it is given. The same idempotency key with the same
    fingerprint gets the same answer, with another fingerprint IdempotencyMismatch.
    """

    message: Message
    want: Want = "reply"
    new_session: bool = False
    session_id: str | None = None


@dataclass(frozen=True, slots=True)
class Typing:
    """The interlocutor is typing: a window that is open stays open for longer."""


@dataclass(frozen=True, slots=True)
class Close:
    """Close the open session once its turns are done; answered with its last state. NotFound when it is not open."""

    session_id: str | None = None


@dataclass(frozen=True, slots=True)
class Intervene:
    """A person takes part in the open session, after the turns that it has; answered with the run of it.

    NotFound when it is not open, Conflict when its state does not allow this.
    """

    session_id: str
    what: Intervention
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class Resume:
    """Go on with what was put off, if anything is."""


@dataclass(frozen=True, slots=True)
class Look:
    """Ask for a Snapshot."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """`session` is None while none is open; its `processing_turn` is the turn in hand. `waiting` counts messages."""

    session: SessionState | None
    waiting: int
