"""Ships an open data directory to an archive: only what is new since the last time, while it is written and read.

Snapshots, journal segments up to the last acknowledged frame, day files, checkpoints of the audit log, and last of all
the keyring: whoever was erased is gone from the archive with the next shipment.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from ruche.storage import frames, platform
from ruche.storage.archive import KEYRING, Archive, Manifest, Shipped
from ruche.storage.datafiles import DataFiles
from ruche.storage.errors import IntegrityError
from ruche.storage.upgrade import FORM

_ATTEMPTS: Final = 5
_DAY_MS: Final = 86_400_000


class Shipment(NamedTuple):
    """What a shipment did: `sequence` is the last journal frame that the archive can bring back."""

    sequence: int
    at_ms: int
    files: int
    bytes: int
    seconds: float


class _Plan(NamedTuple):
    """What there is to ship: files that grow with their lengths, and small ones that are replaced."""

    sequence: int
    growing: dict[str, tuple[Path, int]]
    whole: dict[str, Path]


class Backup:
    """Any thread; the store's lock is held only while `settle` runs."""

    def __init__(self, files: DataFiles, settle: Callable[[], None], clock_ms: Callable[[], int] | None = None) -> None:
        """`settle` makes tables and day files durable."""
        self._files, self._settle = files, settle
        self._clock_ms = clock_ms or (lambda: time.time_ns() // 1_000_000)
        self.last: Shipment | None = None

    def ship(self, directory: Path, *, keep_days: float | None = None, disk: platform.Disk | None = None) -> Shipment:
        """Bring an archive up to now; with `keep_days`, let go of what is only needed to go back further than that.

        Raises StorageFull, StorageStopped for the archive's disk, DataLocked, IntegrityError.
        """
        began, archive, key = time.monotonic(), self.archive(directory, disk=disk), self._files.keyring.backup_key()
        try:
            with archive.locked():
                before = archive.manifest()
                known = before.checked(key).files if before is not None else {}
                plan, shipped = self._shipped(archive, known)
                manifest = Manifest(plan.sequence, self._clock_ms(), shipped)
                if keep_days is not None:
                    manifest = self._pruned(manifest, plan, manifest.made_ms - int(keep_days * _DAY_MS))
                archive.write_manifest(manifest.signed(key))
                archive.clear(manifest)
        except OSError as error:
            raise platform.disk_error(error, "writing the backup") from error
        changed = [one for name, one in manifest.files.items() if known.get(name) != one]
        size = sum(one.length - (known[name].length if name in known else 0) for name, one in manifest.files.items())
        self.last = Shipment(plan.sequence, manifest.made_ms, len(changed), size, round(time.monotonic() - began, 3))
        return self.last

    @staticmethod
    def archive(directory: Path, *, disk: platform.Disk | None = None) -> Archive:
        """The folder that is shipped to."""
        return Archive(directory, disk=disk)

    def _shipped(self, archive: Archive, known: dict[str, Shipped]) -> tuple[_Plan, dict[str, Shipped]]:
        """Copy what is planned; begins again when a segment or snapshot was let go of meanwhile."""
        for attempt in range(_ATTEMPTS):
            plan, shipped, now = self._plan(), dict(known), self._clock_ms()
            try:
                for name, (path, length) in plan.growing.items():
                    _check(name, path, length, known.get(name))
                    shipped[name] = archive.extend(name, path, length, known.get(name), now)
                for name, path in plan.whole.items():
                    shipped[name] = _kept(known.get(name), archive.put(name, path.read_bytes(), now))
            except FileNotFoundError:
                if attempt == _ATTEMPTS - 1:
                    raise
                continue
            shipped[KEYRING] = archive.put(KEYRING, self._files.keyring.content(), now)
            return plan, shipped
        raise IntegrityError("the data directory changed faster than it could be copied; try again")

    def _plan(self) -> _Plan:
        self._settle()
        directory = self._files.directory
        snapshots = {f"snapshots/{path.name}": (path, path.stat().st_size)
                     for path in sorted((directory / "snapshots").glob("*.snap"))}
        days = {f"runs/{path.name}": (path, path.stat().st_size) for path in sorted((directory / "runs").glob("*.day"))}
        notes = directory / "log" / "checkpoints"
        logs = {"log/checkpoints": (notes, notes.stat().st_size)} if notes.exists() else {}
        sequence, segments = self._files.journal.acknowledged()
        journal = {f"journal/{path.name}": (path, length) for path, length in segments}
        whole = {f"runs/{path.name}": path for path in (directory / "runs").glob("*.heads")}
        if (directory / "log" / "keys").exists():
            whole["log/keys"] = directory / "log" / "keys"
        whole[FORM] = directory / FORM
        return _Plan(sequence, {**snapshots, **days, **logs, **journal}, whole)

    def _pruned(self, manifest: Manifest, plan: _Plan, before_ms: int) -> Manifest:
        """Without what is older than the newest snapshot from before the time, and days that were let go of."""
        files = dict(manifest.files)
        bases = [number_of(name) for name in manifest.names("snapshots") if files[name].at_ms <= before_ms]
        if bases:
            for name in manifest.names("snapshots"):
                if number_of(name) < bases[-1] and name not in plan.growing:
                    del files[name]
            segments = manifest.names("journal")
            for name, following in itertools.pairwise(segments):
                if number_of(following) <= bases[-1] + 1 and name not in plan.growing:
                    del files[name]
        for name in manifest.names("runs"):
            if name not in plan.growing and name not in plan.whole and files[name].at_ms <= before_ms:
                del files[name]
        return Manifest(manifest.sequence, manifest.made_ms, files)


def number_of(name: str) -> int:
    """The journal sequence in a segment's or snapshot's name."""
    return int(name.rpartition("/")[2].partition(".")[0])


def _kept(before: Shipped | None, now: Shipped) -> Shipped:
    """What was there already, when nothing changed."""
    return before if before is not None and before.parts == now.parts else now


def _check(name: str, path: Path, length: int, known: Shipped | None) -> None:
    """Nothing damaged is shipped: frames that are new must be sound. Raises IntegrityError."""
    have = known.length if known is not None else 0
    if not name.endswith((".seg", ".day")) or have >= length:
        return
    with path.open("rb") as file:
        file.seek(have)
        content = file.read(length - have)
    found = frames.scan(content, 0 if have else frames.HEADER.size)
    if found.bad is not None:
        raise IntegrityError(f"{path.name}: damaged at byte {have + found.bad}; it was not shipped", file=str(path),
                             offset=have + found.bad)
