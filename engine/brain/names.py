"""What expressions and texts may read: bare names, and the namespaces `session`, `profile` and `now`.

A bare name is the session's value before the person's; a reply's own facts come on top where a reply is judged, but
never over a field that tells who somebody is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ruche.engine.brain.identify import Identified, clock_names
from ruche.engine.brain.learn import Knowledge
from ruche.engine.brain.memory import memory_names
from ruche.plugins.expressions import Expression, ExpressionError, Undefined
from ruche.storage.model.conversation import FieldValue

Names = dict[str, Any]


def names_of(who: Identified, knowledge: Knowledge, language: str, intent: str = "") -> Names:
    """Built anew whenever the knowledge changed; plain values only."""
    profile = _plain({name: value for name, value in knowledge.known.items() if who.agent.fields[name].kept})
    session = _plain({name: value for name, value in knowledge.known.items() if not who.agent.fields[name].kept})
    session.update(knowledge.variables)
    agent = who.agent
    for name in agent.proven:
        value = knowledge.known.get(name)
        space = profile if agent.fields[name].kept else session
        space[f"{name}_verified"] = value is not None and value.verified
    names = {**agent.defaults, **profile, **session}
    session, profile = {**agent.defaults, **session}, {**agent.kept_defaults, **profile}
    key = who.turn.session.key
    if who.recalled is not None:
        found = memory_names(who)
        names.update((name, value) for name, value in found.items() if name not in who.agent.fields)
        session.update(found)
    session.update(turn=who.number, language=language, channel=key.channel, intent=intent)
    names["profile"], names["session"], names["now"] = profile, session, clock_names(who.local)
    names["agent"] = who.agent.bundle.agent.name
    return names


def with_reply(names: Names, reply: Mapping[str, Any], who: Identified) -> Names:
    """The names with what a reply says: `reply.amount`, and bare `amount` unless it is a fact about the person."""
    fields = who.agent.fields
    merged = dict(names)
    merged.update((name, value) for name, value in reply.items() if name not in fields or not fields[name].kept)
    merged["reply"] = dict(reply)
    return merged


def holds(expression: Expression, names: Names) -> tuple[bool, str]:
    """Whether it is true, and why not when it could not be evaluated. An unknown name never makes a condition true."""
    try:
        return bool(expression.evaluate(names)), ""
    except Undefined as error:
        return False, f"{error.name} is not known"
    except ExpressionError as error:
        return False, error.message


def is_false(expression: Expression, names: Names) -> bool:
    """True only when it was evaluated and came out false."""
    try:
        return not expression.evaluate(names)
    except ExpressionError:
        return False


def _plain(values: Mapping[str, FieldValue]) -> Names:
    """Money is its amount, with the currency beside it as NAME_currency."""
    names: Names = {}
    for name, field in values.items():
        value = field.value
        if isinstance(value, dict) and "amount" in value:
            names[name], names[f"{name}_currency"] = value["amount"], value.get("currency", "")
        else:
            names[name] = value
    return names
