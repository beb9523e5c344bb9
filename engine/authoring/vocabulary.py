"""Every id and name of a bundle that something else may refer to, and the names that expressions and texts may read."""

from __future__ import annotations

from functools import cached_property

from ruche.plugins.enforcers import VOCABULARY as REPLY
from ruche.storage.model.agent import AgentBundle

NOW = frozenset({"part_of_day", "hour", "minute", "weekday", "date", "time", "year", "month", "day"})
"""What the clock offers, as `now.hour`, in the agent's time zone."""
ENGINE = frozenset({"agent_name", "channel", "intent", "language", "turn"})
"""What the engine knows in every turn, as bare names."""


class Vocabulary:
    """The names of one bundle, each set made when it is first asked for."""

    def __init__(self, bundle: AgentBundle) -> None:
        self._bundle = bundle

    @cached_property
    def rules(self) -> frozenset[str]:
        return frozenset(rule.id for rule in self._bundle.rules)

    @cached_property
    def templates(self) -> frozenset[str]:
        return frozenset(template.id for template in self._bundle.templates)

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
    def known(self) -> frozenset[str]:
        """Names that can have a value in a conversation: fields, variables and what tools put out."""
        outputs = {name for tool in self._bundle.tools for name in tool.outputs}
        return self.fields | outputs | {variable.name for variable in self._bundle.variables}

    @cached_property
    def readable(self) -> frozenset[str]:
        """Everything that an expression or a text may read, bare and with its namespace."""
        spaced = {f"profile.{name}" for name in self.fields} | {f"session.{name}" for name in self.known | ENGINE}
        spaced |= {f"reply.{name}" for name in REPLY} | {f"now.{name}" for name in NOW}
        return self.known | ENGINE | REPLY | spaced
