"""What the agent's knowledge says to a question that nothing else answers: sentences of its author, as they stand."""

from __future__ import annotations

import re

from ruche.engine.brain.contributions import PRIORITY, Contribution, Speaker
from ruche.engine.brain.retrieve import Retrieved
from ruche.engine.brain.signals import words_of
from ruche.engine.brain.words import STOPWORDS
from ruche.plugins.sentences import sentences

LONGEST = 320
"""Characters that are said of one passage, in whole sentences."""
_STEM = 5
"""Characters by which two forms of a word are taken for one."""
_MARKS = re.compile(r"^\s*(?:#{1,6}\s+|[-*+]\s+|>\s*|\d+[.)]\s+)", re.MULTILINE)
_HEADING = re.compile(r"^#{1,6}\s.*$", re.MULTILINE)


def of_knowledge(speaker: Speaker, retrieved: Retrieved) -> list[Contribution]:
    """The sentences of the likeliest passage that speak of what the message asks. Nothing where no passage is like
    enough, or has a word in common with the message."""
    agent = speaker.who.agent
    head = agent.bundle.agent
    needed = retrieved.threshold if head.knowledge_threshold is None else head.knowledge_threshold
    asked = _stems(speaker.who.text, speaker.language)
    for hit in retrieved.hits.knowledge[:3]:
        if hit.score < needed:
            break
        said = _spoken(agent.passages.get(hit.id, ""), asked, speaker.language)
        if said:
            speaker.notes_of["knowledge"] = {"passage": hit.id, "score": hit.score}
            return [Contribution(kind="INFORM", text=said, priority=PRIORITY["INFORM"])]
    return _meaning(speaker)


def _meaning(speaker: Speaker) -> list[Contribution]:
    """The definition of the one term that a question asks about."""
    used = speaker.who.agent.terms.used(speaker.who.text) if "?" in speaker.who.text else []
    if len(used) != 1:
        return []
    speaker.notes_of["term"] = used[0].term
    return [Contribution(kind="INFORM", text=used[0].definition, priority=PRIORITY["INFORM"])]


def _spoken(passage: str, asked: frozenset[str], language: str) -> str:
    """The sentences from the one that has most of the asked words on, as many as may be said."""
    text = _MARKS.sub("", _HEADING.sub("", passage)).strip()
    parts = [" ".join(part.split()) for part in sentences(text)]
    parts = [part for part in parts if part]
    shares = [len(asked & _stems(part, language)) for part in parts]
    heading = asked & _stems(" ".join(_HEADING.findall(passage)), language)
    if not parts or not (max(shares) or heading):
        return ""
    first = shares.index(max(shares))
    said = parts[first]
    for part in parts[first + 1:]:
        if len(said) + len(part) >= LONGEST:
            break
        said = f"{said} {part}"
    return said if said.endswith((".", "!", "?", "…")) else f"{said}."


def _stems(text: str, language: str) -> frozenset[str]:
    little = STOPWORDS.get(language[:2], STOPWORDS["en"])
    words = [word for word in words_of(text.lower()) if word not in little and len(word) > 2]
    return frozenset((word[:-1] if word.endswith("s") and len(word) > 3 else word)[:_STEM] for word in words)
