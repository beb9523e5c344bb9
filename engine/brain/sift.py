"""The rest of phase 5 where a model filters rules: one call says of every candidate whether it applies, and of every
scenario where it goes.

It serves quality and fails open: without a usable answer the scores decide as they do without it. It never takes out a
hard rule, and where a scenario goes is followed only along ways that hold (`guided.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from ruche.engine.brain.calls import Budget, asked
from ruche.engine.brain.endpoint import Endpoint, spent
from ruche.engine.brain.identify import Identified
from ruche.engine.brain.names import Names
from ruche.engine.brain.private import Private
from ruche.engine.brain.screen import LEAST, orders
from ruche.engine.brain.sight import seeing
from ruche.plugins.contracts import Generated
from ruche.plugins.generators.sifter import (
    Candidates,
    RuleShown,
    Sifted,
    read_sifted,
    sifter_messages,
    sifter_schema,
)
from ruche.plugins.generators.ways import ScenarioShown
from ruche.plugins.tape import Tape
from ruche.storage.model.agent import ModelUse
from ruche.storage.model.rule import Rule
from ruche.storage.model.turn import Usage

SECONDS = 8.0
MOST_CALLS = 2
"""In one turn: for the rules of where it began, and once for those of the steps that it entered."""
MOST_RULES = 20
MOST_TOOLS = 20
MESSAGE, SHOWN, TOLD = 4_000, 1_000, 8_000
"""Characters that the model sees of the message, of each text before it, and of all of those: the latest."""


class Sifter:
    """Filters the rules of one turn. `usage` counts its calls, `fault` is the last one's."""

    def __init__(self, who: Identified, use: ModelUse, generators: Callable[[ModelUse], Any], tape: Tape,
                 budget: Budget) -> None:
        self._who, self._tape, self._budget = who, tape, budget
        self._endpoint = Endpoint(use, generators)
        self._calls = 0
        self.usage = Usage()
        self.fault = ""

    async def decided(self, rules: Sequence[Rule], names: Names, scenarios: tuple[ScenarioShown, ...] = ()) -> Sifted:
        """The model's word on each of these; nothing where it gave none that can be used. `names` has the values that
        are known, of which it sees what the author shows."""
        if not (rules or scenarios) or self._calls >= MOST_CALLS:
            return Sifted()
        self._calls += 1
        task = self._task(rules, names, scenarios)
        chat, schema = sifter_messages(task), sifter_schema(task)
        made, fault = await asked(self._tape, "sift", chat,
                                  lambda: self._endpoint.complete(chat, schema, task.max_tokens), Generated,
                                  self._budget.of(SECONDS))
        if made is None:
            self.fault = fault
            return Sifted()
        self.usage += spent(made)
        found = read_sifted(made.text, task)
        self.fault = "" if found is not None else "the model's answer cannot be read"
        return found or Sifted()

    def _task(self, rules: Sequence[Rule], names: Names, scenarios: tuple[ScenarioShown, ...]) -> Candidates:
        agent, heard = self._who.agent, self._heard(names)
        texts = "\n".join((*(text for _, text in heard), *(rule.if_ for rule in rules)))
        return Candidates(
            rules=tuple(self._shown(rule, rules) for rule in rules), scenarios=scenarios, conversation=heard,
            terms=tuple((one.term, one.definition) for one in agent.terms.used(texts)),
            tools=tuple((name, one.tool.description) for name, one in list(agent.tools.items())[:MOST_TOOLS]
                        if one.tool.description),
            values=dict(self._values(names)))

    def _shown(self, rule: Rule, rules: Sequence[Rule]) -> RuleShown:
        last = self._who.turn.session.rule_last_turn.get(rule.id)
        rivals = self._who.agent.rivals
        return RuleShown(id=rule.id, condition=rule.if_, action=rule.then,
                         ago=0 if last is None else max(1, self._who.number - last),
                         excludes=tuple(other.id for other in rules if frozenset((rule.id, other.id)) in rivals))

    def _heard(self, names: Names) -> tuple[tuple[str, str], ...]:
        """What was said, as a model may see it: the message, and before it as much as fits."""
        seen, agent = seeing(self._who), self._who.agent
        hide = Private(agent.fields, {**names["profile"], **names["session"]}).hide if agent.personal else _open
        kept, left = [("person", hide(self._who.text[:MESSAGE]))], TOLD
        for exchange in reversed(self._who.turn.session.history):
            for role, text in (("agent", exchange.reply), ("person", "\n".join(exchange.said))):
                shown = hide(seen(text)[:SHOWN])
                left -= len(shown)
                if left < 0:
                    return tuple(reversed(kept))
                if shown:
                    kept.append((role, shown))
        return tuple(reversed(kept))

    def _values(self, names: Names) -> Iterator[tuple[str, Any]]:
        """Variables that the author shows, without texts that give orders."""
        session, screened = names["session"], self._who.agent.screened
        for variable in self._who.agent.shown:
            value = session.get(variable)
            if isinstance(value, bool | int | float) or (isinstance(value, str) and not (
                    screened and len(value) >= LEAST and orders(value))):
                yield variable, value[:SHOWN] if isinstance(value, str) else value


def _open(text: str) -> str:
    return text
