"""A folder that a data directory is backed up to: copies of its sealed files, and a manifest that says what is in it.

A file is a list of parts, each with its SHA-256; growing files get more parts. What lies beyond the manifest is the
rest of a shipment that was cut short, and is written over. The root key is never in it.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from ruche.storage import platform
from ruche.storage.errors import ConfigurationError, IntegrityError

MANIFEST: Final = "manifest.json"
KEYRING: Final = "keys/keyring"
PART_BYTES: Final = 8 * 1024 * 1024
_VERSION: Final = 1


class Part(msgspec.Struct, frozen=True, array_like=True):
    """So many bytes of a file from `start` on, and their SHA-256 in hexadecimal."""

    start: int
    length: int
    sha256: str


class Shipped(msgspec.Struct, frozen=True):
    """A file as it was shipped; `at_ms` is when it was last added to."""

    parts: tuple[Part, ...]
    at_ms: int

    @property
    def length(self) -> int:
        return self.parts[-1].start + self.parts[-1].length if self.parts else 0


class Manifest(msgspec.Struct, frozen=True):
    """What an archive holds, up to and with journal frame `sequence`; `mac` is over the rest, without it."""

    sequence: int
    made_ms: int
    files: dict[str, Shipped]
    version: int = _VERSION
    mac: str = ""

    def signed(self, key: bytes) -> Manifest:
        return msgspec.structs.replace(self, mac=self._mac(key))

    def checked(self, key: bytes) -> Manifest:
        """Raises IntegrityError unless it was made with this key."""
        if not hmac.compare_digest(self.mac, self._mac(key)):
            raise IntegrityError("the manifest is not one that this data directory's keys made: it was changed, or the "
                                 "folder holds the backup of another data directory")
        return self

    def _mac(self, key: bytes) -> str:
        plain = msgspec.json.encode(msgspec.structs.replace(self, mac=""), order="deterministic")
        return hmac.digest(key, plain, "sha256").hex()

    def names(self, folder: str, suffix: str = "") -> list[str]:
        return sorted(name for name in self.files if name.startswith(folder + "/") and name.endswith(suffix))


class Archive:
    """One shipment or restoration at a time; a lock file keeps others out."""

    def __init__(self, directory: Path, *, disk: platform.Disk | None = None) -> None:
        self.directory, self._disk = directory, disk or platform.Disk()

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Makes the folder. Raises DataLocked while another process ships to it."""
        platform.private_directory(self.directory)
        lock = platform.DirectoryLock(self.directory / "lock")
        try:
            yield
        finally:
            lock.release()

    def manifest(self) -> Manifest | None:
        """As it is in the folder, unchecked; None where nothing was shipped yet. Raises IntegrityError."""
        path = self.directory / MANIFEST
        if not path.exists():
            return None
        try:
            found = msgspec.json.decode(path.read_bytes(), type=Manifest)
        except (msgspec.DecodeError, OSError):
            raise IntegrityError(f"{path}: the manifest cannot be read", file=str(path)) from None
        if found.version > _VERSION:
            raise ConfigurationError(f"{path}: made by a newer version of ruche; install that version")
        return found

    def write_manifest(self, manifest: Manifest) -> None:
        """Raises OSError."""
        self._disk.write_atomically(self.directory / MANIFEST, msgspec.json.encode(manifest, order="deterministic"))

    # --- adding ----------------------------------------------------------------------------------------------

    def put(self, name: str, content: bytes, at_ms: int) -> Shipped:
        """A small file, whole. Raises OSError."""
        platform.private_directory((self.directory / name).parent)
        self._disk.write_atomically(self.directory / name, content)
        return Shipped((Part(0, len(content), _sha(content)),), at_ms)

    def extend(self, name: str, source: Path, length: int, before: Shipped | None, at_ms: int) -> Shipped:
        """Copy what the archive does not have of the first `length` bytes of a file. Raises OSError."""
        if before is not None and not self._same(source, length, before):
            before = None
        have = before.length if before is not None else 0
        if before is not None and have == length:
            return before
        platform.private_directory((self.directory / name).parent)
        descriptor = self._disk.open(self.directory / name, os.O_CREAT | os.O_WRONLY)
        try:
            self._disk.truncate(descriptor, have)
            os.lseek(descriptor, have, os.SEEK_SET)
            added = []
            for start, content in _read(source, have, length):
                self._disk.write(descriptor, content)
                added.append(Part(start, len(content), _sha(content)))
            self._disk.sync(descriptor)
        finally:
            os.close(descriptor)
        self._disk.sync_directory((self.directory / name).parent)
        return Shipped((*(before.parts if before is not None else ()), *added), at_ms)

    def clear(self, manifest: Manifest) -> None:
        """Remove what the manifest does not name. Raises OSError."""
        for folder in self.directory.iterdir():
            for path in folder.iterdir() if folder.is_dir() else ():
                if f"{folder.name}/{path.name}" not in manifest.files:
                    self._disk.unlink(path)

    @staticmethod
    def _same(source: Path, length: int, before: Shipped) -> bool:
        """Whether the source goes on from what was shipped; its last part says enough."""
        if before.length > length or not before.parts:
            return False
        last = before.parts[-1]
        with source.open("rb") as file:
            file.seek(last.start)
            return _sha(file.read(last.length)) == last.sha256

    # --- reading ---------------------------------------------------------------------------------------------

    def parts(self, name: str, shipped: Shipped) -> Iterator[bytes]:
        """A file's content part by part, each checked. Raises IntegrityError naming file and offset."""
        path = self.directory / name
        try:
            with path.open("rb") as file:
                for part in shipped.parts:
                    file.seek(part.start)
                    content = file.read(part.length)
                    if _sha(content) != part.sha256:
                        raise IntegrityError(f"{name}: the backup is damaged from byte {part.start} on",
                                             file=str(path), offset=part.start)
                    yield content
        except FileNotFoundError:
            raise IntegrityError(f"{name}: missing from the backup", file=str(path), offset=0) from None

    def content(self, name: str, shipped: Shipped) -> bytes:
        """A whole file. Raises IntegrityError."""
        return b"".join(self.parts(name, shipped))


def _read(source: Path, start: int, end: int) -> Iterator[tuple[int, bytes]]:
    with source.open("rb") as file:
        file.seek(start)
        while start < end:
            content = file.read(min(PART_BYTES, end - start))
            if not content:
                raise IntegrityError(f"{source.name}: ends at byte {start}, but goes on to {end}", file=str(source),
                                     offset=start)
            yield start, content
            start += len(content)


def _sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
