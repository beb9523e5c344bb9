"""The lock of those who need everything to stand still: nothing is fed, checkpointed or asked while they hold it."""

from __future__ import annotations

from ruche.storage.tables import Tables


class Quiet:
    """Taken again and again by one thread, as the two locks are that it is made of. `feeding` comes first."""

    def __init__(self, tables: Tables) -> None:
        self._feeding, self._asking = tables.feeding, tables.lock

    def __enter__(self) -> None:
        self._feeding.acquire()
        self._asking.acquire()

    def __exit__(self, *exception: object) -> None:
        self._asking.release()
        self._feeding.release()
