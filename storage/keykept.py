"""The lines of the keyring that are kept in memory, all but those of persons, and where they begin in the file."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from ruche.storage.keyfile import Extent, Placed
from ruche.storage.keyline import Place, WrappedKey
from ruche.storage.keypersons import MANY, moved

Saved = tuple[dict[bytes, WrappedKey], dict[bytes, list[bytes]]]


class KeptLines:
    """The keyring holds its lock around every call that changes something; any thread looks."""

    def __init__(self) -> None:
        self._lines: dict[bytes, WrappedKey] = {}
        self._generations: dict[bytes, list[bytes]] = {}
        self._places = array("q")

    def __len__(self) -> int:
        return len(self._lines)

    def get(self, id: bytes) -> WrappedKey | None:
        return self._lines.get(id)

    def every(self) -> list[WrappedKey]:
        """Oldest first."""
        return list(self._lines.values())  # another thread may be adding

    def generations(self, owner: bytes) -> list[WrappedKey]:
        """Keys of one tenant, oldest first."""
        return [line for one in self._generations.get(owner, ()) if (line := self._lines.get(one)) is not None]

    def put(self, line: WrappedKey) -> None:
        """Add a line or replace the one with its id."""
        self._lines[line.id] = line
        if line.kind == "tenant":
            generations = self._generations.setdefault(line.owner, [])
            if line.id not in generations:
                generations.append(line.id)

    def drop(self, line: WrappedKey) -> None:
        del self._lines[line.id]
        if line.kind == "tenant":
            self._generations[line.owner].remove(line.id)

    def saved(self) -> Saved:
        """What `restore` brings back; places are not part of it."""
        return self._lines.copy(), {owner: ids.copy() for owner, ids in self._generations.items()}

    def restore(self, saved: Saved) -> None:
        self._lines, self._generations = saved

    # --- places ----------------------------------------------------------------------------------------------

    @property
    def places(self) -> NDArray[np.int64]:
        """Where lines begin in the file, replaced ones among them."""
        return np.array(self._places, dtype=np.int64)

    def lies(self, place: Place) -> None:
        """A line begins there."""
        self._places.append(place)

    def written(self, lines: Iterable[Placed]) -> None:
        """These lines were written; those of persons are not kept here."""
        self._places.extend(place for place, line in lines if line.kind not in MANY)

    def cut(self, gone: Sequence[Extent]) -> None:
        """These parts of the file are gone, and what follows them has moved."""
        self._places = array("q", moved(self.places, gone).tolist())

    def nowhere(self) -> None:
        """The file is written anew."""
        self._places = array("q")
