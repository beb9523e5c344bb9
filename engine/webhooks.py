"""Tells other programs what happened in conversations: signed, at least once, only where settings or an admin say."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, NamedTuple, Protocol

import aiohttp
from msgspec.structs import replace

from ruche.actors.courier import TRIES, Undeliverable
from ruche.engine.callouts import Answered, Callouts, address_fault
from ruche.engine.config import WebhookSettings
from ruche.plugins.errors import ConfigurationError, ProviderFailed
from ruche.storage.model.conversation import SessionKey
from ruche.storage.model.event import Event, OutboxItem
from ruche.storage.model.record import AnyRecord, DeliveryNoted, WebhookSaved
from ruche.storage.model.run import Run
from ruche.storage.model.webhook import Delivery, DeliveryState, HookState, Webhook

KIND: Final = "webhook"
SHORTEST_SECRET: Final = 32
GIVES_UP_AFTER: Final = 10
"""Deliveries given up one after the other, after which a webhook of the API is disabled."""
_HELD_MS: Final = 3_600_000
"""What waits for a webhook that is not active is looked at again after this time, or once it is resumed."""
_SHOWN: Final = 500
"""Characters of an answer that are kept."""
_TOLD: Final = ("state", "reason", "superseded_by", "message_id", "error")
"""What of an event's data goes along."""
_RETRIED = frozenset({408, 425, 429})


class Keep(Protocol):
    """Makes records durable together."""

    def __call__(self, *records: AnyRecord) -> Awaitable[None]: ...


class Hook(NamedTuple):
    """An address that hears of a tenant's conversations; `kept` is None for one of the settings."""

    id: str
    tenant: str
    url: str
    secret: str
    events: tuple[str, ...]
    agents: tuple[str, ...]
    texts: bool
    private: bool
    state: HookState = "active"
    kept: Webhook | None = None


class Webhooks:
    """`notices` goes into the frame of a turn; `deliver` is the courier's route for what it made.

    Raises ConfigurationError for an address that may not be called, or a secret that is absent or short.
    """

    def __init__(self, settings: Mapping[str, WebhookSettings], secrets: Mapping[str, str], new_id: Callable[[], str],
                 clock_ms: Callable[[], int], keep: Keep | None = None, *, private: bool = False) -> None:
        """`keep` makes durable what became of deliveries; `private` lets webhooks of the API have private hosts."""
        self._hooks = {name: _of_settings(name, hook, secrets) for name, hook in settings.items()}
        self._new_id, self._clock_ms, self._keep = new_id, clock_ms, keep
        self._callouts, self.private = Callouts(), private

    def __bool__(self) -> bool:
        """Whether anybody wants to be told anything."""
        return any(hook.state == "active" for hook in self._hooks.values())

    def get(self, tenant: str, id: str) -> Hook | None:
        hook = self._hooks.get(id)
        return hook if hook is not None and hook.tenant == tenant else None

    def of(self, tenant: str) -> list[Hook]:
        """Those of a tenant, by id."""
        return sorted(hook for hook in self._hooks.values() if hook.tenant == tenant)

    def put(self, tenant: str, one: Webhook) -> Hook:
        """A webhook of the API as it stands now."""
        made = self._hooks[one.id] = Hook(one.id, tenant, one.url, one.secret, one.events, one.agents, one.texts,
                                          self.private, one.state, one)
        return made

    def drop(self, id: str) -> None:
        self._hooks.pop(id, None)

    def notices(self, key: SessionKey, events: tuple[Event, ...], run: Run | None) -> tuple[OutboxItem, ...]:
        """One item for each address that hears of each event."""
        return tuple(self._item(hook, key, event, run) for hook in self._hooks.values()
                     if hook.tenant == key.tenant and hook.state == "active"
                     and (not hook.agents or key.agent in hook.agents)
                     for event in events if event.kind in hook.events)

    async def deliver(self, tenant: str, item: OutboxItem) -> int | None:
        """Call the address; a time (ms) to look again where it is not to be called now. Raises Undeliverable when it
        refuses for good, ProviderFailed when it may not next time."""
        hook = self.get(tenant, item.target)
        if hook is None:
            raise Undeliverable("there is no such webhook any more")
        if hook.state != "active":
            return self._clock_ms() + _HELD_MS
        try:
            answered = await self.call(hook, item)
        except (ProviderFailed, OSError, aiohttp.ClientError) as error:  # a TimeoutError is an OSError
            await self._note(hook, item, Answered(0, ""), reason=type(error).__name__)
            raise
        refused = not (200 <= answered.status < 300)
        again = answered.status in _RETRIED or answered.status >= 500
        await self._note(hook, item, answered, final=not again,
                         reason=f"the address answered {answered.status}" if refused else "")
        if again:
            raise ProviderFailed(f"the address answered {answered.status}")
        if refused:
            raise Undeliverable(f"the address answered {answered.status}")
        return None

    async def call(self, hook: Hook, item: OutboxItem) -> Answered:
        """Send one item now, whatever the hook's state. Raises ProviderFailed, OSError and what aiohttp raises."""
        return await self._callouts.call(hook.url, hook.secret, hook.tenant, item, str(self._clock_ms() // 1000),
                                         private=hook.private)

    async def close(self) -> None:
        await self._callouts.close()

    async def _note(self, hook: Hook, item: OutboxItem, answered: Answered, *, reason: str,
                    final: bool = False) -> None:
        """Keep what became of it, and of the webhook where that says something about it."""
        if self._keep is None:
            return
        state: DeliveryState = "delivered" if not reason else (
            "given_up" if final or item.attempts + 1 >= TRIES else "waiting")
        now = self._clock_ms()
        noted = DeliveryNoted(tenant=hook.tenant, at_ms=now, delivery=Delivery(
            item=item, state=state, attempts=item.attempts + 1, tried_ms=now, status=answered.status, reason=reason,
            answered=answered.text[:_SHOWN]))
        changed = self._judged(hook, state)
        await self._keep(noted, *([WebhookSaved(tenant=hook.tenant, at_ms=now, webhook=changed)] if changed else []))

    def _judged(self, hook: Hook, state: DeliveryState) -> Webhook | None:
        """A webhook of the API whose count of failures changes by this."""
        now = self._hooks.get(hook.id)
        kept = now.kept if now is not None else None
        if kept is None or state == "waiting" or (state == "delivered" and not kept.failures):
            return None
        failures = 0 if state == "delivered" else kept.failures + 1
        disabled = failures >= GIVES_UP_AFTER and kept.state == "active"
        changed = replace(kept, failures=failures, state="disabled" if disabled else kept.state)
        self.put(hook.tenant, changed)
        return changed

    def _item(self, hook: Hook, key: SessionKey, event: Event, run: Run | None) -> OutboxItem:
        payload: dict[str, Any] = {
            "interlocutor": key.interlocutor, "event_type": event.kind, "event_id": f"{event.session_id}:{event.seq}",
            "at_ms": event.at_ms, "agent_id": key.agent, "session_id": event.session_id, "turn_id": event.turn_id,
            **{name: event.data[name] for name in _TOLD if name in event.data}}
        if run is not None:
            payload.update(status=run.status, risk=run.risk, response_type=run.response_type)
        if hook.texts and run is not None:
            payload["texts"] = {"said": run.said, "reply": run.reply}
        return OutboxItem(id=self._new_id(), kind=KIND, target=hook.id, at_ms=self._clock_ms(), payload=payload)


def _of_settings(name: str, hook: WebhookSettings, secrets: Mapping[str, str]) -> Hook:
    secret, fault = secrets.get(hook.secret, ""), address_fault(hook.url, private=hook.allow_private)
    if len(secret) < SHORTEST_SECRET:
        raise ConfigurationError(f"setting webhooks.{name}.secret: the variable RUCHE_SECRET_{hook.secret} must hold "
                                 f"{SHORTEST_SECRET} characters or more")
    if fault:
        raise ConfigurationError(f"setting webhooks.{name}.url: {fault}")
    return Hook(name, hook.tenant, hook.url, secret, hook.events, hook.agents, hook.texts, hook.allow_private)
