"""Makes tokens: signed ones for callers, anonymous ones for public agents, one-time codes for the console's link."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Iterable

import msgspec
from aiohttp import web

from ruche.engine.observe import fingerprint, log
from ruche.engine.server.context import BEHIND_PROXY, ENGINE, JSON_TYPE, address
from ruche.engine.server.errors import REQUEST_ID
from ruche.engine.server.limits import LIMITS
from ruche.engine.server.mint import mint
from ruche.engine.server.requests import AnonymousRequest, ConsoleRequest, read
from ruche.engine.server.routes import PUBLIC, Route
from ruche.plugins.errors import NotFound, Unauthenticated

COOKIE = "ruche_console"
CONSOLE = "console"
"""The console's person: the same after every start, so that its conversations go on."""
CONSOLE_ROLES = ("admin", "agent_author", "operator")
_CODE_SECONDS = 12 * 3600.0
_ANONYMOUS_HOURS = 24.0

_encode = msgspec.json.Encoder().encode


class Tokens:
    """Mints with the engine's key and keeps the one-time codes that have not been used."""

    def __init__(self, key: bytes, hours: float) -> None:
        self._key = key
        self._hours = hours
        self._codes: dict[bytes, float] = {}

    def access(self, *, tenant: str, roles: Iterable[str], subject: str, hours: float | None = None,
               agents: Iterable[str] | None = None) -> str:
        """A token signed with the engine's key; lives `hours`, or as long as the settings say."""
        return mint(self._key, tenant=tenant, roles=roles, subject=subject, agents=agents,
                    hours=self._hours if hours is None else hours)

    def issue_code(self) -> str:
        """A code for the console's link: 256 bits, good once, for 12 hours."""
        code = secrets.token_urlsafe(32)
        self._codes[_digest(code)] = time.monotonic() + _CODE_SECONDS
        return code

    def redeem(self, code: str) -> bool:
        """True once for a code that was issued; it is forgotten by asking."""
        return self._codes.pop(_digest(code), 0.0) > time.monotonic()


TOKENS = web.AppKey("tokens", Tokens)


def _digest(code: str) -> bytes:
    return hashlib.sha256(code.encode(errors="surrogateescape")).digest()


class TokenAnswer(msgspec.Struct, kw_only=True):
    token: str
    expires_in: int
    subject: str


class ConsoleAnswer(msgspec.Struct, kw_only=True):
    tenant_id: str
    subject: str
    roles: list[str]


async def anonymous(request: web.Request) -> web.Response:
    """A token for somebody without a name, limited to one public agent; agents that are not public are unknown."""
    body = await read(request, AnonymousRequest)
    request.app[LIMITS].anonymous.take(address(request))
    published = await request.app[ENGINE].agent(body.tenant_id, body.agent_id)
    if not published.bundle.agent.public:
        raise NotFound("there is no such agent")
    subject = f"anonymous-{secrets.token_hex(12)}"
    token = request.app[TOKENS].access(tenant=body.tenant_id, roles=["interlocutor"], subject=subject,
                                       hours=_ANONYMOUS_HOURS, agents=[body.agent_id])
    log.info("token.anonymous", request_id=request[REQUEST_ID], tenant=body.tenant_id, subject=fingerprint(subject))
    return web.Response(status=201, headers=JSON_TYPE, body=_encode(
        TokenAnswer(token=token, expires_in=int(_ANONYMOUS_HOURS * 3600), subject=subject)))


async def open_console(request: web.Request) -> web.Response:
    """Exchange the one-time code of the console link for a cookie that no script reads and no other site sends."""
    body = await read(request, ConsoleRequest)
    if not request.app[TOKENS].redeem(body.code):
        log.warning("console.refused", request_id=request[REQUEST_ID])
        request.app[LIMITS].logins.take(address(request))
        raise Unauthenticated("this link was used already or is too old; start `ruche serve` again for another one")
    token = request.app[TOKENS].access(tenant="default", roles=CONSOLE_ROLES, subject=CONSOLE)
    response = web.Response(headers=JSON_TYPE, body=_encode(
        ConsoleAnswer(tenant_id="default", subject=CONSOLE, roles=list(CONSOLE_ROLES))))
    secure = request.secure or request.app[BEHIND_PROXY]
    response.set_cookie(COOKIE, token, httponly=True, samesite="Strict", secure=secure, path="/")
    log.info("console.opened", request_id=request[REQUEST_ID])
    return response


ROUTES = (
    Route("POST", "/v1/token/anonymous", anonymous, "A token for a public agent, without an account", PUBLIC,
          body=AnonymousRequest, answer=TokenAnswer, status=201),
    Route("POST", "/v1/console/session", open_console, "Exchange the console link's one-time code for a cookie",
          PUBLIC, body=ConsoleRequest, answer=ConsoleAnswer),
)
