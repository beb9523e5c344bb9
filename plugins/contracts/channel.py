"""Where messages come from."""

from __future__ import annotations

from typing import Protocol, runtime_checkable


@runtime_checkable
class Channel(Protocol):
    """Where messages come from. `window_ms` is the accumulation base; 0 means that nothing is awaited."""

    @property
    def name(self) -> str: ...

    @property
    def window_ms(self) -> int: ...

    def format(self, text: str) -> str:
        """The reply as this channel shows it."""
