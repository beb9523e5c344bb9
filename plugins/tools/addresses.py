"""Which addresses a tool may reach: a host is resolved once, checked, and connected to at that very address.

Security item 39. Private, loopback, link-local, metadata, shared and multicast addresses are refused, also when they
come inside an IPv6 address, unless the tool says `allow_private`.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Sequence

from aiohttp.abc import AbstractResolver, ResolveResult

from ruche.plugins.errors import ProviderFailed

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_TRANSLATED = (ipaddress.ip_network("64:ff9b::/96"), ipaddress.ip_network("::/96"))
"""NAT64, and the old embedding without a prefix: an IPv4 address in the last 32 bits."""


class Refused(ProviderFailed):
    """The host is not one that this tool may reach."""


def is_public(text: str) -> bool:
    """True for an address on the open Internet, however it is written down."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return False
    return all(_global(part) for part in (address, *_embedded(address)))


def _global(address: _Address) -> bool:
    return address.is_global and not address.is_multicast and not address.is_reserved


def _embedded(address: _Address) -> list[_Address]:
    """IPv4 addresses inside an IPv6 one: mapped, 6to4, Teredo, NAT64."""
    if isinstance(address, ipaddress.IPv4Address):
        return []
    found: list[_Address] = [part for part in (address.ipv4_mapped, address.sixtofour) if part is not None]
    if address.teredo is not None:
        found.extend(address.teredo)
    if any(address in network for network in _TRANSLATED):
        found.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    return found


def may_call(host: str, listed: Sequence[str]) -> bool:
    """Whether a host is on the list: by its name, or below `*.name`; everything is where the list is empty."""
    name = host.lower().rstrip(".")
    return not listed or any(name == one or (one.startswith("*.") and name.endswith(one[1:])) for one in listed)


class PublicResolver(AbstractResolver):
    """Resolves for aiohttp, which connects to what it is given: nobody resolves a second time.

    One address that is not public refuses the whole host.
    """

    async def resolve(self, host: str, port: int = 0,
                      family: socket.AddressFamily = socket.AF_UNSPEC) -> list[ResolveResult]:
        try:
            found = await asyncio.get_running_loop().getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            raise Refused("the tool's host has no address") from None
        addresses = [str(entry[4][0]) for entry in found]
        if not addresses or not all(map(is_public, addresses)):
            raise Refused("the tool's host is not on the open Internet; write allow_private: true to reach it")
        return [ResolveResult(hostname=host, host=address, port=port, family=entry[0], proto=entry[2],
                              flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV)
                for entry, address in zip(found, addresses, strict=True)]

    async def close(self) -> None:
        """Nothing is kept."""
