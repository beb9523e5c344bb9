"""Every id and name of a bundle that something else may refer to, and the names that expressions and texts may read."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property

from ruche.engine.authoring.possible import limits_of
from ruche.engine.brain.facts import declared
from ruche.engine.brain.results import outcome_name, status_name
from ruche.plugins.enforcers import VOCABULARY as REPLY
from ruche.plugins.installed import Installed
from ruche.storage.model.bundle import AgentBundle
from ruche.storage.model.field import InterlocutorField

NOW = frozenset({"part_of_day", "hour", "minute", "weekday", "date", "time"})
"""What the clock offers, as `now.hour`, in the agent's time zone."""
MEMORY = frozenset({"memory_text", "memory_speaker", "memory_date"})
"""What an agent with `memory` knows of the best that it recalls, bare and as `session.memory_text`."""
SESSION = frozenset({"channel", "intent", "language", "turn"})
"""What the engine knows in every turn, as `session.turn`."""


class Vocabulary:
    """The names of one bundle, each set made when it is first asked for."""

    def __init__(self, bundle: AgentBundle, installed: Installed | None = None) -> None:
        self._bundle = bundle
        self._installed = installed

    @cached_property
    def installed(self) -> Installed:
        """What the agent may name that is no part of it."""
        return self._installed or Installed()

    @cached_property
    def rules(self) -> frozenset[str]:
        return frozenset(rule.id for rule in self._bundle.rules)

    @cached_property
    def templates(self) -> frozenset[str]:
        return frozenset(template.id for template in self._bundle.templates)

    @cached_property
    def fields_by_name(self) -> dict[str, InterlocutorField]:
        return {field.name: field for field in self._bundle.fields}

    @cached_property
    def limits(self) -> dict[str, tuple[float, float]]:
        """What numbers a name can be, where that is known."""
        return limits_of(self._bundle.fields)

    @cached_property
    def fields(self) -> frozenset[str]:
        return frozenset(field.name for field in self._bundle.fields)

    @cached_property
    def tools(self) -> frozenset[str]:
        return frozenset(tool.id for tool in self._bundle.tools)

    @cached_property
    def intents(self) -> frozenset[str]:
        return frozenset(intent.id for intent in self._bundle.intents)

    @cached_property
    def steps(self) -> dict[str, frozenset[str]]:
        """Scenario id to the ids of its steps."""
        return {scenario.id: frozenset(step.id for step in scenario.steps) for scenario in self._bundle.scenarios}

    @cached_property
    def places(self) -> frozenset[str]:
        """Steps as `scenario/step`."""
        return frozenset(f"{scenario}/{step}" for scenario, steps in self.steps.items() for step in steps)

    @cached_property
    def called(self) -> frozenset[str]:
        """Scenarios that are gone through within others."""
        return frozenset(step.scenario for scenario in self._bundle.scenarios for step in scenario.steps
                         if step.scenario is not None)

    @cached_property
    def known(self) -> frozenset[str]:
        """Names that can have a value in a conversation: fields, variables, what tools put out, and how they ended."""
        outputs = {name for tool in self._bundle.tools for name in (*tool.outputs, status_name(tool.id))}
        outputs |= {outcome_name(name) for name in self.called}
        return self.fields | outputs | {variable.name for variable in self._bundle.variables}

    @cached_property
    def readable(self) -> frozenset[str]:
        """What a text, or an expression that is evaluated before there is a reply, may read; bare and spaced."""
        kept = self._named(field for field in self._bundle.fields if _is_kept(field))
        other = self._named(field for field in self._bundle.fields if not _is_kept(field))
        values = self.known - self.fields | (MEMORY if self._bundle.agent.memory else frozenset())
        return frozenset({"agent", *kept, *other, *values, *_spaced("profile", kept), *_spaced("now", NOW),
                          *_spaced("session", other | values | SESSION)})

    @cached_property
    def judged(self) -> frozenset[str]:
        """What `enforce` may read: the reply's own facts besides."""
        told = REPLY | declared(self._bundle.rules).keys()
        return self.readable | told | _spaced("reply", told)


    @cached_property
    def filled(self) -> frozenset[str]:
        """Fields that tools give values for."""
        return self.fields & {name for tool in self._bundle.tools for name in tool.outputs}

    @cached_property
    def proven(self) -> frozenset[str]:
        """Fields whose values a tool can prove."""
        return frozenset({*(field.name for field in self._bundle.fields if field.verify),
                          *(name for tool in self._bundle.tools for name in tool.verifies)})

    def _named(self, fields: Iterable[InterlocutorField]) -> frozenset[str]:
        """The fields' names, NAME_currency for those that hold money, NAME_verified for those that can be proven."""
        listed = list(fields)
        return _with_currency(listed) | {f"{field.name}_verified" for field in listed if field.name in self.proven}


def _is_kept(field: InterlocutorField) -> bool:
    """True for what belongs to the person (`profile.`), False for what belongs to the session (`session.`)."""
    return field.persist and field.scope in ("IDENTITY", "BUSINESS")


def _with_currency(fields: Iterable[InterlocutorField]) -> frozenset[str]:
    """The fields' names, and NAME_currency for those that hold money."""
    listed = list(fields)
    return frozenset({field.name for field in listed}
                     | {f"{field.name}_currency" for field in listed if field.type == "money"})


def _spaced(space: str, names: Iterable[str]) -> frozenset[str]:
    return frozenset(f"{space}.{name}" for name in names)
