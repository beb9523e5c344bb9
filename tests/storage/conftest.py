"""Stores that are closed when the test ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ruche.storage.store import Store
from tests.storage.records import StaticKey

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
