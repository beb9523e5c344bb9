"""The rest of phase 5 where a model filters rules: one call says of every candidate whether it applies.

It serves quality and fails open: without a usable answer the scores decide as they do without it. It never takes out a
hard rule, and adds none: only what retrieval found likely is asked about.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ruche.engine.brain.calls import Budget, asked
from ruche.engine.brain.endpoint import Endpoint, spent
from ruche.engine.brain.identify import Identified
from ruche.plugins.contracts import Generated
from ruche.plugins.generators.sifter import Candidates, Sifting, read_sifted, sifter_messages, sifter_schema
from ruche.plugins.tape import Tape
from ruche.storage.model.agent import ModelUse
from ruche.storage.model.rule import Rule
from ruche.storage.model.turn import Usage

SECONDS = 8.0
MOST_CALLS = 2
"""In one turn: for the rules of where it began, and once for those of the steps that it entered."""
MOST_RULES = 20
BELOW = 0.2
"""How far under its threshold a rule may score and still be asked about."""
EXCHANGES, SHOWN = 3, 1_000
"""Earlier exchanges that the model sees, and characters of each text."""


class Sifter:
    """Filters the rules of one turn. `usage` counts its calls, `fault` is the last one's."""

    def __init__(self, who: Identified, use: ModelUse, generators: Callable[[ModelUse], Any], tape: Tape,
                 budget: Budget) -> None:
        self._who, self._tape, self._budget = who, tape, budget
        self._endpoint = Endpoint(use, generators)
        self._calls = 0
        self.usage = Usage()
        self.fault = ""

    async def verdicts(self, rules: Sequence[Rule]) -> dict[str, Sifting]:
        """The model's word on each of these; nothing where it gave none that can be used."""
        if not rules or self._calls >= MOST_CALLS:
            return {}
        self._calls += 1
        task = self._task(rules)
        chat, schema = sifter_messages(task), sifter_schema(task)
        made, fault = await asked(self._tape, "sift", chat,
                                  lambda: self._endpoint.complete(chat, schema, task.max_tokens), Generated,
                                  self._budget.of(SECONDS))
        if made is None:
            self.fault = fault
            return {}
        self.usage += spent(made)
        found = read_sifted(made.text, task)
        self.fault = "" if found is not None else "the model's answer cannot be read"
        return found or {}

    def _task(self, rules: Sequence[Rule]) -> Candidates:
        past = [pair for exchange in self._who.turn.session.history[-EXCHANGES:]
                for pair in (("person", "\n".join(exchange.said)), ("agent", exchange.reply))]
        heard = (*past, ("person", self._who.text))
        return Candidates(conditions=tuple((rule.id, rule.if_) for rule in rules),
                          conversation=tuple((role, text[:SHOWN]) for role, text in heard))
