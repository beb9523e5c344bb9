"""Second thoughts, once retrieval has compared the message with what the agent knows: free text that was taken for an
answer may speak of something else, and an answer in other words may mean one of the values to choose from."""

from __future__ import annotations

import math
from collections.abc import Iterator

import msgspec

from ruche.engine.brain.candidates import Candidate
from ruche.engine.brain.identify import Identified
from ruche.engine.brain.learn import Knowledge, learn, learn_more
from ruche.engine.brain.retrieve import Retrieved
from ruche.engine.brain.sense import Sensed, without
from ruche.engine.brain.words import STOPWORDS
from ruche.plugins.contracts import Hit

AHEAD = 0.15
"""By which a rule or a new scenario must exceed its threshold to claim a message that may be an answer."""
LIKELY = 0.7
"""Confidence up to which an answer is only likely: any short text would have done."""
ANSWER, ANSWER_LEAD = 0.5, 0.06
PASSING, PASSING_LEAD = 0.8, 0.15
STATEMENT, BRIEF = 1.4, 2
"""Share of the rule threshold that a listed value must reach, and by how much it must lead the next, when it was asked
for and when it was not. Of 71 answers about two values 69 pass the first pair, none of them wrong; of 181 messages
about something else 7 pass the second (SGD, events). Values of more than BRIEF words are statements, such as reasons:
what merely resembles one is another one, so that they are taken only where they were asked for and come very near."""


def reconsider(who: Identified, sensed: Sensed, knowledge: Knowledge, retrieved: Retrieved) -> tuple[Sensed, Knowledge]:
    """What was sensed and learned, without free text that clearly means a rule or another scenario, and with the listed
    values that the message means."""
    sensed, knowledge = _doubted(who, sensed, knowledge, retrieved)
    chosen = tuple(_options(who, sensed, retrieved)) if retrieved.hits.options else ()
    if not chosen:
        return sensed, knowledge
    now = tuple(one for one in chosen if one.field in sensed.asked or who.instances)
    later = tuple(one for one in chosen if one not in now)
    sensed = msgspec.structs.replace(sensed, candidates=(*sensed.candidates, *now), chosen=later)
    return sensed, learn_more(who, knowledge, now) if now else knowledge


def _options(who: Identified, sensed: Sensed, retrieved: Retrieved) -> Iterator[Candidate]:
    """The value that leads the others of its field clearly; a field that was asked for needs less to be sure of."""
    found = {one.field for one in sensed.candidates}
    by_field: dict[str, list[Hit]] = {}
    for hit in retrieved.hits.options:
        by_field.setdefault(hit.id.partition("=")[0], []).append(hit)
    for name, hits in by_field.items():
        asked = name in sensed.asked
        least, lead = _bar(who.agent.fields[name].spec.allowed, asked=asked)
        first, second = hits[0].score, hits[1].score if len(hits) > 1 else 0.0
        if name in found or (asked and not sensed.source) or first < least * retrieved.threshold:
            continue
        if round(first - second, 4) >= lead:
            value = hits[0].id.partition("=")[2]
            yield Candidate(field=name, value=value, confidence=LIKELY if asked else 0.6, start=0, end=0)


def _bar(allowed: tuple[str, ...], *, asked: bool) -> tuple[float, float]:
    """What the likeliest value must reach, as a share of the rule threshold, and by how much it must lead."""
    if all(len(value.split()) <= BRIEF for value in allowed):
        return (ANSWER, ANSWER_LEAD) if asked else (PASSING, PASSING_LEAD)
    return (STATEMENT, PASSING_LEAD) if asked else (math.inf, math.inf)


def _doubted(who: Identified, sensed: Sensed, knowledge: Knowledge, retrieved: Retrieved) -> tuple[Sensed, Knowledge]:
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
