"""What an auditor asks of a tenant's audit log: where it stands, signed, and that something is in it."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any, Final

import msgspec

from ruche.storage import merkle
from ruche.storage.checkpoints import Checkpoint, PublicKey, read_checkpoint, read_note
from ruche.storage.errors import IntegrityError, NotFound
from ruche.storage.log import AuditLog, tenant_name
from ruche.storage.notary import Notary

_DAMAGED: Final = ("the audit log is not the one that was signed; nothing is proved or signed any more: stop the "
                   "engine and run `ruche verify`")


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """Where a log stands. `checkpoint` is a signed note; `consistency` proves that the log of `since` leaves is its
    beginning (empty where nobody asked). Hashes are in base64."""

    origin: str
    size: int
    root: str
    checkpoint: str
    keys: tuple[str, ...]
    since: int = 0
    consistency: tuple[str, ...] = ()


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """That an entry is in the log: with its leaf hash, `path` and the signed `checkpoint` everybody can check it."""

    kind: str
    id: str
    index: int
    leaf: str
    path: tuple[str, ...]
    size: int
    checkpoint: str

    def holds(self, key: PublicKey) -> bool:
        """Whether the checkpoint is signed by this key and the path leads from the leaf to its root."""
        note = read_note(self.checkpoint)
        checkpoint = read_checkpoint(note.text)
        return note.signed_by(key) and checkpoint.size == self.size and merkle.verify_inclusion(
            _bytes(self.leaf), self.index, self.size, [_bytes(one) for one in self.path], checkpoint.root)


class Audit:
    """Bound to one tenant; made by the store, and used under its lock. `find` gives an entry's leaf index."""

    def __init__(self, tag: int, log: AuditLog, notary: Notary, find: Callable[[str, str], int | None]) -> None:
        self._tag, self._log, self._notary, self._find = tag, log, notary, find
        self._origin = origin(tag)

    def head(self, since: int = 0) -> Head:
        """Raises NotFound for a `since` that the log has not reached, IntegrityError when the log was changed."""
        note, checkpoint = self._signed()
        if since > checkpoint.size:
            raise NotFound(f"the log has {checkpoint.size} entries, it has not reached {since}")
        proof = merkle.consistency_proof(self._log.tree(self._tag).node, since, checkpoint.size) if since else []
        return Head(origin=self._origin, size=checkpoint.size, root=_text(checkpoint.root), checkpoint=note,
                    keys=tuple(line.key.text() for line in self._notary.history), since=since,
                    consistency=tuple(map(_text, proof)))

    def proof(self, kind: str, id: str) -> Proof | None:
        """That a run, advisory or erasure is in the log; None when there is no such. Raises IntegrityError."""
        index = self._find(kind, id)
        if index is None:
            return None
        note, checkpoint = self._signed()
        tree = self._log.tree(self._tag)
        leaf, path = tree.node(0, index), merkle.inclusion_proof(tree.node, index, checkpoint.size)
        if not merkle.verify_inclusion(leaf, index, checkpoint.size, path, checkpoint.root):
            raise IntegrityError(_DAMAGED)
        return Proof(kind=kind, id=id, index=index, leaf=_text(leaf), path=tuple(map(_text, path)),
                     size=checkpoint.size, checkpoint=note)

    def _signed(self) -> tuple[str, Checkpoint]:
        note = sign(self._tag, self._log, self._notary)
        return note, read_checkpoint(read_note(note).text)


def sign(tag: int, log: AuditLog, notary: Notary) -> str:
    """The checkpoint of a log as it is. Raises IntegrityError when the last one is not of its beginning."""
    tree, before = log.tree(tag), notary.last(origin(tag))
    if before is not None and (before[0].size > tree.size
                               or merkle.root(tree.node, before[0].size) != before[0].root):
        raise IntegrityError(_DAMAGED)
    return notary.sign(origin(tag), tree.size, tree.root())


def origin(tag: int) -> str:
    """What a tenant's log is called in its checkpoints; says nothing about who the tenant is."""
    return f"ruche/{tenant_name(tag)}"


def as_json(value: Head | Proof) -> dict[str, Any]:
    """The plain form, as interfaces and files have it."""
    found: dict[str, Any] = msgspec.to_builtins(value)
    return found


def _text(hash: bytes) -> str:
    return base64.b64encode(hash).decode()


def _bytes(text: str) -> bytes:
    return base64.b64decode(text)
