"""The lines of persons' keys, and of those that are gone: looked up in the keyring's file, so that memory does not grow
with the number of persons.

Registers tell where lines of an id, a name and an owner begin; they hold no part of a key. What is not in the file yet
is in memory, and the counts of keys that were used lately.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ruche.storage.keyfile import Extent, KeyFile, Placed
from ruche.storage.keyline import LineReader, Place, WrappedKey
from ruche.storage.keyplaces import Entries
from ruche.storage.register import Numbers, Register

_NOTED: Final = 16_384
"""Counts that are kept in memory: 10 MB."""
_AT_ONCE: Final = 1 << 17
_POSITIVE: Final = 0x7FFF_FFFF_FFFF_FFFF
_ZERO: Final = b"\0"

MANY: Final = ("person", "gone")
Saved = tuple[dict[bytes, WrappedKey | None], dict[bytes, None], dict[bytes, WrappedKey]]


class _Where(NamedTuple):
    """Where lines begin, by 63 bits of their id, tenant and name, and owner, in the file as `read` sees it."""

    read: LineReader
    ids: Register
    names: Register
    owners: Register

    @property
    def registers(self) -> tuple[Register, Register, Register]:
        return self.ids, self.names, self.owners


class PersonLines:
    """The keyring holds its lock around every call that changes something; any thread looks."""

    def __init__(self, file: KeyFile) -> None:
        self._file, self._scratch = file, file.path.parent
        self._where = self._nowhere()
        self._changed: dict[bytes, WrappedKey | None] = {}
        self._named: dict[bytes, None] = {}
        self._noted: dict[bytes, WrappedKey] = {}

    # --- looking ---------------------------------------------------------------------------------------------

    def get(self, id: bytes) -> WrappedKey | None:
        found = self._noted.get(id)
        if found is not None:
            return found
        return self._changed[id] if id in self._changed else self._written(self._where, id)

    def generations(self, owner: bytes) -> list[WrappedKey]:
        """Every line that has this owner now, in the order in which their ids came up."""
        where = self._where
        lines = [where.read(place) for place in sorted(set(where.owners.seats(_number(owner[-8:]))))]
        ids = dict.fromkeys([line.id for line in lines if line.owner == owner])
        ids |= dict.fromkeys([one for one, line in list(self._changed.items()) if line is not None
                              and line.owner == owner])
        return [line for one in ids if (line := self.get(one)) is not None and line.owner == owner]

    def named(self, tenant: bytes, name: bytes) -> WrappedKey | None:
        """The newest key of the person of a tenant who goes by this name."""
        where = self._where
        owners = {line.owner for line in map(where.read, where.names.seats(_number(tenant[:8], name[:8])))}
        if tenant + name in self._named:
            owners |= {line.owner for line in list(self._changed.values()) if line is not None}
        found = [line for owner in owners if owner[:32] == tenant for line in self.generations(owner)
                 if line.kind == "person" and line.name == name]
        return found[-1] if found else None

    def every(self) -> Iterator[WrappedKey]:
        """Each line as it is now, in the order in which their ids came up. Reads the whole file."""
        where = self._where
        for place, line in self._file.lines():
            if line.kind not in MANY:
                continue
            alone = list(where.ids.seats(_number(line.id))) == [place]
            if alone or place == min(self._places(where, line.id), default=place):
                now = line if alone and not self._differs(line.id) else self.get(line.id)
                if now is not None:
                    yield now
        later = [self.get(one) for one in list(self._changed) if not self._places(where, one)]
        yield from [line for line in later if line is not None]

    # --- changing --------------------------------------------------------------------------------------------

    def put(self, line: WrappedKey) -> None:
        """A line that is not in the file as it is."""
        self._changed[line.id] = line
        self._named[line.owner[:32] + line.name] = None
        self._noted.pop(line.id, None)

    def drop(self, id: bytes) -> None:
        self._changed[id] = None
        self._noted.pop(id, None)

    def note(self, line: WrappedKey) -> bool:
        """Keep a line's counts; True when so many are kept that they should be forgotten."""
        self._noted[line.id] = line
        return len(self._noted) > _NOTED

    def forget_noted(self) -> None:
        self._noted.clear()

    def written(self, placed: Iterable[Placed]) -> None:
        """Lines that are in the file now, each at its place."""
        for place, line in placed:
            self._add(place, line)
            if self._changed.get(line.id) is line:
                del self._changed[line.id]
        if not self._changed:
            self._named.clear()
        for register in self._where.registers:
            register.spill(_all)
            while crowded := register.crowded():
                register.replace(crowded, register.merged([run.content() for run in crowded], _all))

    def _add(self, place: Place, line: WrappedKey) -> None:
        for register, number in zip(self._where.registers, _numbers(line), strict=True):
            register.add(number, place)

    def fill(self, placed: Iterable[Placed], known: Iterable[Entries] = ()) -> int:
        """Begin anew from the file with what is known of it and these lines; gives how many ids there are."""
        where, gathered = self._nowhere(), _Gathered()
        for register, (numbers, places) in zip(where.registers, known, strict=False):
            register.fill(numbers, places)
        for place, line in placed:
            gathered.add(place, line)
            if len(gathered.places) >= _AT_ONCE:
                gathered.move(where)
        gathered.move(where)
        self._where = where
        self.restore(({}, {}, {}))
        return len(np.unique(where.ids.everything()[0]))

    def entries(self) -> tuple[Entries, Entries, Entries]:
        """What the registers hold."""
        ids, names, owners = (register.everything() for register in self._where.registers)
        return ids, names, owners

    def extents(self, ids: Iterable[bytes]) -> list[Extent]:
        """Where every line of these ids begins and ends, in order. Raises IntegrityError."""
        where = self._where
        return sorted((place, where.read.end(place)) for one in ids for place in self._places(where, one))

    def cut(self, gone: Sequence[Extent], ids: Iterable[bytes], written: Iterable[Placed]) -> None:
        """The file is without these extents and ids now, and has these lines at its end."""
        where = self._nowhere()
        for before, register in zip(self._where.registers, where.registers, strict=True):
            numbers, places = before.everything()
            stays = ~np.isin(places, [begin for begin, _ in gone])
            register.fill(numbers[stays], moved(places[stays], gone))
        for one in ids:
            self._changed.pop(one, None)
            self._noted.pop(one, None)
        self._where = where
        self.written(written)

    def saved(self) -> Saved:
        """What is not in the file, to be taken back with `restore`."""
        return self._changed.copy(), self._named.copy(), self._noted.copy()

    def restore(self, saved: Saved) -> None:
        self._changed, self._named, self._noted = saved

    def close(self) -> None:
        self._where.read.close()
        for register in self._where.registers:
            register.close()

    # --- inside ----------------------------------------------------------------------------------------------

    def _nowhere(self) -> _Where:
        return _Where(self._file.reader(), Register(self._scratch), Register(self._scratch), Register(self._scratch))

    def _differs(self, id: bytes) -> bool:
        return id in self._changed or id in self._noted

    @staticmethod
    def _places(where: _Where, id: bytes) -> list[Place]:
        return [place for place in where.ids.seats(_number(id)) if where.read(place).id == id]

    @staticmethod
    def _written(where: _Where, id: bytes) -> WrappedKey | None:
        """The last line of an id is the one that counts."""
        for place in sorted(where.ids.seats(_number(id)), reverse=True):
            line = where.read(place)
            if line.id == id:
                return line
        return None


class _Gathered:
    """Lines on their way into registers."""

    def __init__(self) -> None:
        self.places = array("q")
        self._columns = [bytearray() for _ in range(4)]

    def add(self, place: Place, line: WrappedKey) -> None:
        ids, tenants, names, owners = self._columns
        owner = line.owner
        self.places.append(place)
        ids += line.id[:8].rjust(8, _ZERO)
        tenants += owner[:8].rjust(8, _ZERO)
        names += line.name[:8].rjust(8, _ZERO)
        owners += owner[-8:].rjust(8, _ZERO)

    def move(self, where: _Where) -> None:
        """Put them there."""
        places = np.array(self.places, dtype=np.int64)
        ids, tenants, names, owners = (np.frombuffer(bytes(one), dtype=">u8").astype(np.uint64)
                                       for one in self._columns)
        for register, numbers in zip(where.registers, (ids, tenants ^ names, owners), strict=True):
            register.fill((numbers & np.uint64(_POSITIVE)).astype(np.int64), places)
            while crowded := register.crowded():
                register.replace(crowded, register.merged([run.content() for run in crowded], _all))
        self.places, self._columns = array("q"), [bytearray() for _ in range(4)]


def moved(places: Numbers, gone: Sequence[Extent]) -> Numbers:
    """Where what lay at these places lies once some extents, in order, are left out of the file."""
    begins = np.array([begin for begin, _ in gone], dtype=np.int64)
    lengths = np.cumsum([0, *(end - begin for begin, end in gone)])
    found: Numbers = places - lengths[np.searchsorted(begins, places)]
    return found


def _numbers(line: WrappedKey) -> tuple[int, int, int]:
    return _number(line.id), _number(line.owner[:8], line.name[:8]), _number(line.owner[-8:])


def _number(*parts: bytes) -> int:
    """63 bits of values that are random or keyed hashes."""
    found = 0
    for one in parts:
        found ^= int.from_bytes(one[:8], "big")
    return found & _POSITIVE


def _all(places: Numbers) -> NDArray[np.bool_]:
    return np.ones(places.shape, dtype=np.bool_)
