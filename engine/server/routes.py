"""The route table: one entry per endpoint, from which the router, the role check and the OpenAPI document are made."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

ROLES = ("interlocutor", "channel", "agent_author", "operator", "auditor", "admin")

PUBLIC: frozenset[str] = frozenset()
ANYBODY = frozenset(ROLES)
TALK = frozenset({"interlocutor", "channel", "agent_author", "operator", "admin"})
WATCH = frozenset({"interlocutor", "channel", "agent_author", "operator", "admin"})
OVERSEE = frozenset({"operator", "admin"})
EXAMINE = frozenset({"operator", "auditor", "admin"})
AUDIT = frozenset({"auditor", "admin"})
PRODUCE = frozenset({"channel", "admin"})
MEMORISE = frozenset({"interlocutor", "channel", "admin"})
ADMINISTER = frozenset({"admin"})
WRITE = frozenset({"agent_author", "admin"})
AUTHOR = frozenset({"agent_author", "operator", "admin"})


@dataclass(frozen=True, slots=True)
class Route:
    """One endpoint. `roles` empty means that nobody has to say who they are; `body` and `answer` are msgspec types, or
    the models that authors write with.

    `query` names the allowed query parameters: others are refused.
    """

    method: str
    path: str
    handler: Handler
    summary: str
    roles: frozenset[str]
    body: Any = None
    answer: Any = None
    status: int = 200
    media: str = "application/json"
    query: tuple[str, ...] = ()

    @property
    def public(self) -> bool:
        return not self.roles
