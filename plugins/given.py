"""What a turn was given besides its session's state: the first entry of its tape, so that it can be run again."""

from __future__ import annotations

from msgspec.structs import replace

from ruche.plugins.contracts import TurnInput
from ruche.storage.model.conversation import Message, Profile, SessionState, Struct
from ruche.storage.model.run import Run

SITE = "input"


class Given(Struct, frozen=True, kw_only=True):
    """`messages` are those that the turn began with, without their texts, which the run holds as `said`."""

    group: str
    deadline_ms: int | None
    messages: tuple[Message, ...]
    profile: Profile


def given(turn: TurnInput) -> Given:
    """What the tape keeps of an input."""
    return Given(group=turn.turn_group, deadline_ms=turn.deadline_ms, profile=turn.profile,
                 messages=tuple(replace(message, text="") for message in turn.messages))


def input_again(kept: Given, run: Run, session: SessionState) -> TurnInput:
    """The input that a run was made from. Raises ValueError when the tape and the run do not fit together."""
    said = run.said[:len(kept.messages)]  # what was taken in later is on the tape
    messages = tuple(replace(message, text=text) for message, text in zip(kept.messages, said, strict=True))
    return TurnInput(tenant=run.tenant, agent=run.agent, turn_id=run.id, request_id=run.request_id, messages=messages,
                     session=session, profile=kept.profile, deadline_ms=kept.deadline_ms, turn_group=kept.group,
                     waited_ms=run.timings_ms.get("accumulate", 0.0))
