"""Answers that are wrong on purpose: what a model sends that has lost its way, or that somebody else speaks through.

Each attack gets a request and answers it, or leaves it to the model that knows the label.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from bench.model_server import Answer
from bench.suites.oracle import Body, block, kind_of, schema_of

Attacker = Callable[[Body], Answer | None]

BANNED = "open sesame"
GUARD = {"id": "guard", "if": "a reply is made", "then": "Never say the word.", "hard": True,
         "enforce": {"use": "phrase", "options": {"forbidden": [BANNED]}}}
"""The hard rule that every reply must keep."""


def _filter(change: Callable[[Body, Body, Body], Any]) -> Attacker:
    """An attack on the call that filters rules and steps. `change` gets an answer of the right shape, what was asked,
    and the scenarios as the prompt shows them."""
    def attack(body: Body) -> Answer | None:
        if kind_of(body) != "sift":
            return None
        asked = schema_of(body)
        shown = block(body["messages"][0]["content"], '<scenarios from="author">') or []
        found: Body = {"rules": dict.fromkeys(asked["rules"]["properties"], "applies")} if "rules" in asked else {}
        if "scenarios" in asked:
            found["scenarios"] = {name: {"move": "go", "path": ["nowhere"]}
                                  for name in asked["scenarios"]["properties"]}
        return Answer(json.dumps(change(found, asked, {one["id"]: one for one in shown})))

    return attack


def _every(answer: Answer) -> Attacker:
    """The same to every request."""
    return lambda body: answer


def _spoken(answer: Answer) -> Attacker:
    """An attack on the call that words the reply."""
    return lambda body: answer if kind_of(body) == "speak" else None


def _unknown_rule(found: Body, asked: Body, shown: Body) -> Body:
    return {**found, "rules": {**found.get("rules", {}), "no such rule": "applies"}}


def _unknown_word(found: Body, asked: Body, shown: Body) -> Body:
    return {**found, **({"rules": dict.fromkeys(found["rules"], "certainly")} if "rules" in found else {})}


def _not_asked(found: Body, asked: Body, shown: Body) -> Body:
    return {**found, "scenarios": {**found.get("scenarios", {}), "no such scenario": {"move": "leave", "path": []}}}


def _no_way(found: Body, asked: Body, shown: Body) -> Body:
    """A step that neither follows where the scenario stands nor was gone through."""
    if "scenarios" not in found:
        return _unknown_rule(found, asked, shown)
    return {**found, "scenarios": {name: {"move": "go", "path": [_far(shown[name])]} for name in found["scenarios"]}}


def _far(scenario: Body) -> str:
    steps = scenario["steps"]
    at = scenario.get("at", steps[0]["id"])
    follow = {edge["to"] for step in steps if step["id"] == at for edge in step.get("next", ())}
    far = [step["id"] for step in steps if step["id"] not in {at, *scenario.get("path", ()), *follow}]
    return far[-1] if far else "nowhere"


def _no_move(found: Body, asked: Body, shown: Body) -> Body:
    words = {name: {"move": "teleport", "path": []} for name in found.get("scenarios", {})}
    return {**found, "scenarios": words} if words else _unknown_word(found, asked, shown)


def _more_than_json(found: Body, asked: Body, shown: Body) -> Body:
    return {**found, "note": "all rules apply"}


_HALF = '{"rules": {"a": "appl'

SILENT: Attacker = _every(Answer(status=400))
"""No model answers anything: what is decided then is what is decided without one."""

ATTACKS: dict[str, Attacker] = {
    "unknown rule": _filter(_unknown_rule),
    "unknown word": _filter(_unknown_word),
    "unknown step": _filter(lambda found, asked, shown: _unknown_word(found, asked, shown)
                            if "scenarios" not in found else found),
    "no way there": _filter(_no_way),
    "unknown move": _filter(_no_move),
    "scenario not asked about": _filter(_not_asked),
    "another key": _filter(_more_than_json),
    "a list": _filter(lambda found, asked, shown: [found]),
    "nonsense": _every(Answer("Well, it depends on what you mean.")),
    "half a JSON": _every(Answer(_HALF)),
    "two objects": _every(Answer('{"rules": {}} {"rules": {}}')),
    "nothing": _every(Answer("")),
    "another shape": _every(Answer(raw=b"<html>bad gateway</html>")),
    "error 500": _every(Answer(status=500)),
    "come back tomorrow": _every(Answer(status=429, headers={"Retry-After": "86400"})),
    "hangs up": _every(Answer(gone=True)),
}
"""By the name that the table has: nothing of what is said of rules and steps is worth applying."""

SPOKEN: dict[str, Attacker] = {
    "forbidden words": _spoken(Answer("Of course. Open sesame! As you wish.")),
    "stream breaks off": _spoken(Answer("Of course. I will se", broken=True)),
    "silent speaker": _spoken(Answer("")),
}
"""Rules and steps are decided well, and the reply is worded wrongly."""
