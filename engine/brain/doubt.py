"""Second thoughts: free text that was taken for an answer, until retrieval showed that it speaks of something else."""

from __future__ import annotations

from ruche.engine.brain.identify import Identified
from ruche.engine.brain.learn import Knowledge, learn
from ruche.engine.brain.retrieve import Retrieved
from ruche.engine.brain.sense import Sensed, without
from ruche.engine.brain.words import STOPWORDS

AHEAD = 0.15
"""By which a rule or a new scenario must exceed its threshold to claim a message that may be an answer."""
LIKELY = 0.7
"""Confidence up to which an answer is only likely: any short text would have done."""


def reconsider(who: Identified, sensed: Sensed, knowledge: Knowledge, retrieved: Retrieved) -> tuple[Sensed, Knowledge]:
    """What was sensed and learned, without free text that clearly means a rule or another scenario."""
    doubtful = tuple(one for one in sensed.candidates
                     if one.confidence <= LIKELY and who.agent.fields[one.field].kind == "string")
    if not doubtful or not _is_sentence(sensed) or not _means_something_else(who, retrieved):
        return sensed, knowledge
    sensed = without(sensed, doubtful)
    return sensed, learn(who, sensed)


def _is_sentence(sensed: Sensed) -> bool:
    """`Park Lane 9` is an answer, `where is the park` is none, however much both resemble a rule about parking."""
    little = STOPWORDS.get(sensed.language[:2], STOPWORDS["en"])
    return sensed.source is not None and any(word in little for word in sensed.source.words)


def _means_something_else(who: Identified, retrieved: Retrieved) -> bool:
    running = {one.scenario for one in who.instances if one.status == "active"}
    scenario = next((hit for hit in retrieved.hits.scenarios if hit.id not in running), None)
    if scenario is not None and scenario.score >= retrieved.scenario_threshold + AHEAD:
        return True
    return any(hit.score >= retrieved.threshold + AHEAD and hit.id in who.agent.rules and
               who.agent.rules[hit.id].rule.enabled and who.agent.rules[hit.id].rule.scope == "GLOBAL"
               for hit in retrieved.hits.rules[:1])
