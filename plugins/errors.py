"""Every error a caller can act on: those of storage, and those of everything above it."""

from __future__ import annotations

from ruche.storage.errors import (
    ConfigurationError,
    Conflict,
    DataLocked,
    Erased,
    IntegrityError,
    NotFound,
    RucheError,
    StorageFull,
    StorageStopped,
    Unavailable,
)

__all__ = [
    "ConfigurationError", "Conflict", "DataLocked", "DeadlineExceeded", "Erased", "Forbidden", "IdempotencyMismatch",
    "IntegrityError", "InvalidRequest", "MailboxFull", "Malformed", "NotFound", "ProviderFailed", "QuotaExceeded",
    "RateLimited", "ReadOnly", "RucheError", "StorageFull", "StorageStopped", "Superseded", "TenantMismatch",
    "TooLarge", "Unauthenticated", "Unavailable",
]


class InvalidRequest(RucheError):
    code, status = "VALIDATION_ERROR", 422


class Malformed(RucheError):
    code, status = "INVALID_JSON", 400


class Unauthenticated(RucheError):
    code, status = "INVALID_TOKEN", 401


class Forbidden(RucheError):
    code, status = "INSUFFICIENT_PERMISSIONS", 403


class TenantMismatch(Forbidden):
    code = "TENANT_MISMATCH"


class ReadOnly(Conflict):
    code = "READ_ONLY"


class IdempotencyMismatch(Conflict):
    code = "IDEMPOTENCY_MISMATCH"


class TooLarge(RucheError):
    code, status = "PAYLOAD_TOO_LARGE", 413


class RateLimited(RucheError):
    code, status, retryable = "RATE_LIMIT_EXCEEDED", 429, True


class MailboxFull(RateLimited):
    code = "MAILBOX_FULL"


class QuotaExceeded(RucheError):
    """The tenant has used up what its settings allow; `retry_after` where waiting helps."""

    code, status = "QUOTA_EXCEEDED", 429


class ProviderFailed(RucheError):
    """A model endpoint, embedder, reranker or tool failed. `retryable` and `of_request` may be set per instance."""

    code, status = "PROVIDER_ERROR", 502
    of_request: bool = False
    """This one request is at fault, so that it says nothing about whoever refused it."""


class DeadlineExceeded(RucheError):
    code, status, retryable = "TIMEOUT", 504, True


class Superseded(RucheError):
    """A newer message replaced this turn."""

    code, status = "SUPERSEDED", 409
