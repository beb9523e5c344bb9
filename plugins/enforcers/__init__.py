"""The deterministic lane: enforcers that need no model, and the names that a reply gives to expressions.

An enforcer's `prepare` may return an object with an attribute `monotone`; it then says of this rule what the
enforcer's own `monotone` says of all rules. Segments end at sentence ends, so no word or number is ever cut.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ruche.plugins.contracts import Enforcer
from ruche.plugins.enforcers.count import CountEnforcer
from ruche.plugins.enforcers.expression import ExpressionEnforcer
from ruche.plugins.enforcers.form import FormEnforcer
from ruche.plugins.enforcers.grounding import GroundingEnforcer
from ruche.plugins.enforcers.injection import InjectionEnforcer
from ruche.plugins.enforcers.length import LengthEnforcer
from ruche.plugins.enforcers.names import VOCABULARY, draft_names, extract_names
from ruche.plugins.enforcers.pattern import PatternEnforcer
from ruche.plugins.enforcers.personal import PersonalDataEnforcer
from ruche.plugins.enforcers.phrase import PhraseEnforcer
from ruche.plugins.enforcers.relevance import RelevanceEnforcer
from ruche.plugins.errors import ConfigurationError
from ruche.storage.model.rule import EnforcerUse, Rule

__all__ = [
    "VOCABULARY", "CountEnforcer", "ExpressionEnforcer", "FormEnforcer", "GroundingEnforcer", "InjectionEnforcer",
    "LengthEnforcer", "PatternEnforcer", "PersonalDataEnforcer", "PhraseEnforcer", "RelevanceEnforcer", "built_in",
    "draft_names", "extract_names", "judges_prefixes", "prepare_rule",
]


def built_in() -> dict[str, Enforcer]:
    """The shipped enforcers by the word that an author writes after `use:`."""
    enforcers: list[Enforcer] = [ExpressionEnforcer(), PhraseEnforcer(), PatternEnforcer(), LengthEnforcer(),
                                 PersonalDataEnforcer(), GroundingEnforcer(), CountEnforcer(), FormEnforcer(),
                                 InjectionEnforcer(), RelevanceEnforcer()]
    return {enforcer.name: enforcer for enforcer in enforcers}


def prepare_rule(rule: Rule, known: Mapping[str, Enforcer]) -> tuple[Enforcer, Any] | None:
    """The rule's enforcer with its compiled options, None when the rule has no `enforce`.

    Raises ConfigurationError naming the rule, what is wrong and what to write instead.
    """
    if rule.enforce is None:
        return None
    name = rule.enforce.use if isinstance(rule.enforce, EnforcerUse) else "expression"
    enforcer = known.get(name)
    if enforcer is None:
        raise ConfigurationError(f"rule {rule.id}: there is no enforcer {name}; known: {', '.join(sorted(known))}")
    try:
        return enforcer, enforcer.prepare(rule)
    except ConfigurationError:
        raise
    except Exception as error:
        raise ConfigurationError(f"rule {rule.id}: the enforcer {name} failed on its options "
                                 f"({type(error).__name__}: {error}); mend the enforcer or the options") from None


def judges_prefixes(enforcer: Enforcer, prepared: Any) -> bool:
    """True when a prefix that breaks this rule stays broken, so that segments may be released as they pass."""
    return bool(getattr(prepared, "monotone", enforcer.monotone))
