"""Where keys come from and how they hang together."""

from __future__ import annotations

from typing import Protocol, runtime_checkable


@runtime_checkable
class KeySource(Protocol):
    """Where the root key comes from: a file, the environment, the OS keyring, a command."""

    def root_key(self) -> bytes:
        """32 bytes. Raises ConfigurationError when there is none; never makes one up."""
