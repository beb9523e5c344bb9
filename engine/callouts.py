"""Calls addresses outside: signed, to public hosts unless told otherwise, without redirects, in ten seconds."""

from __future__ import annotations

import hashlib
import hmac
import re
from typing import Any, Final, NamedTuple

import aiohttp
import msgspec
from yarl import URL

from ruche.plugins.errors import ProviderFailed
from ruche.plugins.tools.addresses import PublicResolver, is_public
from ruche.storage.model.event import OutboxItem

SCHEMA_VERSION: Final = "1.0"
LONGEST_BODY: Final = 64_000
"""Bytes; above that the texts stay at home."""
_SECONDS: Final = 10.0
_READ: Final = 4_096
"""Bytes of an answer that are looked at."""
_LITERAL = re.compile(r"^(?:[0-9.]+|0x[0-9a-f.x]+|\[.*\]|.*:.*)$", re.IGNORECASE)
_encode = msgspec.json.Encoder().encode


class Answered(NamedTuple):
    """What an address said."""

    status: int
    text: str


class Callouts:
    """One pool of connections for public hosts, another for those that may be private."""

    def __init__(self) -> None:
        self._sessions: dict[bool, aiohttp.ClientSession] = {}
        self._closed = False

    async def call(self, url: str, secret: str, tenant: str, item: OutboxItem, at: str, *, private: bool) -> Answered:
        """Send the item at a time (seconds since 1970, as text). Raises ProviderFailed, OSError, TimeoutError and what
        aiohttp raises."""
        body = _body(tenant, item)
        headers = {"Content-Type": "application/json", "X-Ruche-Timestamp": at, "X-Ruche-Delivery-Id": item.id,
                   "X-Ruche-Event-Type": str(item.payload["event_type"]),
                   "X-Ruche-Signature": signature(secret, at, body)}
        async with self._session(private).post(url, data=body, headers=headers, allow_redirects=False) as response:
            return Answered(response.status, (await response.content.read(_READ)).decode(errors="replace"))

    async def close(self) -> None:
        self._closed = True
        while self._sessions:
            await self._sessions.popitem()[1].close()

    def _session(self, private: bool) -> aiohttp.ClientSession:
        if self._closed:
            raise ProviderFailed("the engine is shutting down; it will be delivered afterwards")
        session = self._sessions.get(private)
        if session is None:
            connector = aiohttp.TCPConnector(limit_per_host=8) if private else aiohttp.TCPConnector(
                limit_per_host=8, resolver=PublicResolver(), use_dns_cache=False)
            session = self._sessions[private] = aiohttp.ClientSession(
                connector=connector, cookie_jar=aiohttp.DummyCookieJar(), headers={"User-Agent": "ruche"},
                timeout=aiohttp.ClientTimeout(total=_SECONDS))
        return session


def signature(secret: str, timestamp: str, body: bytes) -> str:
    """`v1=` and HMAC-SHA-256, hexadecimal, over the timestamp (seconds), a dot and the body."""
    return "v1=" + hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()


def address_fault(url: str, *, private: bool) -> str:
    """What is wrong with an address, and what to write; empty where it may be called."""
    try:
        address = URL(url)
    except ValueError as error:
        return str(error)
    if address.scheme != "https" and not (private and address.scheme == "http"):
        return "write https://host/path"
    if not address.host or address.user or address.fragment:
        return "write https://host/path, without name, password or #"
    if not private and _LITERAL.match(address.raw_host or "") and not is_public(address.host):
        return "the host is not on the open Internet; allow_private = true in the settings lets it be called"
    return ""


def _body(tenant: str, item: OutboxItem) -> bytes:
    payload: dict[str, Any] = {name: value for name, value in item.payload.items() if name != "interlocutor"}
    whole = {"delivery_id": item.id, "schema_version": SCHEMA_VERSION, "tenant_id": tenant, **payload}
    body = _encode(whole)
    return body if len(body) <= LONGEST_BODY else _encode({**whole, "texts": None})
