"""The keys of an open store, for those who run it: what there is, changing them, letting go of what nothing needs.

A rotation is begun once and goes on in short steps, by whoever calls `step`; reading and writing go on meanwhile. After
a restart `under_way` says what is left to do.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from typing import Final, Literal, NamedTuple, TypeVar, get_args

from ruche.storage.datafiles import DataFiles
from ruche.storage.errors import ConfigurationError, Conflict, NotFound, StorageStopped
from ruche.storage.keyring import KeySource
from ruche.storage.keysources import FileKeySource
from ruche.storage.keyuse import KeyUse
from ruche.storage.quiet import Quiet
from ruche.storage.rehash import Rehash
from ruche.storage.rotation import KeyState, Progress, Rotation

Level = Literal["root", "tenant", "person", "journal", "users"]
T = TypeVar("T")
LEVELS: Final[tuple[Level, ...]] = get_args(Level)


class KeyStatus(NamedTuple):
    """Every level in numbers, and the levels whose rotation goes on."""

    levels: tuple[KeyState, ...]
    under_way: tuple[Level, ...]


class Keys:
    """Any thread; one rotation step at a time."""

    def __init__(self, files: DataFiles, quiet: Quiet, writing: threading.Lock, use: KeyUse,
                 checkpoint: Callable[[], None]) -> None:
        """Nothing is appended while `writing` is held; `checkpoint` makes the tables durable."""
        self._ring, self._stop, self._tables = files.keyring, files.journal.stop, files.tables
        self._checkpoint, self._use = checkpoint, use
        self._rehash = Rehash(files.keyring, files.collections, files.tables, self._use, quiet, writing, self._kept)
        self._rotation, self._one = Rotation(files.keyring), threading.Lock()

    def recovered(self, applied: int) -> None:
        """The store was opened with its tables filled up to `applied` and has replayed the rest."""
        if applied < self._rehash.since:
            self._rehash.catch_up()
        elif self._rehash.under_way:
            self._rehash.hold()

    def status(self) -> KeyStatus:
        return KeyStatus(tuple(self._rotation.status()), self.under_way())

    def under_way(self) -> tuple[Level, ...]:
        """Levels whose rotation is not finished; costs next to nothing."""
        return tuple(level for level in LEVELS if level in ("root", "tenant", "users")
                     and self._rotation.older(level))

    def uses(self) -> Counter[bytes]:
        """How many stored values or files name each key; reads everything that is stored."""
        return self._use.counts()

    def mourn(self) -> int:
        """Note every key that something stored names and the keyring lost, so that the rest can be read; how many."""
        lost = [key for key in self.uses() if self._ring.lines.get(key) is None]
        self._ring.mourn(lost)
        return len(lost)

    # --- rotating --------------------------------------------------------------------------------------------

    def rotate(self, level: Level, *, tenant: str | None = None, person: str | None = None) -> None:
        """Begin a rotation of a level, other than the root's. What `step` has to finish is told by `status`.

        tenant: of one tenant, or all; person: of one person of a tenant, or every one. Raises NotFound,
        ConfigurationError, StorageFull, StorageStopped.
        """
        with self._one:
            self._guarded(lambda: self._begin(level, tenant, person))

    def step(self) -> Progress | None:
        """A short step of what is under way; None when nothing is that a step can finish."""
        under_way = self.under_way()
        with self._one:
            if "tenant" in under_way:
                return self._guarded(self._rotation.step)
            if "users" in under_way:
                return self._guarded(self._rehash.step)
            return None

    def finish(self, told: Callable[[Progress], None] = lambda progress: None) -> None:
        """Step until nothing more is under way; `told` hears of every step. Raises Conflict where something stays
        found by the old user-hash key alone."""
        while (progress := self.step()) is not None:
            told(progress)
            if self._rehash.stuck:
                raise Conflict(f"{progress.total - progress.done} persons' keys could not be moved, because nothing "
                               "that is stored tells whose they are; the old user-hash key is kept")

    def rotate_root(self, source: KeySource) -> bool:
        """Let the root key of `source` open the keyring too; False when it does already. Then make the key source give
        that key, and call `finish_root`. Both open it until then."""
        with self._one:
            return self._guarded(lambda: self._rotation.add_root(source))

    def finish_root(self, source: KeySource) -> int:
        """Shut out every root key but the one that the key source gives now; how many there were."""
        with self._one:
            return self._guarded(lambda: self._rotation.keep_root(source))

    def replace_root_file(self, source: FileKeySource) -> None:
        """A new root key in the place of the file's. After a kill at any point the file opens the keyring, and calling
        this again finishes what was begun."""
        with self._one:
            self._guarded(lambda: self._replace_root_file(source))

    def retire(self, key_id: bytes) -> None:
        """Let go of an older key for good. Raises NotFound, and Conflict while anything is sealed under it."""
        with self._one:
            if key_id not in {line.id for line in (*self._ring.lines.of_kind("person"),
                                                   *self._ring.lines.of_kind("journal"))}:
                raise NotFound("there is no person's or journal key with this id")
            uses = self._use.counts()[key_id]
            self._guarded(lambda: self._rotation.retire(key_id, uses))

    def older(self) -> dict[bytes, str]:
        """Ids of keys that only open what they sealed, with their level."""
        with self._ring.lock:
            lines = self._ring.lines
            found = {line.id: "journal" for line in lines.of_kind("journal")[:-1]}
            for owner in {line.owner for line in lines.of_kind("person")}:
                found |= {line.id: "person" for line in lines.generations("person", owner)[:-1]}
            return found

    # --- inside ----------------------------------------------------------------------------------------------

    def _kept(self) -> int:
        self._checkpoint()
        applied: int = self._tables.applied
        return applied

    def _begin(self, level: Level, tenant: str | None, person: str | None) -> None:
        match level:
            case "tenant":
                self._rotation.begin_tenant(tenant)
            case "person" if tenant is None:
                raise ConfigurationError("name the tenant whose persons get new keys")
            case "person":
                if person is None:
                    self._rotation.renew_persons(tenant or "")
                else:
                    self._rotation.renew_person(tenant or "", person)
            case "journal":
                self._rotation.renew_journal()
            case "users":
                self._rehash.begin()
            case _:
                raise ConfigurationError("the root key is changed where it is kept; see `ruche keys rotate --help`")

    def _replace_root_file(self, source: FileKeySource) -> None:
        following = source.following()
        if not self._ring.lines.opens(source.root_key()):
            raise ConfigurationError(f"{source.path}: this root key does not open the keyring; nothing was changed")
        if not following.path.exists() and "root" in self.under_way():
            self._rotation.keep_root(source)
            return
        following.create_if_absent()
        self._rotation.add_root(following)
        source.promote(following)
        self._rotation.keep_root(source)

    def _guarded(self, work: Callable[[], T]) -> T:
        try:
            return work()
        except StorageStopped as error:
            self._stop(error.message)
            raise
