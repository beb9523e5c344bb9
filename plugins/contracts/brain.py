"""What the runtime hosts: a brain that takes a turn's input and stages everything that it decides."""

from __future__ import annotations

from typing import Any, Literal, Protocol, runtime_checkable

from ruche.plugins.tape import Tape
from ruche.storage.model.conversation import Message, Profile, SessionState, Struct
from ruche.storage.model.event import OutboxItem
from ruche.storage.model.run import Run


class TurnInput(Struct, frozen=True, kw_only=True):
    """Everything a turn starts from. `messages` belong together and are answered by one reply."""

    tenant: str
    agent: str
    turn_id: str
    request_id: str
    messages: tuple[Message, ...]
    session: SessionState
    profile: Profile
    deadline_ms: int | None = None
    """Milliseconds since 1970 UTC at which the turn is given up."""
    turn_group: str = ""
    """Shared by a turn and the turns that replace it: the scope of effect keys."""
    waited_ms: float = 0.0
    """How long the session waited for messages that belong together."""


class TurnOutput(Struct, frozen=True, kw_only=True):
    """Everything a turn decided, staged: nothing in it is true before the session has committed it.

    `run.reply` equals the released segments joined, when there were any.
    """

    session: SessionState
    run: Run
    profile: Profile | None = None
    """The changed profile, None when unchanged."""
    outbox: tuple[OutboxItem, ...] = ()


class Effect(Struct, frozen=True, kw_only=True):
    """A tool call with consequences, before it happens. `key` identifies it across retries of the same turn group."""

    tool: str
    key: str
    policy: Literal["PURE", "IDEMPOTENT", "COMPENSATABLE", "IRREVERSIBLE"]
    arguments: dict[str, Any] = {}


class EffectOutcome(Struct, frozen=True, kw_only=True):
    """What is known of an effect: `new` may be tried, `unknown` was started before a crash and must not be repeated."""

    status: Literal["new", "ok", "error", "timeout", "unknown"]
    result: Any = None


class Stage(Protocol):
    """What the session offers a brain while it thinks. Everything here is real: it is journalled before it returns."""

    async def release(self, text: str) -> None:
        """Hand a checked segment to the interlocutor. After the first, the turn can no longer be superseded."""

    def progress(self, phase: str, ms: float) -> None:
        """Tell subscribers that a phase ended after `ms` milliseconds."""

    def pending(self) -> bool:
        """True once newer messages wait; turns False again within a turn only when it absorbs them all."""

    async def reserve(self, effect: Effect) -> EffectOutcome:
        """Reserve an effect before it happens; the answer says whether it may."""

    async def settle(self, effect: Effect, outcome: EffectOutcome) -> None:
        """Record how a reserved effect ended."""


@runtime_checkable
class AbsorbingStage(Stage, Protocol):
    """A stage that hands newer messages to the turn that runs; sessions offer one."""

    def absorb(self) -> tuple[Message, ...]:
        """The durable messages that have come since and are this turn's from now on, oldest first, where the host's
        decider has said CONTINUE of them; `run.message_ids` and `run.said` name them as well. What is not taken is
        answered by the next turn. Goes through the tape, as everything that a turn learns from outside."""


@runtime_checkable
class Brain(Protocol):
    """Decides what an agent says. One method; it writes nothing and reads the outside world through the tape only."""

    async def think(self, turn: TurnInput, tape: Tape, stage: Stage) -> TurnOutput: ...
