"""What the parts of the engine's face stand on: the host behind it, and how it is read."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from ruche.plugins.errors import NotFound, StorageStopped

if TYPE_CHECKING:
    from ruche.engine.host import Host
    from ruche.storage.model.conversation import SessionState
    from ruche.storage.tenant import TenantStore

T = TypeVar("T")


class Hosted:
    """Every method takes the tenant it acts for."""

    def __init__(self, host: Host) -> None:
        self._running = host
        self._process = os.getpid()

    @property
    def _host(self) -> Host:
        """What runs in this process. Raises StorageStopped in one that was forked from it."""
        refuse_forked(self._process)
        return self._running

    async def session(self, tenant: str, session_id: str) -> SessionState:
        """A session as it is now. Raises NotFound."""
        found = await self._read(tenant, lambda store: store.session_by_id(session_id))
        return known(found, "session")

    async def _read(self, tenant: str, question: Callable[[TenantStore], T]) -> T:
        return await self._host.scribe.read(lambda store: question(store.tenant(tenant)))


def refuse_forked(process: int) -> None:
    """Raises StorageStopped unless this is the process that opened the engine: no thread of it came along in a fork."""
    if os.getpid() != process:
        raise StorageStopped("this process was forked from the one that opened the engine; open one of its own here")


def known(found: T | None, what: str) -> T:
    """What was found. Raises NotFound."""
    if found is None:
        raise NotFound(f"there is no such {what}")
    return found
