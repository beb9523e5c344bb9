"""Tools behind an HTTP endpoint: arguments go out as JSON or as a query, JSON or text comes back.

`{name}` in the address takes an argument, in its path or query only, so that no value can choose the host.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote, urljoin, urlsplit

import aiohttp
from yarl import URL

from ruche.plugins.errors import ConfigurationError, ProviderFailed
from ruche.plugins.tools.addresses import PublicResolver, Refused, is_public, may_call
from ruche.storage.model.tool import Tool

MAX_BODY = 1_000_000
MAX_REDIRECTS = 3
_PLACE = re.compile(r"\{([a-zA-Z_][a-zA-Z0-9_]*)\}")
_SECRET = re.compile(r"\$\{([A-Z][A-Z0-9_]*)\}")
_LITERAL = re.compile(r"^(?:[0-9.]+|0x[0-9a-f.x]+|\[.*\]|.*:.*)$", re.IGNORECASE)


class HttpTools:
    """Calls HTTP tools over pooled connections. `secrets` fill `${NAME}` in a tool's headers; `hosts` as in Tools."""

    def __init__(self, secrets: Mapping[str, str] | None = None, hosts: Sequence[str] = ()) -> None:
        self._secrets = secrets or {}
        self._hosts = tuple(host.lower().rstrip(".") for host in hosts)
        self._sessions: dict[bool, aiohttp.ClientSession] = {}

    async def call(self, tool: Tool, arguments: dict[str, Any], key: str) -> Any:
        """The answer's data. `key` travels as Idempotency-Key. Raises ProviderFailed; the caller sets the deadline."""
        address, rest = _address(tool, arguments)
        if not may_call(address.raw_host or "", self._hosts):
            raise Refused("this installation lets tools call listed hosts only; add the tool's to tools.hosts")
        if not tool.allow_private:
            _check_literal(address)
        headers = {name: _filled(value, self._secrets) for name, value in tool.headers.items()}
        if key:
            headers["Idempotency-Key"] = key
        try:
            return await self._follow(tool, address, rest, headers)
        except Refused:
            raise
        except aiohttp.ClientError as error:
            if isinstance(error.__cause__, Refused):
                raise error.__cause__ from None
            raise ProviderFailed(f"the tool's endpoint cannot be reached ({type(error).__name__})") from None
        except (TimeoutError, OSError):
            raise ProviderFailed("the tool's endpoint cannot be reached") from None

    async def close(self) -> None:
        while self._sessions:
            await self._sessions.popitem()[1].close()

    async def _follow(self, tool: Tool, address: URL, rest: dict[str, Any], headers: dict[str, str]) -> Any:
        for _ in range(MAX_REDIRECTS + 1):
            async with self._session(tool.allow_private).request(
                    tool.method, address, headers=headers, allow_redirects=False, **_payload(tool, rest)) as response:
                if response.status not in (301, 302, 303, 307, 308):
                    return await _read(response)
                address = _next(tool, address, response.headers.get("Location", ""))
                rest = {}
        raise ProviderFailed(f"the tool's endpoint redirected more than {MAX_REDIRECTS} times")

    def _session(self, private: bool) -> aiohttp.ClientSession:
        session = self._sessions.get(private)
        if session is None or session.closed:
            connector = (aiohttp.TCPConnector(limit_per_host=16) if private else
                         aiohttp.TCPConnector(limit_per_host=16, resolver=PublicResolver(), use_dns_cache=False))
            session = self._sessions[private] = aiohttp.ClientSession(
                connector=connector, cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False,
                timeout=aiohttp.ClientTimeout(total=None, connect=5.0),
                headers={"Accept": "application/json, text/plain", "Accept-Encoding": "identity",
                         "User-Agent": "ruche"})
        return session


def check_address(tool: Tool) -> None:
    """Raises ConfigurationError for an address that can never be called."""
    parts = urlsplit(tool.http or "")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigurationError(f"tool {tool.id}: write an address: http: https://host/path")
    if _PLACE.search(parts.netloc) or "{" in parts.scheme:
        raise ConfigurationError(f"tool {tool.id}: {{name}} may stand behind the host only")
    if parts.username or parts.password:
        raise ConfigurationError(f"tool {tool.id}: write credentials as a header with ${{NAME}}, not in the address")
    if parts.fragment:
        raise ConfigurationError(f"tool {tool.id}: leave out what follows #")


def _address(tool: Tool, arguments: dict[str, Any]) -> tuple[URL, dict[str, Any]]:
    """The address with its placeholders filled, and the arguments that are left."""
    check_address(tool)
    used = set(_PLACE.findall(tool.http or ""))
    missing = sorted(used - set(arguments))
    if missing:
        raise ProviderFailed(f"the address needs the argument {missing[0]}")
    text = _PLACE.sub(lambda place: _segment(arguments[place.group(1)]), tool.http or "")
    return URL(text, encoded=True), {name: value for name, value in arguments.items() if name not in used}


def _segment(value: Any) -> str:
    text = _plain(value)
    if text in ("", ".", ".."):
        raise ProviderFailed("an argument cannot stand in an address")
    return quote(text, safe="")


def _plain(value: Any) -> str:
    return json.dumps(value) if isinstance(value, bool | list | dict) or value is None else str(value)


def _filled(text: str, secrets: Mapping[str, str]) -> str:
    def secret(place: re.Match[str]) -> str:
        try:
            return secrets[place.group(1)]
        except KeyError:
            raise ProviderFailed(f"the secret {place.group(1)} of the tool's headers is not set") from None
    return _SECRET.sub(secret, text)


def _payload(tool: Tool, rest: dict[str, Any]) -> dict[str, Any]:
    if not rest and tool.method in ("GET", "DELETE"):
        return {}
    if tool.method in ("GET", "DELETE"):
        return {"params": {name: _plain(value) for name, value in rest.items()}}
    return {"json": rest}


def _check_literal(address: URL) -> None:
    """A host written as a number is never resolved, so it is checked here, in every notation."""
    host = address.raw_host or ""
    if _LITERAL.match(host) and not is_public(host):
        raise Refused("the tool's host is not on the open Internet; write allow_private: true to reach it")


def _next(tool: Tool, address: URL, location: str) -> URL:
    following = URL(urljoin(str(address), location), encoded=True)
    if tool.method != "GET" or following.origin() != address.origin():
        raise Refused("the tool's endpoint redirected to another host, or a request that is no GET")
    return following


async def _read(response: aiohttp.ClientResponse) -> Any:
    if response.status >= 300:
        response.close()
        raise ProviderFailed(f"the tool's endpoint answered {response.status}")
    if response.headers.get("Content-Encoding", "identity") != "identity":
        response.close()
        raise ProviderFailed("the tool's endpoint compressed its answer, though it was asked not to")
    body = bytearray()
    async for part in response.content.iter_any():
        body += part
        if len(body) > MAX_BODY:
            response.close()
            raise ProviderFailed(f"the tool's endpoint answered more than {MAX_BODY} bytes")
    return _decoded(bytes(body), response.content_type)


def _decoded(body: bytes, kind: str) -> Any:
    if not body:
        return None
    if kind != "application/json" and not kind.endswith("+json"):
        return body.decode("utf-8", "replace")
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise ProviderFailed("the tool's endpoint says that it answers in JSON, and does not") from None
