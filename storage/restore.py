"""Brings a data directory back from an archive, as it is there or as it was at a time, and proves it before it counts.

It is built beside the target and takes its name when every file was checked, the tables were rebuilt, and every
session's chain was verified.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

from ruche.storage import frames, platform
from ruche.storage.archive import KEYRING, Archive
from ruche.storage.backup import number_of
from ruche.storage.checkpoints import read_checkpoint, read_note
from ruche.storage.errors import ConfigurationError, IntegrityError, NotFound
from ruche.storage.keyring import Keyring, KeySource
from ruche.storage.store import Store
from ruche.storage.upgrade import FORM

_NEVER: Final = 1 << 62


class Target(NamedTuple):
    """The last journal frame to bring back, when it was written, and when the first one that is left out was."""

    sequence: int
    at_ms: int
    next_ms: int


class Restored(NamedTuple):
    """What was brought back, and how long copying and rebuilding took, in seconds."""

    sequence: int
    at_ms: int
    sessions: int
    runs: int
    bytes: int
    copied_seconds: float
    rebuilt_seconds: float


class Restore:
    """One archive, opened with the root key."""

    def __init__(self, source: Path, keys: KeySource, *, disk: platform.Disk | None = None) -> None:
        """Raises NotFound where there is no backup."""
        self._archive, self._keys = Archive(source, disk=disk), keys
        self._disk = disk or platform.Disk()
        found = self._archive.manifest()
        if found is None:
            raise NotFound(f"{source}: there is no backup here")
        self._manifest = found

    def run(self, target: Path, *, to_ms: int | None = None, to_sequence: int | None = None,
            told: Callable[[str], None] = lambda words: None) -> Restored:
        """Make the target directory, which must not exist or be empty, up to now, a time, or a journal frame.

        Raises ConfigurationError (target in use, wrong root key, a time that cannot be met), IntegrityError (what is
        damaged, by file and byte). Nothing is left of the target then.
        """
        if target.exists() and (not target.is_dir() or any(target.iterdir())):
            raise ConfigurationError(f"{target} is not empty; restore to a directory that is not there yet")
        building = target.with_name(target.name + ".restoring")
        shutil.rmtree(building, ignore_errors=True)
        began = time.monotonic()
        try:
            wanted, size = self._copied(building, to_ms, to_sequence)
            copied = time.monotonic()
            told(f"copied {size} bytes in {copied - began:.1f} s")
            sessions, runs = self._prove(building)
        except BaseException:
            shutil.rmtree(building, ignore_errors=True)
            raise
        if target.exists():
            target.rmdir()
        self._disk.replace(building, target)
        self._disk.sync_directory(target.absolute().parent)
        return Restored(wanted.sequence, wanted.at_ms, sessions, runs, size, round(copied - began, 3),
                        round(time.monotonic() - copied, 3))

    # --- copying ---------------------------------------------------------------------------------------------

    def _copied(self, building: Path, to_ms: int | None, to_sequence: int | None) -> tuple[Target, int]:
        try:
            return self._copy(building, to_ms, to_sequence)
        except OSError as error:
            raise platform.disk_error(error, "writing the restored directory") from error

    def _copy(self, building: Path, to_ms: int | None, to_sequence: int | None) -> tuple[Target, int]:
        platform.private_directory(building)
        keyring = self._archive.content(KEYRING, self._manifest.files[KEYRING])
        self._write(building / KEYRING, [keyring])
        self._check(building)
        target = self._target(to_ms, to_sequence)
        base = max((number_of(name) for name in self._manifest.names("snapshots")
                    if number_of(name) <= target.sequence), default=0)
        size = len(keyring)
        for name in self._needed(base, target):
            shipped = self._manifest.files[name]
            content = self._cut(name, target) or self._archive.parts(name, shipped)
            size += self._write(building / name, content)
        return target, size

    def _check(self, building: Path) -> None:
        """The root key opens the keyring, and the keyring's keys made the manifest."""
        ring = Keyring(building / KEYRING, self._keys.root_key())
        try:
            self._manifest.checked(ring.backup_key())
        finally:
            ring.close()
        (building / "keys" / "mark").unlink(missing_ok=True)

    def _needed(self, base: int, target: Target) -> Iterator[str]:
        """Names of the files to copy. Raises IntegrityError when a journal segment is missing among them."""
        manifest = self._manifest
        if FORM in manifest.files:
            yield FORM
        if base:
            yield f"snapshots/{base:020d}.snap"
        segments, expected = manifest.names("journal"), base + 1
        for place, name in enumerate(segments):
            following = number_of(segments[place + 1]) if place + 1 < len(segments) else _NEVER
            if following <= base + 1 or number_of(name) > target.sequence:
                continue
            if number_of(name) > expected:
                raise IntegrityError(f"{name}: journal frames from {expected} on are missing before it in the backup")
            expected = following
            yield name
        for name in manifest.names("runs"):
            if not self._replaced(name, target):
                yield name
        yield from manifest.names("log")

    def _replaced(self, name: str, target: Target) -> bool:
        """Whether a day's entries stand for its heads at that time, or the heads for the entries."""
        stem, _, kind = name.rpartition(".")
        heads = self._manifest.files.get(stem + ".heads")
        dropped = heads is not None and heads.at_ms < target.next_ms
        return (kind == "heads" and not dropped) or (kind == "day" and dropped)

    def _cut(self, name: str, target: Target) -> list[bytes] | None:
        """A file without what came after the target; None when it is to be copied as it is."""
        if target.next_ms == _NEVER or not name.endswith((".seg", ".day", "/checkpoints")):
            return None
        content = self._archive.content(name, self._manifest.files[name])
        found = frames.scan(content)
        if name.endswith("/checkpoints"):
            kept = [frame for frame in found.frames
                    if read_checkpoint(read_note(frame.body.decode()).text).at_ms < target.next_ms]
        else:
            kept = [frame for frame in found.frames if frame.sequence <= target.sequence]
        return [content[:frames.HEADER.size], *(content[frame.start:frame.end] for frame in kept)]

    def _write(self, path: Path, content: Iterable[bytes]) -> int:
        platform.private_directory(path.parent)
        descriptor, size = self._disk.open(path, os.O_CREAT | os.O_TRUNC | os.O_WRONLY), 0
        try:
            for part in content:
                self._disk.write(descriptor, part)
                size += len(part)
            self._disk.sync(descriptor)
        finally:
            os.close(descriptor)
        self._disk.sync_directory(path.parent)
        return size

    # --- which frame -----------------------------------------------------------------------------------------

    def _target(self, to_ms: int | None, to_sequence: int | None) -> Target:
        if to_ms is None and to_sequence is None:
            return Target(self._manifest.sequence, self._manifest.made_ms, _NEVER)
        found = list(self._frames())
        if not found:
            raise ConfigurationError("the backup holds no journal frames to choose from")
        if to_ms is not None:
            kept = _until(found, to_ms)
        else:
            ends = {frame.durable: frame.durable + frame.batch for frame in found}
            kept = [frame for frame in found if ends[frame.durable] <= (to_sequence or 0)]
        oldest = min([number_of(name) for name in self._manifest.names("snapshots")], default=0)
        starts_at = 0 if found[0].sequence == 1 else oldest
        if not kept or kept[-1].sequence < starts_at:
            raise ConfigurationError(f"the backup goes back to journal frame {max(starts_at, found[0].sequence)} of "
                                     f"{words(found[0].at_ms)}, no further")
        after = next((frame.at_ms for frame in found if frame.sequence > kept[-1].sequence), _NEVER)
        return Target(kept[-1].sequence, kept[-1].at_ms, after)

    def _frames(self) -> Iterator[frames.Frame]:
        """Every journal frame in the archive without its body, in order."""
        for name in self._manifest.names("journal"):
            content = self._archive.content(name, self._manifest.files[name])
            yield from (frame._replace(body=b"") for frame in frames.scan(content).frames)

    # --- proving ---------------------------------------------------------------------------------------------

    def _prove(self, building: Path) -> tuple[int, int]:
        with Store.open(building, self._keys, reserve_bytes=0) as store:
            sessions, runs, problems = prove(store)
        if problems:
            raise IntegrityError(f"the restored directory does not verify: {problems[0]}")
        return sessions, runs


def prove(store: Store) -> tuple[int, int, list[str]]:
    """Verify the chain of every session of every tenant: how many sessions, how many runs, and what is wrong."""
    sessions = runs = 0
    problems: list[str] = []
    for tenant, session in store.all_sessions():
        found = store.tenant(tenant).verify_session(session)
        sessions, runs = sessions + 1, runs + found.runs
        problems += found.problems
    return sessions, runs, problems


def _until(found: list[frames.Frame], to_ms: int) -> list[frames.Frame]:
    """The frames up to a time. Raises ConfigurationError when the clock was set back around it."""
    early = [frame for frame in found if frame.at_ms <= to_ms]
    if early and early[-1].sequence - early[0].sequence + 1 != len(early):
        first = next(frame for frame in found if frame.at_ms > to_ms)
        raise ConfigurationError(f"the clock was set back around that time: frames {first.sequence} to "
                                 f"{early[-1].sequence} are out of order; name the last frame with --to-sequence")
    return early


def words(at_ms: int) -> str:
    """A time for people: RFC 3339 in UTC, to the second."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at_ms / 1000))
