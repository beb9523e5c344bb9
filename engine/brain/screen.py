"""What a language model is not shown: messages, memories and results of tools that read like orders to the agent.

Where a message or a value of this turn does, no model reads or speaks in the turn: the plan is said as the author wrote
it, so that a false alarm costs style alone. Older texts are withheld one by one. Agents without a model pay nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ruche.plugins.enforcers.injection import READ, shipped

WITHHELD = "[withheld: this text gave orders to the assistant]"
LEAST = 20
"""Characters of a value that is looked at; a name or a number orders nobody."""


def orders(text: str) -> bool:
    """True for a text that reads like orders to the agent, and for one that is too long to be read through."""
    return len(text) > READ or shipped().flags(text)


def shown(text: str) -> str:
    """The text as a model may see it."""
    return WITHHELD if orders(text) else text


def any_orders(*values: Any) -> bool:
    """True when a text anywhere in these plain values does."""
    return any(orders(text) for text in texts_of(values) if len(text) >= LEAST)


def texts_of(value: Any) -> Iterator[str]:
    """Every text in plain values."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for part in value.values():
            yield from texts_of(part)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from texts_of(part)
