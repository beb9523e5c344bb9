"""What is done with the audit log: signing and proving, erasing persons, legal holds, letting old days go."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

import msgspec

from ruche.storage import platform, vault
from ruche.storage.checkpoints import PublicKey
from ruche.storage.collection import Values
from ruche.storage.datafiles import DataFiles
from ruche.storage.entries import Place
from ruche.storage.errors import Conflict, Erased, IntegrityError, NotFound, StorageFull, StorageStopped
from ruche.storage.expiry import Days, expired
from ruche.storage.feed import Feed
from ruche.storage.fields import Stored
from ruche.storage.heads import COLUMN, SessionHead
from ruche.storage.model.conversation import Profile
from ruche.storage.model.record import AnyRecord, FieldsExpired, HoldSet, PersonErased, TenantErased
from ruche.storage.notary import KeyLine
from ruche.storage.proofs import Audit, Head, Proof, sign
from ruche.storage.query import Query
from ruche.storage.quiet import Quiet
from ruche.storage.retention import Dropped, Retention, Rules
from ruche.storage.rows import AdvisoryRow, ErasureRow, HoldRow, PersonRow, RunRow

KEY_BACKUP_DAYS: Final = 30
"""How long a backup of the keyring may be kept: only when the last one is gone, an erasure is complete."""
_DAY_MS: Final = 86_400_000
_EVERYTHING: Final = Query(limit=1_000_000_000)
_KINDS: Final[dict[str, type[Stored]]] = {"run": RunRow, "advisory": AdvisoryRow, "erasure": ErasureRow}


_profile = msgspec.msgpack.Decoder(Profile).decode
_hold = msgspec.msgpack.Decoder(tuple[str, str, str, str]).decode


class Erasure(msgspec.Struct, frozen=True, kw_only=True):
    """Proof that a person was erased: `keys` (ids, hexadecimal) were destroyed, and `proof` has it in the audit log.

    `complete_ms` is when no backup of the keyring may be left that holds them.
    """

    id: str
    keys: tuple[str, ...]
    at_ms: int
    complete_ms: int
    proof: Proof
    also: tuple[Erasure, ...] = ()
    """Those of the person's other names."""


class Hold(NamedTuple):
    """A legal hold that stands."""

    interlocutor: str
    reason: str
    by: str
    at_ms: int


class Auditor:
    """Of an open store; any thread may read, the appending thread alone erases and holds."""

    def __init__(self, files: DataFiles, feed: Feed, quiet: Quiet,
                 append: Callable[[Sequence[AnyRecord]], None]) -> None:
        self._files, self._feed, self._quiet, self._append = files, feed, quiet, append
        self._models = {one.model: one for one in files.collections}
        self._signed: dict[int, int] = {}
        self.problem = ""
        """Why the log is signed no more; empty while it is."""

    # --- proving ---------------------------------------------------------------------------------------------

    def head(self, tenant: str, since: int = 0) -> Head:
        """Where the tenant's log stands, signed, with everything appended in it. Raises NotFound, IntegrityError."""
        with self._quiet:
            self._feed.drain()
            return self._audit(tenant).head(since)

    def proof(self, tenant: str, kind: str, id: str) -> Proof | None:
        """That a run, advisory or erasure is in the tenant's log; None when there is no such. Raises IntegrityError."""
        if kind not in _KINDS:
            return None
        with self._quiet:
            self._feed.drain()
            return self._audit(tenant).proof(kind, id)

    def checkpoint(self) -> None:
        """Sign every log that grew, durably. What is wrong with a log is told by `problem`, and stops nothing else."""
        try:
            for tag, size in self._files.log.sizes().items():
                if self._signed.get(tag) != size:
                    sign(tag, self._files.log, self._files.notary)
                    self._signed[tag] = size
            self._files.notary.sync()
        except IntegrityError as error:
            self.problem = error.message
        except StorageFull:
            pass  # signed at the next checkpoint

    def _audit(self, tenant: str) -> Audit:
        tag = self._files.keyring.tenant(tenant).tag
        return Audit(tag, self._files.log, self._files.notary,
                     lambda kind, key: self._files.tables.leaf(self._models[_KINDS[kind]], tag, key))

    # --- erasing ---------------------------------------------------------------------------------------------

    def erase(self, tenant: str, interlocutor: str, *, reason: str, by: str, at_ms: int,
              names: Sequence[str] = ()) -> Erasure:
        """Make everything of a person, also under the other names, unreadable for ever; returns when it is. For a store
        without an engine.

        Raises NotFound for somebody who left nothing, Conflict while a legal hold stands, StorageFull (the erasure is
        on record and takes effect when there is room).
        """
        keys = self.erasable(tenant, interlocutor, names)
        self._append([PersonErased(tenant=tenant, at_ms=at_ms, interlocutor=name, reason=reason, by=by)
                      for name in keys])
        return self.erased(tenant, keys)

    def erasable(self, tenant: str, interlocutor: str, names: Sequence[str] = ()) -> dict[str, str]:
        """Ids of the last data keys by name, the person's own first; names under which nothing is kept are left out.

        Raises NotFound where nothing at all is kept, Conflict while a legal hold stands on one of them.
        """
        every = tuple(dict.fromkeys((interlocutor, *names)))
        if any(self.is_held(tenant, name) for name in every):
            raise Conflict("a legal hold stands on this person; lift it first")
        keys = {name: self.key_names(tenant, name)[-1] for name in self.known(tenant, every)}
        if not keys:
            raise NotFound("nothing of this person is kept")
        return keys

    def known(self, tenant: str, names: Sequence[str]) -> list[str]:
        """Those of the names under which something is kept."""
        return [name for name in names if self._files.keyring.key_ids(tenant, name)]

    def erased(self, tenant: str, keys: Mapping[str, str]) -> Erasure:
        """The proof of an erasure of what `erasable` gave."""
        first, *others = [self.erasure(tenant, key) for key in keys.values()]
        return msgspec.structs.replace(first, also=tuple(others))

    def erase_tenant(self, tenant: str, *, reason: str, by: str, at_ms: int) -> list[Erasure]:
        """Make everything of a tenant, its agents and persons, unreadable for ever; returns when it is. For a store
        without an engine. A proof names 500 keys at most, so that there may be several.

        Raises NotFound where nothing is kept, Conflict while a legal hold stands on anybody, StorageFull as `erase`.
        """
        with self._quiet:
            before = self._erasures(tenant)
        self._append([TenantErased(tenant=tenant, at_ms=at_ms, reason=reason, by=by)])
        with self._quiet:
            self._feed.drain()
            made = self._erasures(tenant) - before
        self._files.computed.clear()
        return sorted((self.erasure(tenant, one) for one in made), key=lambda one: one.proof.index)

    def _erasures(self, tenant: str) -> set[str]:
        collection, tag = self._models[ErasureRow], self._files.keyring.tenant(tenant).tag
        return {row[collection.key] for row in self._files.tables.find(collection, tag, _EVERYTHING)}

    def erasure(self, tenant: str, id: str) -> Erasure:
        """The proof of an erasure, by the id of the last data key that it destroyed. Raises NotFound."""
        collection, tag = self._models[ErasureRow], self._files.keyring.tenant(tenant).tag
        with self._quiet:
            self._feed.drain()
            row, proof = self._files.tables.get(collection, tag, id), self._audit(tenant).proof("erasure", id)
        if row is None or proof is None:
            raise NotFound("there is no such erasure")
        shown = collection.clear(row)
        return Erasure(id=id, keys=tuple(shown["keys"].split(".")), at_ms=shown["at_ms"], proof=proof,
                       complete_ms=shown["at_ms"] + KEY_BACKUP_DAYS * _DAY_MS)

    def key_names(self, tenant: str, interlocutor: str) -> list[str]:
        """Ids (hexadecimal) of a person's data keys, oldest first. Raises NotFound for somebody who left nothing."""
        found = [key.hex() for key in self._files.keyring.key_ids(tenant, interlocutor)]
        if not found:
            raise NotFound("nothing of this person is kept")
        return found

    def is_held(self, tenant: str, interlocutor: str) -> bool:
        """Whether a legal hold stands on a person."""
        collection, owner = self._models[HoldRow], self._files.keyring.tenant(tenant)
        with self._quiet:
            self._feed.drain()
            return self._files.tables.get(collection, owner.tag, collection.stored(
                collection.by_name["person"], interlocutor, owner)) is not None

    def hold(self, tenant: str, interlocutor: str, *, held: bool, reason: str, by: str, at_ms: int) -> None:
        """Place or lift a legal hold: while it stands, nothing of the person is erased or dropped for its age.

        Raises NotFound for somebody of whom nothing is kept.
        """
        self.key_names(tenant, interlocutor)
        self._append([HoldSet(tenant=tenant, at_ms=at_ms, interlocutor=interlocutor, held=held, reason=reason, by=by)])

    def holds(self, tenant: str) -> list[Hold]:
        """The legal holds of a tenant, oldest first."""
        tag = self._files.keyring.tenant(tenant).tag
        with self._quiet:
            self._feed.drain()
            found = self._hold_rows(tag)
        return sorted((Hold(record[1], record[2], record[3], at_ms) for at_ms, record in found),
                      key=lambda one: (one.at_ms, one.interlocutor))

    # --- signing keys ----------------------------------------------------------------------------------------

    def renew_signing_key(self) -> PublicKey:
        """Sign checkpoints with a new key from now on; the present one vouches for it, and what it signed stays good.

        What grew is signed with the present key first. Raises StorageFull, StorageStopped.
        """
        with self._quiet:
            self._feed.drain()
            self.checkpoint()
            try:
                return self._files.notary.renew()
            except OSError as error:
                found = platform.disk_error(error, "writing the signing keys")
                if isinstance(found, StorageStopped):
                    self._files.journal.stop(found.message)
                raise found from error

    @property
    def signing_keys(self) -> list[KeyLine]:
        """Every key that signed checkpoints, oldest first; the last one signs now."""
        return list(self._files.notary.history)

    # --- letting go ------------------------------------------------------------------------------------------

    def retain(self, rules: Rules, now_ms: int) -> Dropped:
        """Drop what is older than the rules allow, but for what is held. Raises Unavailable and OSError; then what was
        not dropped yet is at the next call."""
        with self._quiet:
            self._feed.drain()
            return Retention(self._files, rules, self._held()).sweep(now_ms)

    def stale_fields(self, rules: Mapping[str, Days], now_ms: int) -> list[FieldsExpired]:
        """What of the profiles is older than its tenant's rules allow, for whoever appends; of held persons nothing."""
        collection = self._models[PersonRow]
        with self._quiet:
            self._feed.drain()
            held, found = self._held(), list[FieldsExpired]()
            for tenant, days in rules.items():
                for row in self._files.tables.find(collection, self._files.keyring.tenant(tenant).tag, _EVERYTHING):
                    profile = self._profile(row, held)
                    limits = {} if profile is None else expired(profile, days, now_ms)
                    if profile is not None and limits:
                        found.append(FieldsExpired(tenant=tenant, at_ms=now_ms, interlocutor=profile.interlocutor,
                                                   fields=limits))
        return found

    def _profile(self, row: Values, held: frozenset[bytes]) -> Profile | None:
        try:
            opened = self._models[PersonRow].open("profile", row, self._files.keyring.opener)
        except Erased:
            return None
        return None if vault.key_id(row[-1]) in held else _profile(opened)

    def forget_unreadable(self) -> list[tuple[str, str]]:
        """Let go of index rows whose entry in the day files is damaged, so that the rest can be listed: kind and id of
        each. For a salvaged directory."""
        with self._quiet:
            self._feed.drain()
            return [(one.name, key) for one in self._files.collections if one.model.logged
                    for key in self._files.tables.sweeping.unreadable(
                        one, lambda *place: self._files.days.holds(Place(*place)))]

    def session_heads(self, tenant: str, session: str) -> dict[int, str]:
        """Of every day that was dropped for its age the session's last run: its place in the chain, and its hash (empty
        where nobody may read it)."""
        found = self._files.days.heads(self._files.keyring.tenant(tenant).tag, session)
        return {one.sequence: self._opened(one) for one in found}

    def _opened(self, head: SessionHead) -> str:
        if not head.sealed:
            return ""
        try:
            key = self._files.keyring.opener(vault.key_id(head.sealed))
        except Erased:
            return ""
        return key.open(head.sealed, COLUMN, head.session.encode()).hex()

    def _held(self) -> frozenset[bytes]:
        """Ids of the data keys of everybody on whom a legal hold stands."""
        found: set[bytes] = set()
        for _, record in self._hold_rows(None):
            found.update(self._files.keyring.key_ids(record[0], record[1]))
        return frozenset(found)

    def _hold_rows(self, tag: int | None) -> list[tuple[int, tuple[str, str, str, str]]]:
        """When each hold was placed, and its tenant, person, reason and author."""
        collection = self._models[HoldRow]
        at_ms, opener = collection.columns.index("at_ms"), self._files.keyring.opener
        return [(row[at_ms], _hold(collection.open("record", row, opener)))
                for row in self._files.tables.find(collection, tag, _EVERYTHING)]
