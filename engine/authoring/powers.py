"""What an author may not do over the API: run code here, reach private networks, or have this host's secrets sent out.

Python tools come from disk only. Private addresses, `${SECRETS}` in headers, and endpoints of models need an admin;
what an admin has set may stay as it is, and any change to it needs an admin again.
"""

from __future__ import annotations

from collections.abc import Iterator

from ruche.plugins.errors import Forbidden, InvalidRequest
from ruche.storage.model.agent import ModelUse
from ruche.storage.model.bundle import AgentBundle
from ruche.storage.model.tool import Tool


def refuse_powers(after: AgentBundle, before: AgentBundle | None, *, admin: bool) -> None:
    """Raises InvalidRequest for code, Forbidden for what takes an admin and was not there before, as it is."""
    for tool in after.tools:
        if tool.python is not None:
            raise InvalidRequest(f"tools: {tool.id} is a Python tool; those come from an agent folder only, write http",
                                 fields=[{"path": "python", "message": "only in an agent folder"}])
    if after.sources:
        raise InvalidRequest("sources: Python files come from an agent folder only",
                             fields=[{"path": "sources", "message": "only in an agent folder"}])
    known = set() if before is None else set(_powers(before))
    for power, what in _powers(after):
        if not admin and (power, what) not in known:
            raise Forbidden(f"{what} needs an admin")


def _powers(bundle: AgentBundle) -> Iterator[tuple[str, str]]:
    """(the exact setting, what it is). A tool's address counts as part of what may be sent to it."""
    for tool in bundle.tools:
        where = tool.model_dump_json(include={"id", "http", "method", "headers", "allow_private"})
        if tool.allow_private:
            yield where, f"allow_private of tool {tool.id}"
        if _carries_secrets(tool):
            yield where, f"a secret in a header of tool {tool.id}"
    use = bundle.agent.models
    if _reaches_out(use):
        yield use.model_dump_json(exclude={"temperature", "max_tokens"}), "the endpoint of a model"


def _carries_secrets(tool: Tool) -> bool:
    return any("${" in value for value in tool.headers.values())


def _reaches_out(use: ModelUse) -> bool:
    others = (*use.fallbacks, *((use.judge,) if use.judge else ()))
    return bool(use.url or use.api_key or any(one.url or one.api_key for one in others))
