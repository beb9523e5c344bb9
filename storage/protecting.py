"""Makes changes of rows: protected as their models say, and addressed as they are stored."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ruche.storage.collection import Collection
from ruche.storage.fields import Stored
from ruche.storage.keyring import Tenant
from ruche.storage.overlay import Change
from ruche.storage.vault import DataKey


class Protecting:
    """Any thread; holds no data."""

    def __init__(self, collections: Iterable[Collection]) -> None:
        self._collections = {collection.model: collection for collection in collections}

    def put(self, row: Stored, tenant: Tenant, key: DataKey) -> Change:
        """Put a row, sealed under a key of its person or of the tenant itself."""
        collection = self._collections[type(row)]
        values = collection.protect(row, tenant, key)
        return Change(collection.number, tenant.tag, values[collection.key], values)

    def remove(self, model: type[Stored], key: Any, tenant: Tenant) -> Change:
        """Remove the row with this key, if there is one."""
        collection = self._collections[model]
        return Change(collection.number, tenant.tag,
                      collection.stored(collection.fields[collection.key], key, tenant), None)
