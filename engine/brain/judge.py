"""Lane 2 of enforcement: one model call that judges a draft against every rule that nothing else can judge, and reads
the facts in it that patterns do not find.

It fails closed: without a verdict that can be read a rule is in error, which a hard rule counts as broken.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from ruche.engine.brain.calls import Budget, asked
from ruche.engine.brain.endpoint import Endpoint, spent
from ruche.engine.brain.identify import Identified
from ruche.engine.brain.sight import seeing
from ruche.plugins.contracts import Generated, Verdict
from ruche.plugins.generators.facts import Facts
from ruche.plugins.generators.judge import (
    JudgedRule,
    Judgement,
    error,
    judge_messages,
    judge_schema,
    read_answer,
)
from ruche.plugins.tape import Tape
from ruche.storage.model.agent import ModelUse
from ruche.storage.model.rule import Rule
from ruche.storage.model.turn import Usage

SECONDS = 15.0
EXCHANGES = 4
"""Earlier exchanges that the judge sees."""
SHOWN = 4_000
"""Characters that it sees of each earlier message. The reply is always seen whole."""


class Judge:
    """Judges the drafts of one turn. `usage` counts its calls."""

    def __init__(self, who: Identified, known: Collection[str], use: ModelUse, generators: Callable[[ModelUse], Any],
                 tape: Tape, budget: Budget) -> None:
        self._who, self._known, self._tape, self._budget = who, known, tape, budget
        self._endpoint = Endpoint(use, generators)
        self.usage = Usage()

    async def read(self, reply: str, rules: list[Rule], facts: Mapping[str, str], *,
                   by_model: bool) -> tuple[list[Verdict], Facts]:
        """One verdict per rule, in their order, and the facts, from one call."""
        task = self._task(reply, rules, dict(facts), by_model=by_model)
        chat, schema = judge_messages(task), judge_schema(task)
        made, fault = await asked(self._tape, "judge", [chat, task.max_tokens],
                                  lambda: self._endpoint.complete(chat, schema, task.max_tokens), Generated,
                                  self._budget.of(SECONDS))
        if made is None:
            silent = error(f"the judge did not answer: {fault}")
            return [silent] * len(rules), Facts(unread=frozenset(facts))
        self.usage += spent(made)
        found, told = read_answer(made.text, task)
        return [found[rule.id] for rule in rules], told

    def _task(self, reply: str, rules: list[Rule], facts: dict[str, str], *, by_model: bool) -> Judgement:
        who = self._who
        seen = seeing(who)
        past = [pair for exchange in who.turn.session.history[-EXCHANGES:]
                for pair in (("person", "\n".join(exchange.said)), ("agent", exchange.reply))]
        return Judgement(
            rules=tuple(JudgedRule(id=rule.id, condition=rule.if_, then=rule.then) for rule in rules), reply=reply,
            conversation=tuple((role, seen(text)[:SHOWN]) for role, text in (*past, ("person", who.text))),
            fields={name: "known" if name in self._known else "unknown" for name in who.agent.fields},
            by_model=by_model, facts=facts)
