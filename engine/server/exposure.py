"""To whom the server is open: loopback for itself, others over TLS or behind a proxy that does it."""

from __future__ import annotations

import ipaddress
import ssl

from ruche.engine.config import ServerSettings
from ruche.plugins.errors import ConfigurationError


def check_exposure(server: ServerSettings) -> None:
    """Raises ConfigurationError for an address that others can reach without TLS (item 18 of the security list)."""
    if (server.tls_cert is None) != (server.tls_key is None):
        raise ConfigurationError("TLS needs both --tls-cert and --tls-key")
    if not _loopback(server.host) and server.tls_cert is None and not server.behind_proxy:
        raise ConfigurationError(f"--host {server.host} can be reached from outside: give --tls-cert and --tls-key, or "
                                 "--behind-proxy when a proxy in front of it does TLS")


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def tls_context(server: ServerSettings) -> ssl.SSLContext | None:
    """TLS 1.2 or later with the configured certificate; None without one. Raises ConfigurationError."""
    if server.tls_cert is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(server.tls_cert, server.tls_key)
    except (OSError, ssl.SSLError):
        raise ConfigurationError("the TLS certificate and key cannot be used: they must be PEM files that belong "
                                 "together") from None
    return context
