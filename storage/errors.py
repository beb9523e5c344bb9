"""Errors that a caller can act on. `status` is the HTTP status, `code` the stable name, `retry_after` seconds.

The base stands here because no room is below this one; `ruche.plugins.errors` has them all.
"""

from __future__ import annotations

from typing import Any, ClassVar


class RucheError(Exception):
    """Base of what the engine raises on purpose; the message is safe to show, it holds no person's text."""

    code: ClassVar[str] = "INTERNAL"
    status: ClassVar[int] = 500
    retryable: ClassVar[bool] = False

    def __init__(self, message: str, *, retry_after: float | None = None, **details: Any) -> None:
        super().__init__(message)
        self.message = message
        self.retry_after = retry_after
        self.details = details


class NotFound(RucheError):
    """Unknown here, or another tenant's: the two are answered alike."""

    code, status = "NOT_FOUND", 404


class Conflict(RucheError):
    code, status = "RESOURCE_CONFLICT", 409


class Erased(RucheError):
    code, status = "RESOURCE_DELETED", 410


class Unavailable(RucheError):
    code, status, retryable = "UNAVAILABLE", 503, True


class StorageFull(Unavailable):
    code = "STORAGE_FULL"


class StorageStopped(Unavailable):
    """The store refuses writes until restart, because a sync failed."""

    code, retryable = "STORAGE_STOPPED", False


class ConfigurationError(RucheError):
    """The installation or an agent folder cannot be used as it is; the message says what to change."""

    code = "CONFIGURATION_ERROR"


class DataLocked(RucheError):
    """Another process holds the data directory."""

    code, status = "DATA_LOCKED", 503


class IntegrityError(RucheError):
    """Stored bytes are not what was written."""

    code = "INTEGRITY_ERROR"
