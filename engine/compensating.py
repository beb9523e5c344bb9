"""Undoes what a superseded turn had done: calls the tool that the author named as its compensation."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from ruche.actors.courier import Undeliverable
from ruche.engine.brain.undo import Done, undoing
from ruche.plugins.errors import NotFound, ProviderFailed
from ruche.storage.model.record import EffectSettled

if TYPE_CHECKING:
    from ruche.actors.scribe import Scribe
    from ruche.engine.brain.compiled import CompiledAgent
    from ruche.engine.catalog import Catalog
    from ruche.plugins.contracts import ToolGateway
    from ruche.storage.model.event import OutboxItem
    from ruche.storage.store import Store

log = logging.getLogger(__name__)


class Compensation:
    """The courier's route for it. Repeated calls carry the same `Idempotency-Key`, and none follows one that went well.
    """

    def __init__(self, scribe: Scribe, catalog: Catalog, tools: ToolGateway) -> None:
        self._scribe = scribe
        self._catalog = catalog
        self._tools = tools

    async def deliver(self, tenant: str, item: OutboxItem) -> None:
        """Raises Undeliverable when nobody can undo it, ProviderFailed when the tool failed."""
        key = f"{item.payload['key']}:undo"
        if await self._is_done(tenant, key):
            return
        agent = self._agent(tenant, item)
        done = Done(tool=agent.tools[item.target], arguments=item.payload["arguments"], value=item.payload["result"])
        found = undoing(done, agent.tools, {})
        if found is None or found[2]:
            log.error("what tool %s did cannot be undone: its compensation lacks %s", item.target,
                      "a tool" if found is None else ", ".join(found[2]))
            raise Undeliverable("there is nothing to undo it with")
        tool, arguments, _ = found
        result = await self._tools.call(agent.bundle, tool.tool, arguments, {
            "tenant": tenant, "interlocutor": item.payload["interlocutor"], "session": item.payload["session_id"],
            "turn": item.payload["turn_id"], "idempotency_key": key})
        if result.status != "ok":
            raise ProviderFailed(f"tool {tool.tool.id} answered {result.status}")
        await self._scribe.commit(EffectSettled(
            tenant=tenant, at_ms=item.at_ms, session_id=item.payload["session_id"], turn_id=item.payload["turn_id"],
            tool=tool.tool.id, key=key, status="ok", result=result.value, policy=tool.tool.policy, arguments=arguments))

    def _agent(self, tenant: str, item: OutboxItem) -> CompiledAgent:
        try:
            agent = self._catalog.current(tenant, item.payload["agent"])
        except NotFound as error:
            raise Undeliverable(error.message) from error
        if item.target not in agent.tools:
            raise Undeliverable("the agent has this tool no more")
        return agent

    async def _is_done(self, tenant: str, key: str) -> bool:
        def read(store: Store) -> bool:
            return isinstance(store.tenant(tenant).effect(key), EffectSettled)

        return await self._scribe.read(read)
