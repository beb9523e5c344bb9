"""Reading what an author wrote under `options:` of an enforcer; every mistake says what to write instead."""

from __future__ import annotations

from typing import Any

from ruche.plugins.errors import ConfigurationError
from ruche.storage.model.rule import EnforcerUse, Rule


def read_options(rule: Rule, known: tuple[str, ...], *, empty: bool = False) -> dict[str, Any]:
    """The options of the rule's enforcer. Raises ConfigurationError for one that is not known, and when none is set
    unless `empty`."""
    if not isinstance(rule.enforce, EnforcerUse):
        raise ConfigurationError(f"rule {rule.id}: write enforce: {{use: NAME, options: {{...}}}}")
    options = rule.enforce.options
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise ConfigurationError(f"rule {rule.id}: {rule.enforce.use} has no option {unknown[0]}; "
                                 f"there are {', '.join(known)}")
    if not options and not empty:
        raise ConfigurationError(f"rule {rule.id}: {rule.enforce.use} needs one of the options {', '.join(known)}")
    return options


def text_list(rule: Rule, options: dict[str, Any], name: str) -> tuple[str, ...]:
    """A list of texts, or one text. Raises ConfigurationError for anything else, and for an empty text."""
    value = options.get(name, ())
    found = (value,) if isinstance(value, str) else tuple(value) if isinstance(value, list | tuple) else (None,)
    for text in found:
        if not isinstance(text, str) or not text.strip():
            raise ConfigurationError(f"rule {rule.id}: {name} is a list of texts: {name}: [first, second]")
    return found


def flag(rule: Rule, options: dict[str, Any], name: str, default: bool) -> bool:
    value = options.get(name, default)
    if not isinstance(value, bool):
        raise ConfigurationError(f"rule {rule.id}: {name} is true or false")
    return value


def count(rule: Rule, options: dict[str, Any], name: str) -> int | None:
    """A whole number from 0, None when absent."""
    value = options.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ConfigurationError(f"rule {rule.id}: {name} is a whole number from 0")
    return value
