"""Who is asking, and may they: tokens are verified here and nowhere else, and every route names its roles.

Tenant and person come from the token alone. A token's signature is checked before any of its claims is looked at.
"""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jwt
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from ruche.engine.observe import fingerprint, log
from ruche.engine.server.context import address
from ruche.engine.server.errors import REQUEST_ID
from ruche.engine.server.limits import LIMITS
from ruche.engine.server.mint import AUDIENCE, ISSUER, SUBJECT, TENANT, TYPE
from ruche.engine.server.routes import ROLES, Handler, Route
from ruche.engine.server.tokens import COOKIE
from ruche.plugins.errors import ConfigurationError, Forbidden, TenantMismatch, Unauthenticated

LEEWAY_SECONDS = 10
"""Clock skew that is forgiven (item 2 of the security list allows up to 30)."""
_FORBIDDEN_HEADERS = frozenset({"crit", "jku", "jwk", "x5u", "x5c", "b64", "zip"})
_LONGEST_TOKEN = 8192
_CACHED = 10_000
_SEES_REASONS = frozenset({"agent_author", "operator", "admin"})
_SEES_EVERYBODY = frozenset({"operator", "auditor", "admin"})

TABLE = web.AppKey("table", dict[Any, Route])


class BadToken(Unauthenticated):
    """The caller is told that the token is no good; `reason` is for the log."""

    def __init__(self, reason: str) -> None:
        super().__init__("this needs a valid token: Authorization: Bearer ... (`ruche token` makes one)")
        self.reason = reason


class Mismatch(Forbidden):
    """A request names what its token does not; `reason` is for the log."""

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Identity:
    """Somebody who proved who they are. `agents` limits which agents they may talk to; None means all."""

    tenant: str
    subject: str
    interlocutor: str
    roles: frozenset[str]
    expires: float
    agents: frozenset[str] | None = None
    sees_reasons: bool = field(init=False)
    """May see rules, scores, tools and why."""
    sees_everybody: bool = field(init=False)
    """May see what others said."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "sees_reasons", not self.roles.isdisjoint(_SEES_REASONS))
        object.__setattr__(self, "sees_everybody", not self.roles.isdisjoint(_SEES_EVERYBODY))

    def speaks_as(self, tenant: str | None, person: str | None) -> str:
        """The interlocutor of a request that names `tenant` and `person`, or Forbidden where they differ."""
        if tenant is not None and tenant != self.tenant:
            raise TenantMismatch("the tenant in the body is not the token's tenant")
        if person is None or person == self.interlocutor:
            return self.interlocutor
        if "channel" not in self.roles:
            raise Mismatch("only the role channel may speak for another person than the token's", "person")
        return person

    def may_use(self, agent: str) -> bool:
        return self.agents is None or agent in self.agents


IDENTITY = web.RequestKey("identity", Identity)


class Verifier:
    """Checks tokens: HS256 with the engine's own key, EdDSA with a public key from the settings.

    The header's algorithm picks the key, and a key fits one algorithm only, so that neither can be mistaken for the
    other. What was verified is remembered by the token's hash until it expires.
    """

    def __init__(self, key: bytes, public_key: Ed25519PublicKey | None = None, issuer: str = ISSUER) -> None:
        self._keys: dict[str, tuple[Any, str]] = {"HS256": (key, ISSUER)}
        if public_key is not None:
            self._keys["EdDSA"] = (public_key, issuer)
        self._known: dict[bytes, Identity] = {}

    def verify(self, token: str) -> Identity:
        """The identity that a token proves. Raises Unauthenticated, with the same text whatever was wrong."""
        key = hashlib.sha256(token.encode(errors="surrogateescape")).digest()
        identity = self._known.get(key)
        if identity is not None and identity.expires > time.time():
            return identity
        self._known.pop(key, None)
        identity = self._check(token)
        while len(self._known) >= _CACHED:
            del self._known[next(iter(self._known))]
        self._known[key] = identity
        return identity

    def _check(self, token: str) -> Identity:
        try:
            return self._decode(token)
        except Unauthenticated:
            raise
        except jwt.ExpiredSignatureError:
            raise BadToken("expired") from None
        except (jwt.PyJWTError, ValueError, TypeError, KeyError, RecursionError, OverflowError) as error:
            raise BadToken(type(error).__name__) from None

    def _decode(self, token: str) -> Identity:
        if len(token) > _LONGEST_TOKEN:
            raise BadToken("length")
        header = jwt.get_unverified_header(token)
        algorithm = header.get("alg")
        if not isinstance(algorithm, str) or algorithm not in self._keys:
            raise BadToken("algorithm")
        if not _FORBIDDEN_HEADERS.isdisjoint(header) or str(header.get("typ", "")).lower() != TYPE:
            raise BadToken("header")
        key, issuer = self._keys[algorithm]
        claims = jwt.decode(token, key, algorithms=[algorithm], audience=AUDIENCE, issuer=issuer,
                            leeway=LEEWAY_SECONDS,
                            options={"require": ["exp", "sub", "iss", "aud", "tenant_id", "roles"],
                                     "strict_aud": True})
        return _identity(claims)


def _identity(claims: dict[str, Any]) -> Identity:
    subject, tenant, expires = claims["sub"], claims["tenant_id"], claims["exp"]
    person = claims.get("interlocutor_id", subject)
    if not isinstance(tenant, str) or not TENANT.fullmatch(tenant):
        raise BadToken("tenant")
    if not all(isinstance(name, str) and SUBJECT.fullmatch(name) for name in (subject, person)):
        raise BadToken("subject")
    if isinstance(expires, bool) or not isinstance(expires, int | float):
        raise BadToken("exp")
    if expires + LEEWAY_SECONDS <= time.time():
        raise BadToken("expired")
    agents = claims.get("agents")
    return Identity(tenant=tenant, subject=subject, interlocutor=person, expires=expires + LEEWAY_SECONDS,
                    roles=frozenset(_names(claims["roles"])) & frozenset(ROLES),
                    agents=None if agents is None else frozenset(_names(agents)))


def _names(value: Any) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise BadToken("names")
    return value


def open_verifier(key: bytes, public_key: Path | None, issuer: str) -> Verifier:
    """A verifier for the engine's key and, when set, the PEM file of an Ed25519 public key; ConfigurationError."""
    if public_key is None:
        return Verifier(key)
    try:
        loaded = load_pem_public_key(public_key.read_bytes())
    except (OSError, ValueError):
        raise ConfigurationError("server.token_public_key: not a readable PEM file of a public key") from None
    if not isinstance(loaded, Ed25519PublicKey):
        raise ConfigurationError("server.token_public_key: only Ed25519 keys are taken")
    return Verifier(key, loaded, issuer)


VERIFIER = web.AppKey("verifier", Verifier)


@web.middleware
async def authenticate(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Lets a request through when its route is public, or when its token's roles and its tenant's rate allow it."""
    route = request.app[TABLE].get(request.match_info.handler)
    if route is None or route.public:
        return await handler(request)
    identity = _proven(request)
    request[IDENTITY] = identity
    request.app[LIMITS].tenants.take(identity.tenant)
    if identity.roles.isdisjoint(route.roles):
        log.warning("role.refused", request_id=request[REQUEST_ID], tenant=identity.tenant, route=route.path,
                    subject=fingerprint(identity.subject))
        raise Mismatch(f"this needs one of the roles {', '.join(sorted(route.roles))}", "role")
    return await handler(request)


def _proven(request: web.Request) -> Identity:
    """Who the token says is asking. An address that tries many bad ones is told to wait; a good one always passes."""
    try:
        return request.app[VERIFIER].verify(_token(request))
    except BadToken as error:
        if error.reason != "absent":
            request.app[LIMITS].logins.take(address(request))
        raise


def _token(request: web.Request) -> str:
    kind, _, token = request.headers.get("Authorization", "").partition(" ")
    if token:
        if kind.lower() != "bearer":
            raise BadToken("scheme")
        return token.strip()
    cookie = request.cookies.get(COOKIE, "")
    if not cookie:
        raise BadToken("absent")
    if request.method not in ("GET", "HEAD"):
        _same_origin(request)
    return cookie


def _same_origin(request: web.Request) -> None:
    """A cookie alone changes nothing: the browser must say that our own page sent the request."""
    origin = request.headers.get("Origin", "")
    if origin.partition("://")[2] != request.host or request.headers.get("Sec-Fetch-Site", "same-origin") not in (
            "same-origin", "none"):
        raise Mismatch("this request did not come from the console's own page", "origin")
