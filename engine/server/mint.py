"""Signs access tokens (JWT, HS256) with a key that is derived from the root key. No web library is needed for it."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Iterable
from typing import Any

import jwt

from ruche.engine.config import Settings
from ruche.plugins.errors import ConfigurationError, NotFound

ISSUER = AUDIENCE = "ruche"
TYPE = "at+jwt"
"""Type of an access token, in the token's header (RFC 9068)."""
TENANT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
SUBJECT = re.compile(r"[^\x00-\x1f\x7f]{1,200}")
_PURPOSE = "derived:access tokens"


def mint(key: bytes, *, tenant: str, roles: Iterable[str], subject: str, hours: float = 24.0,
         agents: Iterable[str] | None = None, interlocutor: str | None = None, now: float | None = None) -> str:
    """A signed access token. `agents` limits it to these agents; `interlocutor` defaults to the subject."""
    at = time.time() if now is None else now
    claims: dict[str, Any] = {"iss": ISSUER, "aud": AUDIENCE, "sub": subject, "tenant_id": tenant,
                              "roles": list(roles), "iat": int(at), "nbf": int(at), "exp": int(at + hours * 3600),
                              "jti": secrets.token_hex(8)}
    if agents is not None:
        claims["agents"] = list(agents)
    if interlocutor is not None:
        claims["interlocutor_id"] = interlocutor
    return jwt.encode(claims, key, algorithm="HS256", headers={"typ": TYPE})


def check_names(tenant: str, subject: str) -> None:
    """Raises ConfigurationError for names that no server would accept in a token."""
    if not TENANT.fullmatch(tenant):
        raise ConfigurationError("--tenant: letters, digits, `_`, `.` and `-`, at most 64, a letter or digit first")
    if not SUBJECT.fullmatch(subject):
        raise ConfigurationError("--sub: 1 to 200 characters, no control characters")


def signing_key(settings: Settings) -> bytes:
    """The key that the engine on this data directory signs with; the directory is not locked and not changed.

    Raises NotFound where there is no data directory, ConfigurationError for a root key that cannot be had.
    """
    from ruche.engine.host import key_source
    from ruche.storage.vault import derive

    if not settings.data.is_dir():
        raise NotFound(f"{settings.data}: there is no data directory; `ruche serve` makes one")
    return derive(key_source(settings.data, settings.storage).root_key(), _PURPOSE)
