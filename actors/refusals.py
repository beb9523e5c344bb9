"""Why a session refuses what it is asked, in words that a caller can act on."""

from __future__ import annotations

from ruche.plugins.errors import IdempotencyMismatch, InvalidRequest, RucheError, Unavailable


def same_request(first: str | None, second: str | None) -> None:
    if (first or "") != (second or ""):
        raise IdempotencyMismatch("this idempotency key was used for another request; use a new key")


def elsewhere() -> Unavailable:
    return Unavailable("another session is answering the first request with this idempotency key; repeat it in a "
                       "moment", retry_after=1.0)


def unkept(error: BaseException) -> RucheError:
    if isinstance(error, RucheError):
        return error
    return InvalidRequest("the message holds something that cannot be kept; send plain JSON values")
