"""What of an agent is searched: every text that can be compared with what a person says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from ruche.storage.model.bundle import AgentBundle
from ruche.storage.model.field import InterlocutorField
from ruche.storage.model.rule import Rule
from ruche.storage.model.scenario import Scenario
from ruche.storage.model.wording import Intent

CHUNK_CHARACTERS = 800
MOST_OPTIONS = 40
"""Allowed values of a field up to which a message is compared with them by meaning."""

_PARAGRAPH = re.compile(r"\n\s*\n")
_LETTERS = re.compile(r"[^\W\d_]{3}")
_HEADING = re.compile(r"#{1,6}\s")
WHOLE_CHARACTERS = 1_800
"""A file under one title stays whole up to WHOLE_CHARACTERS: a document is found more often than pieces of it (with
LONG_QUERIES, nDCG 37 to 44 on 698 documents of 1,200 characters)."""
_HEADINGS = re.compile(r"(?m)^#{1,6}\s")


class Passage(NamedTuple):
    """One text of one item. `scope` is the scenario or `scenario/step` where the item counts, None for everywhere."""

    kind: str
    id: str
    text: str
    scope: str | None = None


def passages(bundle: AgentBundle) -> list[Passage]:
    """All texts of an agent, by kind (rule, intent, scenario, transition, option, knowledge) and in the author's order.

    Rules stand on their condition and examples, never on the action. Disabled rules and scenarios are left out.
    """
    found: list[Passage] = []
    for rule in bundle.rules:
        if rule.enabled:
            found.extend(_rule(rule))
    for intent in bundle.intents:
        found.extend(_intent(intent))
    for scenario in bundle.scenarios:
        if scenario.enabled:
            found.extend(_scenario(scenario))
    collected = {name for scenario in bundle.scenarios for step in scenario.steps for name in step.collects}
    for field in bundle.fields:
        if field.name in collected:
            found.extend(_options(field))
    found.extend(Passage("knowledge", chunk, text) for chunk, text in knowledge_chunks(bundle.knowledge).items())
    return found


def vocabulary(bundle: AgentBundle) -> Iterator[str]:
    """Texts with the words that an agent knows: what is searched, its terms, and the values that its fields take."""
    yield from (passage.text for passage in passages(bundle))
    for term in bundle.glossary:
        yield from (term.term, *term.aliases)
    for field in bundle.fields:
        yield from (*field.allowed, *field.examples)


def knowledge_chunks(knowledge: dict[str, str]) -> dict[str, str]:
    """`file#number` to text: a short file under one title, else paragraphs joined up to about 800 characters, each
    under the heading it stands below."""
    return {f"{file}#{number}": text for file in sorted(knowledge)
            for number, text in enumerate(_chunks(knowledge[file]), start=1)}


def subject(name: str) -> str:
    """A name as a sentence that compares well with what people say: "the user asks about card arrival"."""
    return "the user asks about " + re.sub(r"[\W_]+", " ", name).strip().lower()


def _rule(rule: Rule) -> Iterator[Passage]:
    scope = None if rule.scope == "GLOBAL" else rule.scope_id
    for text in (rule.if_, *rule.examples):
        yield Passage("rule", rule.id, text, scope)


def _intent(intent: Intent) -> Iterator[Passage]:
    for text in (intent.description or subject(intent.id), *intent.examples):
        yield Passage("intent", intent.id, text)


def _scenario(scenario: Scenario) -> Iterator[Passage]:
    for text in (scenario.entry, *scenario.examples):
        yield Passage("scenario", scenario.id, text)
    for step in scenario.steps:
        here = f"{scenario.id}/{step.id}"
        for transition in step.next:
            if transition.if_:
                yield Passage("transition", f"{here}>{transition.to}", transition.if_, here)


def _options(field: InterlocutorField) -> Iterator[Passage]:
    """The values to choose from, each under `field=value`; numbers and codes mean nothing beside others."""
    if 2 <= len(field.allowed) <= MOST_OPTIONS and all(_LETTERS.search(value) for value in field.allowed):
        for value in field.allowed:
            yield Passage("option", f"{field.name}={value}", value, f"field/{field.name}")


def _chunks(text: str) -> Iterator[str]:
    if len(text) <= WHOLE_CHARACTERS and _one_title(text):
        yield text.strip()
        return
    heading, held = "", ""
    for paragraph in _paragraphs(text):
        if _HEADING.match(paragraph) or len(held) + len(paragraph) > CHUNK_CHARACTERS:
            if held and held != heading:
                yield held
            heading = paragraph if _HEADING.match(paragraph) and "\n" not in paragraph else heading
            held = paragraph if paragraph == heading else _joined(heading, paragraph)
        else:
            held = _joined(held, paragraph)
    if held and held != heading:
        yield held


def _one_title(text: str) -> bool:
    """True when the text begins with a heading, says more than that, and no other heading is of its level or above."""
    levels = [len(found[0].strip()) for found in _HEADINGS.finditer(text)]
    first = text.strip().startswith("#") and "\n" in text.strip()
    return bool(levels) and first and levels.count(levels[0]) == 1 and min(levels) == levels[0]


def _paragraphs(text: str) -> Iterator[str]:
    """Paragraphs without blank ends; one that is longer than a chunk comes in pieces, cut between words."""
    for paragraph in _PARAGRAPH.split(text.replace("\r\n", "\n")):
        rest = paragraph.strip()
        while len(rest) > CHUNK_CHARACTERS:
            cut = rest.rfind(" ", CHUNK_CHARACTERS // 2, CHUNK_CHARACTERS)
            cut = cut if cut > 0 else CHUNK_CHARACTERS
            yield rest[:cut].strip()
            rest = rest[cut:].strip()
        if rest:
            yield rest


def _joined(first: str, second: str) -> str:
    return f"{first}\n\n{second}" if first else second
