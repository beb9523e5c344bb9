"""How much anybody may ask for: rates per tenant and address, sizes of headers and bodies, depth of JSON."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from aiohttp import web

from ruche.engine.config import Settings
from ruche.engine.server.errors import HeadersTooLarge, UnsupportedMedia
from ruche.engine.server.routes import Handler
from ruche.plugins.errors import Malformed, RateLimited, TooLarge

JSON_DEPTH = 32
_KEPT = 10_000


class Rate:
    """A token bucket per key: `burst` at once, refilled evenly. At most 10,000 keys; the longest unused goes first.

    `special` has (per second, burst) of keys that differ.
    """

    def __init__(self, per_second: float, burst: int, what: str, clock: Callable[[], float] = time.monotonic,
                 special: Mapping[str, tuple[float, int]] | None = None) -> None:
        self._usual = (per_second, burst)
        self._special = dict(special or {})
        self._what = what
        self._clock = clock
        self._levels: dict[str, tuple[float, float]] = {}

    def take(self, key: str) -> None:
        """Use one. Raises RateLimited with the seconds until the next one; a burst of 0 means no limit."""
        per_second, burst = self._special.get(key, self._usual)
        if not burst:
            return
        now = self._clock()
        level, at = self._levels.pop(key, (float(burst), now))
        level = min(float(burst), level + (now - at) * per_second)
        allowed = level >= 1.0
        while len(self._levels) >= _KEPT:
            del self._levels[next(iter(self._levels))]
        self._levels[key] = (level - allowed, now)
        if not allowed:
            raise RateLimited(f"too many requests for this {self._what}", retry_after=(1.0 - level) / per_second)


class Limits:
    """All limits of one server."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        limits = settings.limits
        per_minute = limits.requests_per_minute
        special = {tenant: limits.for_tenant(tenant).requests_per_minute or 0 for tenant in limits.tenants}
        hourly = settings.server.anonymous_per_hour
        self.tenants = Rate(per_minute / 60, per_minute, "tenant", clock,
                            {tenant: (rate / 60, rate) for tenant, rate in special.items()})
        self.anonymous = Rate(hourly / 3600, hourly, "address", clock) if hourly else _Closed()
        failed = settings.server.failed_logins_per_minute
        self.logins = Rate(failed / 60, failed, "address: its tokens are not valid", clock)
        self.header_bytes = settings.server.header_bytes
        self.body_bytes = settings.server.body_bytes


class _Closed:
    """The rate of what is switched off."""

    def take(self, key: str) -> None:
        raise RateLimited("anonymous tokens are switched off here")


LIMITS = web.AppKey("limits", Limits)


@web.middleware
async def limit_sizes(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuses what is too large before anybody reads it."""
    limits = request.app[LIMITS]
    if sum(len(name) + len(value) for name, value in request.raw_headers) > limits.header_bytes:
        raise HeadersTooLarge("the headers of this request are larger than this server takes")
    if request.can_read_body:
        _check_body(request, limits.body_bytes)
    return await handler(request)


def _check_body(request: web.Request, most: int) -> None:
    if (request.content_length or 0) > most:
        raise TooLarge("the body is larger than this server takes", limit_bytes=most)
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise UnsupportedMedia("compressed bodies are not taken; send the JSON as it is")


def check_depth(body: bytes) -> None:
    """Raises Malformed for JSON nested deeper than 32; looks closely only when there are that many brackets."""
    if body.count(b"{") + body.count(b"[") <= JSON_DEPTH:
        return
    depth, inside, escaped = 0, False, False
    for character in body:
        if inside:
            if escaped:
                escaped = False
            elif character == 0x5C:
                escaped = True
            elif character == 0x22:
                inside = False
        elif character == 0x22:
            inside = True
        elif character in (0x7B, 0x5B):
            depth += 1
            if depth > JSON_DEPTH:
                raise Malformed(f"the JSON is nested deeper than {JSON_DEPTH}")
        elif character in (0x7D, 0x5D):
            depth -= 1
