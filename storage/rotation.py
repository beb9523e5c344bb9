"""Changes the keys that wrap other keys, and begins new generations of those that seal. No downtime at any level.

What is under way is read from the keyring itself, so that a rotation goes on after a restart where it was: two root
keys, two keys of a tenant. A key that something still needs is never let go.
"""

from __future__ import annotations

from collections import deque
from typing import Final, NamedTuple

from ruche.storage.errors import Conflict, NotFound
from ruche.storage.keyline import Kind, WrappedKey
from ruche.storage.keyring import BUDGET, Keyring, KeySource

_SINGLE: Final[tuple[Kind, ...]] = ("root", "users", "journal")


class Progress(NamedTuple):
    """How far a rotation is: `done` of `total` keys or rows moved; finished when nothing of the old key is needed."""

    level: str
    done: int
    total: int

    @property
    def finished(self) -> bool:
        return self.done >= self.total


class KeyState(NamedTuple):
    """A level of the hierarchy in numbers: live keys, those that only open what they sealed, the largest share of a
    key's nonces that may be spent (0 to 1)."""

    level: str
    keys: int
    older: int
    spent: float


class Rotation:
    """Root, tenant, person and journal keys of one keyring. Any thread; steps are short."""

    def __init__(self, keyring: Keyring) -> None:
        self._ring, self._lines, self._lock = keyring, keyring.lines, keyring.lock
        self._waiting: deque[bytes] = deque()
        self._total = 0

    def status(self) -> list[KeyState]:
        """Every level, from the top."""
        with self._lock:
            found = [KeyState(kind, 1, len(self._lines.of_kind(kind)) - 1, 0.0) for kind in _SINGLE]
            return [*found, self._owned("tenant"), self._owned("person")]

    def older(self, kind: Kind) -> int:
        """How many keys of a level wait to be let go of."""
        with self._lock:
            lines = self._lines.of_kind(kind)
            return len(lines) - (len({line.owner for line in lines}) if kind in ("tenant", "person") else 1)

    # --- root ------------------------------------------------------------------------------------------------

    def add_root(self, source: KeySource) -> bool:
        """Let another root key open the keyring as well, over a new master key; False when it does already.

        From here on both root keys open it: the key source can be changed, and the process restarted, at any time.
        """
        new = source.root_key()
        with self._lock:
            if self._lines.opens(new):
                return False
            self._lines.add_root(new)
            return True

    def keep_root(self, source: KeySource) -> int:
        """Shut out every root key but the one that `source` gives now; how many there were. Raises ConfigurationError
        when that one does not open the keyring."""
        new = source.root_key()
        with self._lock:
            return self._lines.keep_root(new)

    # --- tenants ---------------------------------------------------------------------------------------------

    def begin_tenant(self, tenant: str | None = None) -> None:
        """A new key for a tenant, or for all; `step` moves their persons' keys under it. Raises NotFound."""
        with self._lock:
            owners = {line.owner for line in self._lines.of_kind("tenant")}
            if tenant is not None:
                owners &= {self._ring.tenant(tenant).hash}
                if not owners:
                    raise NotFound(f"the tenant {tenant} has no key yet")
            for owner in owners:
                if len(self._lines.generations("tenant", owner)) == 1:
                    self._lines.make("tenant", owner=owner)
            self._lines.flush()

    def step(self, limit: int = 500) -> Progress:
        """Move at most so many persons' keys under their tenant's new key; let go of old ones that wrap nothing."""
        with self._lock:
            older = {line.id for owner in {one.owner for one in self._lines.of_kind("tenant")}
                     for line in self._lines.generations("tenant", owner)[:-1]}
            if not older:
                return Progress("tenant", self._total, self._total)
            if not self._waiting:
                self._waiting.extend(line.id for line in self._lines.of_kind("person") if line.parent in older)
                self._total = max(self._total, len(self._waiting))
            for _ in range(min(limit, len(self._waiting))):
                self._move(self._lines.get(self._waiting.popleft()), older)
            self._lines.flush()
            if not any(line.parent in older for line in self._lines.of_kind("person")):
                self._drop([line for line in self._lines.of_kind("tenant") if line.id in older])
                return Progress("tenant", self._total, self._total)
            return Progress("tenant", self._total - len(self._waiting), self._total)

    def _move(self, line: WrappedKey | None, older: set[bytes]) -> None:
        if line is not None and line.kind == "person" and line.parent in older:
            self._lines.rewrap(line, parent=self._lines.generations("tenant", line.owner[:32])[-1].id)

    # --- persons and files -----------------------------------------------------------------------------------

    def renew_person(self, tenant: str, interlocutor: str) -> None:
        """A new key for what is sealed about this person from now on. Raises NotFound."""
        with self._lock:
            line = self._ring.find(tenant, interlocutor)
            if line is None:
                raise NotFound("nothing of this person is kept")
            self._ring.succeed(line)
            self._lines.flush()

    def renew_persons(self, tenant: str) -> None:
        """A new key for every person of a tenant, each made when they are next written about. Raises NotFound."""
        with self._lock:
            owner = self._ring.tenant(tenant).hash
            if not self._lines.generations("tenant", owner):
                raise NotFound(f"the tenant {tenant} has no key yet")
            self._lines.renew(owner)
            self._lines.flush()
            self._ring.reload()

    def renew_journal(self) -> None:
        """A new key for the next journal segments and snapshots."""
        with self._lock:
            self._lines.make("journal")
            self._lines.flush()
            self._ring.reload()

    def retire(self, key_id: bytes, uses: int) -> None:
        """Let go of an older generation for good; `uses` is how many blobs or files name it, counted just now.

        Raises NotFound, and Conflict for a key that is in use or the newest of its kind.
        """
        with self._lock:
            line = self._lines.get(key_id)
            if line is None or line.kind not in ("person", "journal"):
                raise NotFound("there is no person's or journal key with this id")
            siblings = (self._lines.of_kind("journal") if line.kind == "journal"
                        else self._lines.generations("person", line.owner))
            if siblings[-1].id == key_id:
                raise Conflict("this key seals what is written now; rotate first")
            if uses:
                raise Conflict(f"this key is in use: {uses} stored values are sealed under it")
            self._drop([line])

    def _drop(self, lines: list[WrappedKey]) -> None:
        with self._lines.rewriting():
            for line in lines:
                self._lines.drop(line)
        self._ring.reload()

    def _owned(self, kind: Kind) -> KeyState:
        lines = self._lines.of_kind(kind)
        owners = len({line.owner for line in lines})
        most = max((self._ring.spent(line) for line in lines if kind == "person"), default=0)
        return KeyState(kind, owners, len(lines) - owners, round(most / BUDGET, 6))
