"""Stores that are closed when the test ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ruche.storage.store import Store
from tests.storage.records import NOW_MS, StaticKey
from tests.storage.talks import talk_a_lot

Opener = Callable[..., Store]


@pytest.fixture
def open_store(tmp_path: Path) -> Iterator[Opener]:
    """Opens the store of this test, as often as it is asked to."""
    opened: list[Store] = []

    def opener(directory: Path = tmp_path / "data", key: bytes | None = None, **options: Any) -> Store:
        options.setdefault("reserve_bytes", 4096)
        store = Store.open(directory, StaticKey(key) if key else StaticKey(), **options)
        opened.append(store)
        return store

    yield opener
    for store in opened:
        store.close()


@pytest.fixture
def data(open_store: Opener, tmp_path: Path) -> Path:
    """Two tenants, runs and advisories over two days, an erased person, closed in order."""
    store = open_store()
    talk_a_lot(store)
    store.audit.erase("rival", "p1", reason="asked", by="officer", at_ms=NOW_MS)
    store.close()
    return tmp_path / "data"
