"""When a variable's tool is due: each turn, at the session's or a scenario's beginning, or when something reads it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ruche.engine.brain.identify import Identified
from ruche.engine.brain.match import Matched
from ruche.engine.brain.names import Names
from ruche.engine.brain.walk import Standing
from ruche.storage.model.field import Variable


def due(who: Identified, standings: Iterable[Standing], matched: Matched, names: Names,
        known: Mapping[str, Any]) -> list[Variable]:
    """In the author's order."""
    if not who.agent.variables:
        return []
    standings = list(standings)
    began = any(action == "START" for one in standings for action, _ in one.actions)
    read = _read(who, standings, matched)
    return [one for one in who.agent.variables if _is_due(one, who, known, began=began, read=one.name in read)]


def _is_due(variable: Variable, who: Identified, known: Mapping[str, Any], *, began: bool, read: bool) -> bool:
    if variable.tool is None:
        return False
    at = known.get(f"@{variable.name}")
    fresh = at is not None and (variable.cache_seconds > 0 and who.now_ms - at < variable.cache_seconds * 1000)
    if variable.policy == "ON_EACH_TURN":
        return not fresh
    if variable.policy == "ON_SESSION_START":
        return at is None
    if variable.policy == "ON_SCENARIO_ENTRY":
        return began and not fresh
    return read and (at is None or (variable.cache_seconds > 0 and not fresh))


def _read(who: Identified, standings: list[Standing], matched: Matched) -> set[str]:
    """Names that the texts of this turn read, and those that its steps cannot do without."""
    steps = [step for one in standings for step in (*one.entered, one.step)]
    needed = {name for step in steps for name in step.awaits}
    texts = [text for step in steps for text in (step.say, step.ask, step.confirm)]
    texts.extend(who.agent.asks[field.name] for step in steps for field in (*step.requires, *step.collects))
    texts.extend([who.agent.greeting, who.agent.handoff.text] if not who.number else [who.agent.handoff.text])
    if not matched.rules and not standings:
        texts.append(who.agent.unmatched.text)
    for rule in matched.rules:
        texts.extend((rule.rule.then, *rule.rule.templates))
    return needed | {name.removeprefix("session.") for text in texts if text is not None
                     for name in text.template.names}
