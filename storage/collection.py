"""A stored model made ready: values in, protected values out, and what its table looks like. Holds no data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any, Final

from ruche.storage import vault
from ruche.storage.errors import IntegrityError
from ruche.storage.fields import Protection, Stored, StoredField, declared
from ruche.storage.keyring import Tenant
from ruche.storage.recent import Recent
from ruche.storage.vault import Column, DataKey

Values = tuple[Any, ...]
"""A row as it is stored: one protected value per field, in the order of the fields."""

_SQL_TYPES: Final[dict[type, str]] = {str: "VARCHAR", int: "BIGINT", bool: "BOOLEAN"}
_tokens: Recent[tuple[bytes, str, str, str], int] = Recent(8192)
_hashes: Recent[tuple[bytes, str], bytes] = Recent(8192)


class Collection:
    """One model's table: names, types, and the step that protects each field."""

    def __init__(self, model: type[Stored], number: int) -> None:
        self.model, self.number, self.name = model, number, model.table
        self.fields = declared(model)
        self.columns = tuple(field.name for field in self.fields)
        self.by_name = {field.name: field for field in self.fields}
        self.key = self.columns.index(model.key)
        self.lookups = tuple(self.columns.index(name) for name in model.lookup)
        self._read = attrgetter(*self.columns)
        self._sealed = {field.name: Column.of(model.table, field.name, model.schema)
                        for field in self.fields if field.protection.sealed}
        self.sealed = tuple(self._sealed)
        self._blobs = [(at, self._sealed[name]) for at, name in enumerate(self.columns) if name in self._sealed]
        self._closed = [(at, field.words) for at, field in enumerate(self.fields) if field.words]
        self._hashed = [(at, field) for at, field in enumerate(self.fields)
                        if field.protection not in (Protection.CLEAR, Protection.SEALED, Protection.SEALED_SEARCH)]

    def protect(self, row: Stored, tenant: Tenant, key: DataKey) -> Values:
        """The row as it is stored: sealed under `key`, hashed and tokenised for `tenant`. Raises TypeError for a word
        outside a closed vocabulary: it would stand in clear."""
        values = list(self._read(row))
        for at, words in self._closed:
            if values[at] not in words:
                raise TypeError(f"{self.name}.{self.columns[at]} is none of the words that may stand in clear there")
        for at, field in self._hashed:
            values[at] = self.stored(field, values[at], tenant)
        place = self._place(values[self.key])
        for at, column in self._blobs:
            values[at] = key.seal(values[at], column, place)
        return tuple(values)

    def reveal(self, values: Values, tenant: Tenant, opener: Callable[[bytes], DataKey]) -> dict[str, Any]:
        """Clear and sealed fields by name; hashes and tokens have nothing to reveal. Raises IntegrityError, Erased."""
        place = self._place(values[self.key])
        shown: dict[str, Any] = {}
        for field, value in zip(self.fields, values, strict=True):
            column = self._sealed.get(field.name)
            if column is not None:
                shown[field.name] = self._open(value, column, place, tenant, opener)
            elif field.protection in (Protection.CLEAR, Protection.BUCKET):
                shown[field.name] = value
        return shown

    def clear(self, values: Values) -> dict[str, Any]:
        """What can be read of a row without its keys."""
        return {field.name: value for field, value in zip(self.fields, values, strict=True)
                if field.protection in (Protection.CLEAR, Protection.BUCKET)}

    def open(self, name: str, values: Values, opener: Callable[[bytes], DataKey]) -> bytes:
        """One sealed column of a row, for the store itself: whoever's the row is."""
        blob: bytes = values[self.columns.index(name)]
        return opener(vault.key_id(blob)).open(blob, self._sealed[name], self._place(values[self.key]))

    def stored(self, field: StoredField, value: Any, tenant: Tenant) -> Any:
        """How a value of an unsealed field appears in the table."""
        if field.protection is Protection.TOKEN:
            return self._token(field.name, value, tenant)
        if field.protection is Protection.HASH:
            asked = (tenant.user_key, value)
            return _hashes.get(asked) or _hashes.put(asked, vault.keyed_hash(tenant.user_key, value.encode()))
        return value - value % field.width if field.protection is Protection.BUCKET else value

    @staticmethod
    def forget() -> None:
        """Let go of the values whose tokens and hashes are remembered: they may name somebody who was erased."""
        _tokens.clear()
        _hashes.clear()

    def sql_type(self, field: StoredField) -> str:
        match field.protection:
            case Protection.TOKEN | Protection.BUCKET:
                return "BIGINT"
            case Protection.HASH:
                return "BLOB"
            case Protection.SEALED | Protection.SEALED_SEARCH:
                # ciphertext does not compress; trying costs checkpoint time
                return "BLOB USING COMPRESSION uncompressed"
            case _:
                return _SQL_TYPES[field.kind]

    def _token(self, name: str, value: str, tenant: Tenant) -> int:
        asked = (tenant.hash, self.name, name, value)
        known = _tokens.get(asked)
        return known if known is not None else _tokens.put(
            asked, vault.token(tenant.token_key, self.name.encode(), name.encode(), value.encode()))

    @staticmethod
    def _place(key: Any) -> bytes:
        if isinstance(key, str):
            return key.encode()
        return key if isinstance(key, bytes) else int(key).to_bytes(8, "big", signed=True)

    @staticmethod
    def _open(blob: bytes, column: Column, place: bytes, tenant: Tenant,
              opener: Callable[[bytes], DataKey]) -> bytes:
        key = opener(vault.key_id(blob))
        if key.tenant != tenant.hash:
            raise IntegrityError("a sealed value belongs to another tenant")
        return key.open(blob, column, place)


def collections(models: Sequence[type[Stored]]) -> tuple[Collection, ...]:
    """One collection per model, numbered in order."""
    return tuple(Collection(model, number) for number, model in enumerate(models))
