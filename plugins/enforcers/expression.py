"""A rule's expression over what the reply says and what is known: `enforce: amount <= 50 or profile.tier == 'VIP'`."""

from __future__ import annotations

from typing import Any, NamedTuple

from ruche.plugins.contracts import Draft, Verdict
from ruche.plugins.enforcers.direction import only_falls
from ruche.plugins.enforcers.names import ALWAYS, RISING, VOCABULARY
from ruche.plugins.errors import ConfigurationError
from ruche.plugins.expressions import Expression, ExpressionError, Undefined, compile_expression
from ruche.storage.model.rule import EnforcerUse, Rule

_LATE = frozenset(f"{space}{name}" for name in VOCABULARY - ALWAYS for space in ("", "reply."))
"""Names that a growing reply may still bring: that one is missing can be said of the whole reply only."""
_PASS = Verdict(outcome="pass")


class Condition(NamedTuple):
    """A rule's compiled expression. `late`: bare names that a reply may still bring while it grows."""

    expression: Expression
    requires: tuple[str, ...]
    late: frozenset[str]
    monotone: bool

    @property
    def reads(self) -> frozenset[str]:
        """Every name that decides."""
        return self.expression.names | frozenset(self.requires)


class ExpressionEnforcer:
    """Passes when the expression is true. An undefined name: not applicable, or failed if the rule `requires` it.

    Whether prefixes can be judged depends on the expression; see `Condition.monotone`.
    """

    name = "expression"
    monotone = False

    def prepare(self, rule: Rule) -> Condition:
        text = rule.enforce
        if isinstance(text, EnforcerUse):
            text = text.options.get("expression") if set(text.options) == {"expression"} else None
        if not isinstance(text, str):
            raise ConfigurationError(f"rule {rule.id}: write the expression: enforce: amount <= 50")
        try:
            expression = compile_expression(text)
        except ConfigurationError as error:
            raise ConfigurationError(f"rule {rule.id}: {error.message}", **error.details) from None
        late = frozenset(rule.requires) & _LATE
        return Condition(expression, rule.requires, expression.names & (RISING - ALWAYS),
                         only_falls(expression.tree) and not late)

    def check(self, draft: Draft, rule: Rule, prepared: Condition) -> Verdict:
        names = draft.names if draft.whole or not prepared.late else _of_prefix(draft.names, prepared.late)
        for name in prepared.requires:
            if not _has(names, name):
                return Verdict(outcome="fail" if draft.whole or name not in _LATE else "not_applicable",
                               reason=f"{name}, which the rule requires, has no value")
        try:
            holds = prepared.expression.evaluate(names)
        except Undefined as missing:
            return Verdict(outcome="not_applicable", reason=missing.message)
        except ExpressionError as error:
            return Verdict(outcome="error", reason=error.message)
        return _PASS if holds else Verdict(outcome="fail", reason=f"does not hold: {prepared.expression.text}")


def _of_prefix(names: dict[str, Any], late: frozenset[str]) -> dict[str, Any]:
    """Names without those that the reply may still say, so that no older value stands in for them meanwhile."""
    reply = names.get("reply", {})
    return {name: value for name, value in names.items() if name not in late or name in reply}


def _has(names: dict[str, Any], name: str) -> bool:
    space, dot, key = name.partition(".")
    if not dot:
        return name in names
    inner = names.get(space)
    return isinstance(inner, dict) and key in inner
