"""A whole agent as it is published, and the bytes that it is stored and hashed by."""

from __future__ import annotations

from pydantic import Field

from ruche.storage.model.agent import Agent
from ruche.storage.model.authored import Authored, Name
from ruche.storage.model.field import InterlocutorField, Variable
from ruche.storage.model.rule import Relationship, Rule
from ruche.storage.model.run import canonical
from ruche.storage.model.scenario import Habit, Scenario
from ruche.storage.model.tool import Tool
from ruche.storage.model.wording import GlossaryTerm, Intent, Template


class AgentBundle(Authored):
    """A whole agent as it is published: immutable, content-addressed."""

    id: Name
    tenant: Name = "default"
    agent: Agent
    rules: tuple[Rule, ...] = ()
    relationships: tuple[Relationship, ...] = ()
    scenarios: tuple[Scenario, ...] = ()
    templates: tuple[Template, ...] = ()
    fields: tuple[InterlocutorField, ...] = ()
    glossary: tuple[GlossaryTerm, ...] = ()
    intents: tuple[Intent, ...] = ()
    variables: tuple[Variable, ...] = ()
    tools: tuple[Tool, ...] = ()
    habits: tuple[Habit, ...] = ()
    """What `ruche publish --learn-from runs` counted."""
    knowledge: dict[str, str] = Field(default_factory=dict)
    """File name to text."""
    sources: dict[str, str] = Field(default_factory=dict)
    """Python files that tools come from: name to text, so that the bundle's hash covers them."""


def canonical_bundle(bundle: AgentBundle) -> bytes:
    """The bytes under which a bundle is stored and hashed: canonical JSON with the keys that authors write. What has
    its default is left out, so that a key which a later engine knows changes no hash."""
    return canonical(bundle.model_dump(mode="json", by_alias=True, exclude_defaults=True))
