"""Records of the audit log besides runs, made into rows: advisories on runs, erasures and legal holds of persons."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import msgspec

from ruche.storage import merkle
from ruche.storage.collection import Collection, Values
from ruche.storage.entries import entry
from ruche.storage.errors import Conflict, NotFound
from ruche.storage.fields import Id, Stored
from ruche.storage.keyring import Keyring, Tenant
from ruche.storage.model.conversation import Profile
from ruche.storage.model.record import AdvisoryAdded, AnyRecord, HoldSet, PersonErased, TenantErased
from ruche.storage.model.run import canonical
from ruche.storage.overlay import Change
from ruche.storage.rows import AdvisoryRow, ErasureRow, HoldRow, PersonRow, RunRow
from ruche.storage.vault import DataKey, key_id

_encode = msgspec.msgpack.Encoder().encode
_profile = msgspec.msgpack.Decoder(Profile).decode

FindRows = Callable[[type[Stored], int, str, object], Sequence[Values]]
"""(model, tenant tag, field, stored value) -> the stored rows with this value; of no field, all of the tenant."""
_KEYS_A_ROW: Final = 500


class AuditRows:
    """Used by the appending thread alone; `find` sees what was appended before this batch."""

    def __init__(self, collections: Iterable[Collection], keyring: Keyring, find: FindRows) -> None:
        self._collections = {collection.model: collection for collection in collections}
        self._keyring, self._find = keyring, find
        self._staged: list[Change] = []
        self._building = {self._collections[model].number for model in (RunRow, AdvisoryRow, PersonRow)}

    def begin(self) -> None:
        self._staged.clear()

    def stage(self, change: Change) -> None:
        """A row of this batch that later records of the batch may build on."""
        if change.collection in self._building:
            self._staged.append(change)

    def profile(self, tenant: Tenant, interlocutor: str) -> Profile | None:
        """A person's profile with what this batch made of it. Raises Erased."""
        collection = self._collections[PersonRow]
        person = collection.stored(collection.by_name["person"], interlocutor, tenant)
        found = self._rows(PersonRow, tenant.tag, "person", person)
        return _profile(collection.open("profile", found[-1], self._keyring.opener)) if found else None

    def changes(self, record: AnyRecord, tenant: Tenant) -> list[Change] | None:
        """The rows of a record of one of these kinds, None for every other kind."""
        match record:
            case AdvisoryAdded():
                return self._advisory(record, tenant)
            case PersonErased():
                return self._erasure(record, tenant)
            case TenantErased():
                return self._tenant_erasure(record, tenant)
            case HoldSet():
                return self._hold(record, tenant)
            case _:
                return None

    def _advisory(self, record: AdvisoryAdded, tenant: Tenant) -> list[Change]:
        """Chained to the run's advisory before it. What the run has already adds nothing. Raises NotFound, Erased."""
        runs = self._rows(RunRow, tenant.tag, "id", record.run_id)
        if not runs:
            raise NotFound("there is no such run")
        collection, run = self._collections[AdvisoryRow], runs[0]
        earlier = sorted(self._rows(AdvisoryRow, tenant.tag, "run", record.run_id),
                         key=lambda values: values[collection.columns.index("number")])
        content = content_of(record)
        if self._token(content, tenant) in [values[collection.columns.index("content")] for values in earlier]:
            return []
        last = self._leaf(AdvisoryRow, tenant.tag, earlier[-1]) if earlier else self._leaf(RunRow, tenant.tag, run)
        row = AdvisoryRow(id=Id(record.id), run=Id(record.run_id), number=len(earlier), previous=Id(last.hex()),
                          content=content, at_ms=record.at_ms, record=_encode(record))
        return [self._put(row, tenant, self._keyring.newest(self._keyring.opener(key_id(run[-1]))))]

    def _erasure(self, record: PersonErased, tenant: Tenant) -> list[Change]:
        """Raises NotFound for somebody who left nothing, Conflict while a legal hold stands."""
        keys = self._keyring.key_ids(tenant.name, record.interlocutor)
        if not keys:
            raise NotFound("nothing of this person is kept")
        collection = self._collections[HoldRow]
        person = collection.stored(collection.by_name["person"], record.interlocutor, tenant)
        if self._find(HoldRow, tenant.tag, "person", person):
            raise Conflict("a legal hold stands on this person; lift it first")
        return [self._erased(keys, record, tenant)]

    def _tenant_erasure(self, record: TenantErased, tenant: Tenant) -> list[Change]:
        """As for each of its persons: no more than so many keys a row. Raises NotFound, Conflict."""
        if self._find(HoldRow, tenant.tag, "", None):
            raise Conflict("a legal hold stands on somebody of this tenant; lift it first")
        keys = self._keyring.renewed_tenant(tenant.name)
        if not keys:
            raise NotFound("nothing of this tenant is kept")
        return [self._erased(keys[start:start + _KEYS_A_ROW], record, tenant)
                for start in range(0, len(keys), _KEYS_A_ROW)]

    def _erased(self, keys: Sequence[bytes], record: PersonErased | TenantErased, tenant: Tenant) -> Change:
        row = ErasureRow(id=Id(keys[-1].hex()), keys=Id(".".join(one.hex() for one in keys)),
                         at_ms=record.at_ms, record=_encode((record.reason, record.by)))
        return self._put(row, tenant, self._keyring.person(tenant.name, ""))

    def _hold(self, record: HoldSet, tenant: Tenant) -> list[Change]:
        row = HoldRow(person=record.interlocutor, at_ms=record.at_ms, record=_encode(
            (tenant.name, record.interlocutor, record.reason, record.by)))
        put = self._put(row, tenant, self._keyring.person(tenant.name, ""))
        return [put if record.held else put._replace(values=None)]

    def _rows(self, model: type[Stored], tag: int, field: str, value: object) -> list[Values]:
        collection = self._collections[model]
        column = collection.columns.index(field)
        staged = [one.values for one in self._staged if one.collection == collection.number and one.tag == tag
                  and one.values is not None and one.values[column] == value]
        return [*self._find(model, tag, field, value), *staged]

    def _leaf(self, model: type[Stored], tag: int, values: Values) -> bytes:
        return merkle.leaf_hash(entry(tag, self._collections[model], values))

    def _token(self, content: str, tenant: Tenant) -> object:
        collection = self._collections[AdvisoryRow]
        return collection.stored(collection.by_name["content"], content, tenant)

    def _put(self, row: Stored, tenant: Tenant, key: DataKey) -> Change:
        collection = self._collections[type(row)]
        values = collection.protect(row, tenant, key)
        return Change(collection.number, tenant.tag, values[collection.key], values)


def content_of(record: AdvisoryAdded) -> str:
    """What an advisory says, as one string: the same on the same run is the same advisory."""
    said = hashlib.sha256(canonical([record.kind, record.body])).hexdigest()
    return f"{record.run_id}:{said}"
