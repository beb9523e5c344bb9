"""What subscribers are told of a turn: the run holds it, and the event that is kept only names the run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from ruche.storage.model.event import Event
from ruche.storage.model.run import Run

GONE: dict[str, Any] = {"reply": "", "status": "expired", "response_type": "", "language": ""}
"""Of a turn whose run was dropped for its age."""


def is_bare(event: Event) -> bool:
    """True for an event that has to be told with what its run holds."""
    return event.kind == "turn.completed" and not event.data


def told(events: Sequence[Event], runs: Mapping[str, Run]) -> tuple[Event, ...]:
    """The events as subscribers are told them; `runs` by id."""
    return tuple([_filled(event, runs.get(event.turn_id)) if is_bare(event) else event for event in events])


def _filled(event: Event, run: Run | None) -> Event:
    data = ({"session_id": event.session_id, "turn_id": event.turn_id, **GONE} if run is None
            else msgspec.to_builtins(run.turn()))
    return msgspec.structs.replace(event, data=data)
