"""Published versions of a tenant's agents, and the drafts that authors work on over the API."""

from __future__ import annotations

import msgspec

from ruche.storage.model.migration import MigrationPlan
from ruche.storage.model.record import AgentPublished, DraftSaved, MigrationSaved
from ruche.storage.rows import DRAFT, PLAN, AgentRow
from ruche.storage.secured import Door, Filter

_published = msgspec.msgpack.Decoder(AgentPublished).decode
_plan = msgspec.msgpack.Decoder(MigrationSaved).decode
_draft = msgspec.msgpack.Decoder(DraftSaved).decode


class Agents:
    """Read-only, bound to one tenant."""

    def __init__(self, door: Door, tenant: str) -> None:
        self._agents = door.handle(tenant, AgentRow)

    def get(self, agent_id: str, version: int | None) -> AgentPublished | None:
        """A version, or the newest one."""
        if version is not None:
            row = self._agents.get(f"{agent_id}:{version}") if version > DRAFT else None
        else:
            rows = self._agents.find(Filter("agent", "=", agent_id), Filter("version", ">", DRAFT),
                                     order=("version",), descending=True, limit=1)
            row = rows[0] if rows else None
        return None if row is None else _published(row["record"])

    def newest(self) -> list[AgentPublished]:
        """The newest version of every agent, by id."""
        found: dict[str, AgentPublished] = {}
        for row in self._agents.find(Filter("version", ">", DRAFT), order=("version",), limit=1_000_000):
            published = _published(row["record"])
            found[published.agent] = published
        return [found[agent] for agent in sorted(found)]

    def draft(self, agent_id: str) -> DraftSaved | None:
        row = self._agents.get(f"{agent_id}:{DRAFT}")
        return None if row is None else _draft(row["record"])

    def plan(self, agent_id: str, plan_id: str) -> MigrationPlan | None:
        """A plan for running conversations."""
        row = self._agents.get(f"{agent_id}:{PLAN}:{plan_id}")
        return None if row is None else _plan(row["record"]).plan

    def plans(self, agent_id: str | None = None) -> list[MigrationPlan]:
        """Newest first."""
        by_agent = [] if agent_id is None else [Filter("agent", "=", agent_id)]
        rows = self._agents.find(Filter("version", "=", PLAN), *by_agent, limit=1_000_000)
        return sorted((_plan(row["record"]).plan for row in rows), key=lambda plan: (-plan.created_ms, plan.id))

    def drafts(self) -> list[DraftSaved]:
        """By the agent's id."""
        rows = self._agents.find(Filter("version", "=", DRAFT), limit=1_000_000)
        return sorted((_draft(row["record"]) for row in rows), key=lambda draft: draft.agent)
