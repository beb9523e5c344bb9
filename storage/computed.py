"""What can be computed again and takes long: kept sealed in files of its own, done without where they are damaged."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ruche.storage import platform
from ruche.storage.vault import nonce

_NONCE: Final = 12


class Computed:
    """The folder of these files. Nothing here is waited for to be on disk, shipped or verified. Any one thread."""

    def __init__(self, directory: Path, key: bytes) -> None:
        self._directory, self._cipher = directory, AESGCM(key)

    def get(self, name: str) -> bytes | None:
        """What was last kept under a name; None when that is nothing, or not what this store has written."""
        try:
            sealed = self._path(name).read_bytes()
            return self._cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], name.encode())
        except (OSError, InvalidTag, ValueError):
            return None

    def put(self, name: str, content: bytes) -> None:
        """Keep it, or not where the disk does not take it."""
        drawn, path = nonce(), self._path(name)
        sealed, beside = drawn + self._cipher.encrypt(drawn, content, name.encode()), path.with_suffix(".new")
        with contextlib.suppress(OSError):
            platform.private_directory(self._directory)
            descriptor = platform.open_private(beside, os.O_CREAT | os.O_TRUNC | os.O_WRONLY)
            try:
                platform.write_all(descriptor, sealed)
            finally:
                os.close(descriptor)
            beside.replace(path)

    def clear(self) -> None:
        """Let go of everything."""
        with contextlib.suppress(OSError):
            for path in self._directory.glob("*"):
                path.unlink()

    def _path(self, name: str) -> Path:
        return self._directory / f"{name}.sealed"
