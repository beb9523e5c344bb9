"""Published versions of a tenant's agents."""

from __future__ import annotations

import msgspec

from ruche.storage.model.record import AgentPublished
from ruche.storage.rows import AgentRow
from ruche.storage.secured import Door, Filter

_published = msgspec.msgpack.Decoder(AgentPublished).decode


class Agents:
    """Read-only, bound to one tenant."""

    def __init__(self, door: Door, tenant: str) -> None:
        self._agents = door.handle(tenant, AgentRow)

    def get(self, agent_id: str, version: int | None) -> AgentPublished | None:
        """A version, or the newest one."""
        if version is not None:
            row = self._agents.get(f"{agent_id}:{version}")
        else:
            rows = self._agents.find(Filter("agent", "=", agent_id), order=("version",), descending=True, limit=1)
            row = rows[0] if rows else None
        return None if row is None else _published(row["record"])

    def newest(self) -> list[AgentPublished]:
        """The newest version of every agent, by id."""
        found: dict[str, AgentPublished] = {}
        for row in self._agents.find(order=("version",), limit=1_000_000):
            published = _published(row["record"])
            found[published.agent] = published
        return [found[agent] for agent in sorted(found)]
