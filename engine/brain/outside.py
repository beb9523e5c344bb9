"""A reply that another program made, judged as if a model of the agent had written it; nothing is said or kept."""

from __future__ import annotations

from typing import NamedTuple

from ruche.engine.brain.calls import Enforcing
from ruche.engine.brain.enforce import evaluated
from ruche.engine.brain.gate import Gate, Likeness
from ruche.engine.brain.identify import Identified
from ruche.engine.brain.judge import Judge
from ruche.engine.brain.learn import learn
from ruche.engine.brain.match import match
from ruche.engine.brain.names import names_of
from ruche.engine.brain.retrieve import retrieve
from ruche.engine.brain.sense import sense
from ruche.engine.brain.sources import found_of
from ruche.plugins.contracts import Retrieval, Selector
from ruche.plugins.tape import Tape
from ruche.storage.model.turn import Enforcement, RuleMatch


class Evaluated(NamedTuple):
    """What the agent's rules say of a reply to these messages."""

    enforcement: Enforcement
    rules: tuple[RuleMatch, ...]
    language: str
    configuration: str
    version: int


async def judged(who: Identified, reply: str, retrieval: Retrieval, threshold: float, selector: Selector,
                 service: Enforcing, tape: Tape, judge: Judge | None, likeness: Likeness | None) -> Evaluated:
    """By every GLOBAL hard rule, and by the rules that the messages match."""
    sensed = sense(who)
    retrieved = await retrieve(who, retrieval, threshold, tape)
    names = names_of(who, learn(who, sensed), sensed.language, retrieved.intent)
    matched = await match(who, retrieved, names, selector)
    gate = Gate(who, matched, names, sensed.language, frozenset(), service, tape, judge,
                found_of(who.agent.authored, names, []), likeness)
    enforcement = Enforcement(risk="GREEN") if gate.idle else evaluated(await gate.judge(reply, model=True))
    return Evaluated(enforcement, matched.matches(), sensed.language, who.agent.configuration, who.agent.version)
