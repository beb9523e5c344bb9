"""Where the root key comes from: a file, the environment, a command, the OS keyring. None makes one up by itself."""

from __future__ import annotations

import base64
import binascii
import importlib
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

from ruche.storage import platform
from ruche.storage.errors import ConfigurationError
from ruche.storage.vault import KEY_BYTES, check_key

ROOT_KEY_VARIABLE = "RUCHE_ROOT_KEY"


@runtime_checkable
class KeySource(Protocol):
    """Where the root key comes from: a file, the environment, the OS keyring, a command."""

    def root_key(self) -> bytes:
        """32 bytes. Raises ConfigurationError when there is none; never makes one up."""


class FileKeySource:
    """A file with the key in base64, readable by its owner alone."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def root_key(self) -> bytes:
        try:
            platform.check_private(self.path)
            text = self.path.read_text(encoding="ascii")
        except FileNotFoundError:
            raise ConfigurationError(f"{self.path}: no root key there; without it the data cannot be read") from None
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(f"{self.path}: the root key cannot be read ({type(error).__name__})") from None
        return _decode(text, str(self.path))

    def following(self) -> FileKeySource:
        """Where the key waits that is to replace this one."""
        return FileKeySource(self.path.with_name(self.path.name + ".next"))

    def create_if_absent(self) -> None:
        """A new random key in a file that is not there yet."""
        if not self.path.exists():
            create_root_key(self.path)

    def promote(self, following: FileKeySource) -> None:
        """Put the waiting key in the place of this one, in one step."""
        try:
            following.path.replace(self.path)
            platform.sync_directory(self.path.parent)
        except OSError as error:
            raise ConfigurationError(f"{self.path}: the new root key could not be put in its place "
                                     f"({type(error).__name__}); both keys work until it is") from None


class EnvKeySource:
    """RUCHE_ROOT_KEY, base64. The mapping is handed in: nothing here reads the environment by itself."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment

    def root_key(self) -> bytes:
        text = self._environment.get(ROOT_KEY_VARIABLE)
        if not text:
            raise ConfigurationError(f"{ROOT_KEY_VARIABLE} is not set; it must hold the root key in base64")
        return _decode(text, ROOT_KEY_VARIABLE)


class CommandKeySource:
    """A program that prints the key in base64 (a KMS client); run without a shell, at most 30 seconds."""

    def __init__(self, command: Sequence[str]) -> None:
        self._command = tuple(command)

    def root_key(self) -> bytes:
        if not self._command:
            raise ConfigurationError("the key command is empty; name the program that prints the root key")
        try:
            done = subprocess.run(self._command, stdin=subprocess.DEVNULL, capture_output=True, timeout=30,  # noqa: S603
                                  check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ConfigurationError(f"the key command {self._command[0]} failed ({type(error).__name__})") from None
        if done.returncode != 0:
            raise ConfigurationError(f"the key command {self._command[0]} ended with status {done.returncode}")
        return _decode(done.stdout.decode("ascii", "replace"), f"the key command {self._command[0]}")


class KeyringKeySource:
    """The operating system's keyring, through the optional library `keyring`."""

    def __init__(self, service: str = "ruche", account: str = "root") -> None:
        self._service, self._account = service, account

    def root_key(self) -> bytes:
        try:
            library = importlib.import_module("keyring")
        except ImportError:
            raise ConfigurationError("the key source `keyring` needs the library `keyring`; install it, or choose "
                                     "`file`, `env` or `command`") from None
        text = library.get_password(self._service, self._account)
        if not text:
            raise ConfigurationError(f"the OS keyring holds no entry {self._service}/{self._account}")
        return _decode(text, "the OS keyring")


def create_root_key(path: Path) -> FileKeySource:
    """Make a new random root key, once: 0600, durable. Raises ConfigurationError when there is one already."""
    platform.private_directory(path.parent)
    try:
        descriptor = platform.open_private(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
    except FileExistsError:
        raise ConfigurationError(f"{path}: there is a root key already; it is never replaced") from None
    try:
        platform.write_all(descriptor, base64.b64encode(os.urandom(KEY_BYTES)) + b"\n")
        platform.sync_data(descriptor)
    finally:
        os.close(descriptor)
    platform.sync_directory(path.parent)
    return FileKeySource(path)


def _decode(text: str, where: str) -> bytes:
    try:
        key = base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):
        raise ConfigurationError(f"{where}: the root key is not base64") from None
    return check_key(key, where)
