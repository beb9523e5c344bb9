"""Keys, snapshots and backups of a running engine: rotations go on in short steps, checkpoints and snapshots are made
when they are due, and what is new is shipped again and again."""

from __future__ import annotations

import logging
import time
from typing import Final

import anyio.to_thread

from ruche.actors.clock import Clock
from ruche.actors.scribe import Scribe
from ruche.engine.config import StorageSettings
from ruche.plugins.errors import Conflict, RucheError
from ruche.storage.backup import Shipment
from ruche.storage.store import Store

log = logging.getLogger(__name__)

_EVERY_S: Final = 1.0
_AT_ONCE_S: Final = 0.05
"""How long steps of a rotation may keep the read thread at once."""


class Custody:
    """Made by the host; its clock drives it."""

    def __init__(self, store: Store, scribe: Scribe, settings: StorageSettings) -> None:
        self._store, self._scribe, self._settings = store, scribe, settings

    def wind(self, clock: Clock) -> None:
        clock.every(_EVERY_S, "keys", self.rotate_on)
        clock.every(_EVERY_S, "checkpoint", self.checkpoint)
        if self._settings.backup_to is not None:
            clock.every(60 * self._settings.backup_minutes, "backup", self.ship)

    async def rotate_on(self) -> bool:
        """Some steps of the rotation that is under way; True when one was."""
        return await self._scribe.read(_steps)

    async def checkpoint(self) -> bool:
        """Make the checkpoint and take the snapshot that are due, on a thread of their own; True when any was."""
        if not self._store.checkpoint_due:
            return False
        await anyio.to_thread.run_sync(self._store.checkpoint)
        return True

    async def ship(self) -> Shipment:
        """Bring the backup up to now, on a thread of its own. Raises Conflict where no folder is set, and what keeps it
        from it."""
        folder, keep_days = self._settings.backup_to, self._settings.backup_keep_days
        if folder is None:
            raise Conflict("no backup folder is set: write backup_to under [storage] in the settings")
        try:
            return await anyio.to_thread.run_sync(lambda: self._store.backup.ship(folder, keep_days=keep_days))
        except RucheError as error:
            log.error("the backup was not brought up to date: %s", error.message)
            raise


def _steps(store: Store) -> bool:
    deadline, any_step = time.monotonic() + _AT_ONCE_S, False
    while store.keys.step() is not None:
        any_step = True
        if time.monotonic() > deadline:
            break
    return any_step
