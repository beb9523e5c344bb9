"""Changes one part of an agent at a time, for authors who write over the API: a bundle goes in, another comes out.

A part is named as its file names it: rules, scenarios and tools by id, fields and variables by name, glossary terms by
term, relationships by `source.kind.target`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError

from ruche.engine.authoring.kinds import LISTS, SCENARIO
from ruche.plugins.errors import Conflict, InvalidRequest, NotFound, TooLarge
from ruche.storage.model.authored import Authored
from ruche.storage.model.bundle import AgentBundle

MOST_PARTS = 5_000
"""Entries of one kind in an agent."""
_SHOWN = 20
"""Findings of one answer."""


@dataclass(frozen=True, slots=True)
class Part:
    """One kind of part. `key` is the key of its name, empty for relationships."""

    name: str
    noun: str
    model: type[BaseModel]
    key: str

    def id_of(self, item: Any) -> str:
        """The name of an entry."""
        return str(getattr(item, self.key)) if self.key else f"{item.source}.{item.kind}.{item.target}"

    def of(self, bundle: AgentBundle) -> tuple[Any, ...]:
        return tuple(getattr(bundle, self.name))


_NOUNS = {"rules": "rule", "relationships": "relationship", "templates": "template", "fields": "field",
          "glossary": "term", "intents": "intent", "variables": "variable", "tools": "tool"}
PARTS = (*(Part(kind.name, _NOUNS[kind.name], kind.model, kind.key) for kind in LISTS if kind.name in _NOUNS),
         Part("scenarios", "scenario", SCENARIO.model, SCENARIO.key))


def read_part(model: type[BaseModel], body: bytes | str) -> Any:
    """What was sent, as the model that an author's files are read with. Raises InvalidRequest with every path."""
    try:
        return model.model_validate_json(body, strict=True, by_alias=True, by_name=False)
    except ValidationError as error:
        found = [{"path": ".".join(str(part) for part in one["loc"]), "message": _said(one["type"], one["msg"])}
                 for one in error.errors(include_url=False, include_input=False, include_context=False)[:_SHOWN]]
        raise InvalidRequest(f"{found[0]['path'] or 'body'}: {found[0]['message']}", fields=found) from None


def _said(kind: str, message: str) -> str:
    plain = {"extra_forbidden": "not known here", "missing": "required"}
    return plain.get(kind, message[:1].lower() + message[1:])


def find(bundle: AgentBundle, part: Part, id: str) -> Any:
    """Raises NotFound."""
    for item in part.of(bundle):
        if part.id_of(item) == id:
            return item
    raise NotFound(f"there is no such {part.noun}")


def add(bundle: AgentBundle, part: Part, item: Authored) -> AgentBundle:
    """With one part more; the same part twice changes nothing. Raises Conflict when its name is taken by another."""
    taken = next((one for one in part.of(bundle) if part.id_of(one) == part.id_of(item)), None)
    if taken == item:
        return bundle
    if taken is not None:
        raise Conflict(f"there is a {part.noun} of this name already; PUT replaces it")
    return _with(bundle, part, (*part.of(bundle), item))


def replace(bundle: AgentBundle, part: Part, id: str, item: Authored) -> AgentBundle:
    """Raises NotFound, and InvalidRequest when the entry names itself otherwise than `id`."""
    find(bundle, part, id)
    if part.id_of(item) != id:
        key = part.key or "source, kind, target"
        raise InvalidRequest(f"{key}: the address names another {part.noun}; create it, and delete this one",
                             fields=[{"path": key, "message": "not the one of the address"}])
    return _with(bundle, part, tuple(item if part.id_of(one) == id else one for one in part.of(bundle)))


def remove(bundle: AgentBundle, part: Part, id: str) -> AgentBundle:
    """Raises NotFound."""
    find(bundle, part, id)
    return _with(bundle, part, tuple(one for one in part.of(bundle) if part.id_of(one) != id))


def merge(bundle: AgentBundle, part: Part, items: Sequence[Authored]) -> tuple[AgentBundle, int, int]:
    """With all of these: (bundle, how many are new, how many took another's place). Raises InvalidRequest for a name
    that comes twice."""
    given = {part.id_of(item): item for item in items}
    if len(given) != len(items):
        raise InvalidRequest(f"items: a {part.noun} comes twice", fields=[{"path": "items", "message": "comes twice"}])
    known = {part.id_of(one): one for one in part.of(bundle)}
    created = len(given.keys() - known.keys())
    return _with(bundle, part, tuple((known | given).values())), created, len(given) - created


def with_headers(after: AgentBundle, before: AgentBundle) -> AgentBundle:
    """Headers are shown without their values: one that comes back empty keeps the value that it had."""
    known = {tool.id: tool.headers for tool in before.tools}
    tools = tuple(tool if all(tool.headers.values()) else tool.model_copy(update={"headers": {
        name: value or known.get(tool.id, {}).get(name, "") for name, value in tool.headers.items()}})
        for tool in after.tools)
    return after if tools == after.tools else after.model_copy(update={"tools": tools})


def _with(bundle: AgentBundle, part: Part, items: tuple[Any, ...]) -> AgentBundle:
    if len(items) > MOST_PARTS:
        raise TooLarge(f"an agent has at most {MOST_PARTS:,} {part.name}")
    return bundle.model_copy(update={part.name: items})
