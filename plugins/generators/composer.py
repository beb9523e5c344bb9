"""The generator that needs no model: it makes one reply of the plan's contributions, the same one every time.

What is said once is not said again, statements come before questions, and only what the author wrote is said.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any

from ruche.plugins.contracts import Generated, Prompt
from ruche.plugins.enforcers.reading import plain
from ruche.plugins.sentences import sentences

_RANK = {"INFORM": 0, "ACTION_HINT": 1, "CONFIRM": 2, "ASK": 3}
_SPEAKABLE = re.compile(
    r"^\s*(?:please\s+)?(?:tell|inform|remind|assure|let)\s+(?:the\s+\w+|them|him|her)\s+(?:know\s+)?that\s+(?P<a>.+)$"
    r"|^\s*(?:please\s+)?(?:say|explain|answer|reply|mention|respond)\s+that\s+(?P<b>.+)$"
    r"|\b(?:say|answer|reply|respond|ask)(?:\s+with)?:?\s+[\"“](?P<c>[^\"”]+)[\"”]", re.IGNORECASE | re.DOTALL)
_OPENERS = re.compile(
    r"^(?:(?P<apology>(?:i(?:'m| am)|we(?:'re| are)) (?:very |so |really )?sorry|sorry)(?=,)"
    r"|(?P<greeting>hello|hi|good (?:morning|afternoon|evening))(?=[,!])"
    r"|(?P<assent>sure|of course|certainly|okay|ok|great|all right|understood)(?=[,!.])"
    r"|(?P<thanks>thanks|thank you)(?=[,!]))[,!.]\s+", re.IGNORECASE)
GREETING = 100
"""Priority from which a contribution greets and answers nothing."""
_NOISE = re.compile(r"[\W_]+")
_FINISHED = (".", "!", "?", "…", ":", ";", "。", "！", "？", ")", '"', "”")


class Composer:
    """Speaks a plan. Deterministic, immediate, without limits of its own."""

    name = "composer"

    async def generate(self, prompt: Prompt) -> Generated:
        return Generated(text=compose(prompt.plan), model=self.name)

    async def stream(self, prompt: Prompt) -> AsyncIterator[str]:
        for sentence in sentences(compose(prompt.plan)):
            yield sentence


def compose(plan: dict[str, Any]) -> str:
    """The reply to a plan; its `unmatched` text when no contribution can be said, and its `refusal` where all that
    would answer must be avoided. A question is said whole: nobody says yes to what was left out of it."""
    speech = _Speech(plan.get("must_avoid", ()))
    spoken = [(part, text) for part in _ordered(plan.get("contributions", ())) if (text := _spoken(part))]
    statements = [pair for pair in spoken if not _asks(*pair)]
    heard = [speech.say(text) for _, text in statements]
    answers = [said for (part, _), said in zip(statements, heard, strict=True) if part.get("priority", 0) < GREETING]
    if answers and not any(answers):
        speech.say(str(plan.get("refusal", "")))
    for text in plan.get("must_include", ()):
        if not speech.has(text) and not any(_key(text) in _key(other) for _, other in spoken):
            speech.say(text)
    for part, text in (pair for pair in spoken if _asks(*pair)):
        speech.say(text, whole=part["kind"] in ("ASK", "CONFIRM"))
    return speech.text() or str(plan.get("unmatched", ""))


def _ordered(contributions: Any) -> list[dict[str, Any]]:
    """By kind, then priority descending, then as planned."""
    return sorted(contributions, key=lambda part: (_RANK.get(part["kind"], 1), -part.get("priority", 0)))


def _spoken(part: dict[str, Any]) -> str:
    """What can be said of a contribution. A hint is an instruction: only what it says to say is said."""
    text = str(part["text"]).strip()
    if part["kind"] != "ACTION_HINT":
        return text
    found = _SPEAKABLE.search(text)
    quoted = next((group for group in found.groups() if group), "") if found else ""
    return quoted[:1].upper() + quoted[1:]


def _asks(part: dict[str, Any], text: str) -> bool:
    return part["kind"] in ("ASK", "CONFIRM") or text.endswith(("?", "？"))


def _key(text: str) -> str:
    """What two sentences that say the same have in common."""
    return _NOISE.sub(" ", plain(text)).strip()


class _Speech:
    """The reply so far: sentences with their separators, what was said, and which openers were used."""

    def __init__(self, avoided: Any) -> None:
        self._parts: list[str] = []
        self._said: set[str] = set()
        self._openers: set[str] = set()
        self._avoided = [key for key in map(_key, avoided) if key]

    def say(self, text: str, *, whole: bool = False) -> bool:
        """Add a contribution, without the sentences that were said already or (unless `whole`) must be avoided. False
        when nothing may be said of it."""
        parts = [part for part in sentences(text) if whole or not self._avoids(part)]
        said = [part for part in map(self._sentence, parts) if part]
        if not said:
            return bool(parts)
        if self._parts:
            self._parts[-1] = _closed(self._parts[-1])
        said[-1] = said[-1].rstrip()
        self._parts.extend(said)
        return True

    def has(self, text: str) -> bool:
        return _key(text) in _key("".join(self._parts))

    def text(self) -> str:
        return "".join(self._parts).strip()

    def _avoids(self, sentence: str) -> bool:
        if not self._avoided:
            return False
        words = f" {_key(sentence)} "
        return any(f" {avoided} " in words for avoided in self._avoided)

    def _sentence(self, sentence: str) -> str:
        key = _key(sentence)
        if key in self._said:
            return ""
        self._said.add(key)
        return self._without_opener(sentence)

    def _without_opener(self, sentence: str) -> str:
        """The sentence without its `I am sorry,` or `Sure,` when an earlier one began with such a word."""
        found = _OPENERS.match(sentence)
        if not found:
            return sentence
        kind = found.lastgroup or ""
        if kind not in self._openers and not (kind == "greeting" and self._parts):
            self._openers.add(kind)
            return sentence
        rest = sentence[found.end():]
        return rest[:1].upper() + rest[1:]


def _closed(text: str) -> str:
    """A sentence that another may follow: with an end mark and one blank, or its line break."""
    if text.endswith("\n"):
        return text
    bare = text.rstrip()
    return f"{bare} " if bare.endswith(_FINISHED) else f"{bare}. "
