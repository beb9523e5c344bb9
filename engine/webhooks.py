"""Tells other programs what happened in conversations: signed, at least once, only where the settings say."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

import aiohttp
import msgspec
from yarl import URL

from ruche.actors.courier import Undeliverable
from ruche.engine.config import WebhookSettings
from ruche.plugins.errors import ConfigurationError, ProviderFailed
from ruche.plugins.tools.addresses import PublicResolver, is_public
from ruche.storage.model.conversation import SessionKey
from ruche.storage.model.event import Event, OutboxItem
from ruche.storage.model.run import Run

KIND: Final = "webhook"
SCHEMA_VERSION: Final = "1.0"
LONGEST_BODY: Final = 64_000
"""Bytes; above that the texts stay at home."""
SHORTEST_SECRET: Final = 32
_TOLD: Final = ("state", "reason", "superseded_by", "message_id", "error")
"""What of an event's data goes along."""
_RETRIED = frozenset({408, 425, 429})
_LITERAL = re.compile(r"^(?:[0-9.]+|0x[0-9a-f.x]+|\[.*\]|.*:.*)$", re.IGNORECASE)
_encode = msgspec.json.Encoder().encode


class Webhooks:
    """`notices` goes into the frame of a turn; `deliver` is the courier's route for what it made.

    Raises ConfigurationError for an address that may not be called, or a secret that is absent or short.
    """

    def __init__(self, settings: Mapping[str, WebhookSettings], secrets: Mapping[str, str],
                 new_id: Callable[[], str], clock_ms: Callable[[], int]) -> None:
        self._hooks = dict(settings)
        self._secrets = {name: _secret(name, hook, secrets) for name, hook in settings.items()}
        self._new_id = new_id
        self._clock_ms = clock_ms
        self._sessions: dict[bool, aiohttp.ClientSession] = {}
        self._closed = False
        for name, hook in settings.items():
            _check_address(name, hook)

    def notices(self, key: SessionKey, events: tuple[Event, ...], run: Run | None) -> tuple[OutboxItem, ...]:
        """One item for each address that hears of each event."""
        return tuple(self._item(name, hook, key, event, run) for name, hook in self._hooks.items()
                     if hook.tenant == key.tenant and (not hook.agents or key.agent in hook.agents)
                     for event in events if event.kind in hook.events)

    async def deliver(self, tenant: str, item: OutboxItem) -> None:
        """Call the address. Raises Undeliverable when it refuses for good, ProviderFailed when it may not next time."""
        hook = self._hooks.get(item.target)
        if hook is None or hook.tenant != tenant:
            raise Undeliverable("the settings name this address no more")
        body, at = _body(tenant, item), str(self._clock_ms() // 1000)
        headers = {"Content-Type": "application/json", "X-Ruche-Timestamp": at, "X-Ruche-Delivery-Id": item.id,
                   "X-Ruche-Event-Type": str(item.payload["event_type"]),
                   "X-Ruche-Signature": signature(self._secrets[item.target], at, body)}
        async with self._session(hook.allow_private).post(
                hook.url, data=body, headers=headers, allow_redirects=False) as response:
            status = response.status
        if status in _RETRIED or status >= 500:
            raise ProviderFailed(f"the address answered {status}")
        if not 200 <= status < 300:
            raise Undeliverable(f"the address answered {status}")

    async def close(self) -> None:
        self._closed = True
        while self._sessions:
            await self._sessions.popitem()[1].close()

    def _item(self, name: str, hook: WebhookSettings, key: SessionKey, event: Event, run: Run | None) -> OutboxItem:
        payload: dict[str, Any] = {
            "interlocutor": key.interlocutor, "event_type": event.kind, "event_id": f"{event.session_id}:{event.seq}",
            "at_ms": event.at_ms, "agent_id": key.agent, "session_id": event.session_id, "turn_id": event.turn_id,
            **{name: event.data[name] for name in _TOLD if name in event.data}}
        if run is not None:
            payload.update(status=run.status, risk=run.risk, response_type=run.response_type)
        if hook.texts and run is not None:
            payload["texts"] = {"said": run.said, "reply": run.reply}
        return OutboxItem(id=self._new_id(), kind=KIND, target=name, at_ms=self._clock_ms(), payload=payload)

    def _session(self, private: bool) -> aiohttp.ClientSession:
        if self._closed:
            raise ProviderFailed("the engine is shutting down; it will be delivered afterwards")
        session = self._sessions.get(private)
        if session is None:
            connector = aiohttp.TCPConnector(limit_per_host=8) if private else aiohttp.TCPConnector(
                limit_per_host=8, resolver=PublicResolver(), use_dns_cache=False)
            session = self._sessions[private] = aiohttp.ClientSession(
                connector=connector, cookie_jar=aiohttp.DummyCookieJar(), headers={"User-Agent": "ruche"})
        return session


def signature(secret: str, timestamp: str, body: bytes) -> str:
    """`v1=` and HMAC-SHA-256, hexadecimal, over the timestamp (seconds), a dot and the body."""
    return "v1=" + hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()


def _body(tenant: str, item: OutboxItem) -> bytes:
    payload = {name: value for name, value in item.payload.items() if name != "interlocutor"}
    whole = {"delivery_id": item.id, "schema_version": SCHEMA_VERSION, "tenant_id": tenant, **payload}
    body = _encode(whole)
    return body if len(body) <= LONGEST_BODY else _encode({**whole, "texts": None})


def _secret(name: str, hook: WebhookSettings, secrets: Mapping[str, str]) -> str:
    secret = secrets.get(hook.secret, "")
    if len(secret) < SHORTEST_SECRET:
        raise ConfigurationError(f"setting webhooks.{name}.secret: the variable RUCHE_SECRET_{hook.secret} must hold "
                                 f"{SHORTEST_SECRET} characters or more")
    return secret


def _check_address(name: str, hook: WebhookSettings) -> None:
    where = f"setting webhooks.{name}.url"
    try:
        address = URL(hook.url)
    except ValueError as error:
        raise ConfigurationError(f"{where}: {error}") from None
    if address.scheme != "https" and not (hook.allow_private and address.scheme == "http"):
        raise ConfigurationError(f"{where}: write https://host/path")
    if not address.host or address.user or address.fragment:
        raise ConfigurationError(f"{where}: write https://host/path, without name, password or #")
    if not hook.allow_private and _LITERAL.match(address.raw_host or "") and not is_public(address.host):
        raise ConfigurationError(f"{where}: the host is not on the open Internet; write allow_private = true for it")
