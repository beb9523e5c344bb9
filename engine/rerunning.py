"""Runs again and compares what is recorded, while the engine runs: for `POST /v1/runs/{id}/replay` and `/diff`."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread
import msgspec

from ruche.engine.replay import Recorded, Replayed, load, replay
from ruche.plugins.contracts import Enforcer
from ruche.plugins.errors import NotFound
from ruche.storage.model.bundle import AgentBundle
from ruche.storage.model.run import Run, canonical
from ruche.storage.tenant import TenantStore

if TYPE_CHECKING:
    from ruche.engine.host import Host

AT_ONCE = 1
"""Replays that run beside the conversations."""
_COMPARED = ("agent", "agent_version", "said", "reply", "status", "outcome", "response_type", "language", "risk",
             "categories", "rules", "scenarios", "tools", "enforcement", "decisions", "usage", "error", "hashes")


class Rerunner:
    """Replays in a thread of their own, one at a time."""

    def __init__(self, host: Host) -> None:
        self._host, self._limiter = host, anyio.CapacityLimiter(AT_ONCE)

    async def replay(self, tenant: str, run_id: str, version: int | None = None) -> Replayed:
        """Run it again from its tape, with another published version of its agent where `version` says so.

        Raises NotFound (run, version), Erased.
        """
        recorded, instead = await self._host.scribe.read(
            lambda store: _read(store.tenant(tenant), run_id, version))
        enforcers = self._host.installed.enforcers
        return await anyio.to_thread.run_sync(partial(_again, recorded, enforcers, instead), limiter=self._limiter)


def _read(store: TenantStore, run_id: str, version: int | None) -> tuple[Recorded, AgentBundle | None]:
    recorded = load(store, run_id)
    if version is None:
        return recorded, None
    published = store.agent(recorded.runs[-1].agent, version)
    if published is None:
        raise NotFound("there is no such version of the run's agent")
    return recorded, AgentBundle.model_validate_json(published.bundle)


def _again(recorded: Recorded, enforcers: dict[str, Enforcer], instead: AgentBundle | None) -> Replayed:
    return anyio.run(partial(replay, recorded, enforcers, instead=instead))


def differences(left: Run, right: Run) -> list[tuple[str, Any, Any]]:
    """(field, left, right) of what differs in what two runs were told, decided and said."""
    found = []
    for name in _COMPARED:
        sides = getattr(left, name), getattr(right, name)
        if canonical(sides[0]) != canonical(sides[1]):
            found.append((name, msgspec.to_builtins(sides[0]), msgspec.to_builtins(sides[1])))
    return found
