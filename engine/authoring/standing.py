"""Finds texts that stand ready for refusals and break a hard rule themselves: they would never be sent."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ruche.engine.authoring.document import Path
from ruche.engine.authoring.origin import Origins
from ruche.engine.authoring.problem import Problem
from ruche.engine.authoring.vocabulary import Vocabulary
from ruche.plugins.contracts import Draft, Enforcer
from ruche.plugins.enforcers import extract_names, prepare_rule
from ruche.plugins.errors import ConfigurationError
from ruche.plugins.expressions import compile_expression
from ruche.storage.model.bundle import AgentBundle
from ruche.storage.model.rule import Rule

_MOST = 2_000
"""Texts times rules that are tried; an agent with more has been tried well enough."""
_READS = ("expression", "phrase", "pattern", "length")
"""Enforcers that say of a text alone what they say of it in a conversation."""
_PLACE = ("{{", "{%")

Check = tuple[Rule, Any, Enforcer]


def check_standing(bundle: AgentBundle, origins: Origins, vocabulary: Vocabulary) -> Iterator[Problem]:
    """Texts without placeholders against rules that hold at all times and read nothing but the reply."""
    checks = list(_checks(bundle, vocabulary))
    language = bundle.agent.languages[0] if bundle.agent.languages else "en"
    texts = list(_texts(bundle))
    for place, name, text in texts[:max(1, _MOST // max(1, len(checks)))] if checks else ():
        draft = Draft(text=text, question="", names=_names(text, language), language=language)
        for rule, prepared, enforcer in checks:
            if _fails(enforcer, draft, rule, prepared):
                yield origins.problem(place, "W614", f"{name} breaks the hard rule {rule.id} itself",
                                      "write it so that it keeps every rule, or it is never sent")
                break


def _texts(bundle: AgentBundle) -> Iterator[tuple[Path, str, str]]:
    written: list[tuple[Path, str, str]] = [(("agent", "refusal"), "refusal", bundle.agent.refusal)]
    written += [(("templates", index, "text"), f"the fallback {template.id}", template.text)
                for index, template in enumerate(bundle.templates) if template.mode == "FALLBACK"]
    return (one for one in written if not any(sign in one[2] for sign in _PLACE))


def _checks(bundle: AgentBundle, vocabulary: Vocabulary) -> Iterator[Check]:
    for rule in bundle.rules:
        if rule.hard and rule.enabled and rule.scope == "GLOBAL" and rule.when is None and not rule.requires:
            try:
                made = prepare_rule(rule, vocabulary.installed.enforcers)
                if made is not None and made[0].name in _READS and _reads_reply_alone(rule):
                    yield rule, made[1], made[0]
            except ConfigurationError:  # reported where the rule is checked
                continue


def _reads_reply_alone(rule: Rule) -> bool:
    if not isinstance(rule.enforce, str):
        return rule.enforce is None or rule.enforce.use != "expression"
    known = extract_names("", "en").keys() | {"amount", "percent", "currency"}
    return all(name.removeprefix("reply.") in known for name in compile_expression(rule.enforce).names)


def _names(text: str, language: str) -> dict[str, Any]:
    reply = extract_names(text, language)
    return {**reply, "reply": reply, "session": {}, "profile": {}, "now": {}}


def _fails(enforcer: Enforcer, draft: Draft, rule: Rule, prepared: Any) -> bool:
    try:
        return enforcer.check(draft, rule, prepared).outcome == "fail"
    except Exception:  # a fault of the enforcer's own shows where replies are judged
        return False
