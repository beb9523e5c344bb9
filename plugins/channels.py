"""The built-in channels: how long each waits for more (specification section 3), and how it shows a reply."""

from __future__ import annotations

import re
from typing import NamedTuple

from ruche.plugins.sentences import sentences

_RULES = (
    (re.compile(r"```[^\n`]*\n(.*?)```", re.DOTALL), r"\1"),
    (re.compile(r"`([^`\n]+)`"), r"\1"),
    (re.compile(r"!?\[([^\[\]\n]{1,500})\]\(([^()\[\]\s]{1,2000})\)"), r"\1 (\2)"),
    (re.compile(r"(?m)^ {0,3}#{1,6} +"), ""),
    (re.compile(r"(?m)^ {0,3}> ?"), ""),
    (re.compile(r"(?m)^( *)[*+-] +"), r"\1- "),
    (re.compile(r"\*\*([^*\n]+)\*\*|__([^_\n]+)__"), r"\1\2"),
    (re.compile(r"(?<![\w*])\*(?=\S)([^*\n]+)(?<=\S)\*(?![\w*])|(?<![\w_])_(?=\S)([^_\n]+)(?<=\S)_(?![\w_])"), r"\1\2"),
    (re.compile(r"~~([^~\n]+)~~"), r"\1"),
)


class BuiltInChannel(NamedTuple):
    """A channel by its figures. `limit`: characters of one message, 0 for none; `markdown`: shown as written."""

    name: str
    window_ms: int
    limit: int = 0
    markdown: bool = False

    def format(self, text: str) -> str:
        """The reply as this channel shows it: without Markdown where the channel has none."""
        return text if self.markdown else strip_markdown(text)

    def split(self, text: str) -> list[str]:
        """The formatted reply in messages that the channel takes; cut at sentences, else words, else anywhere."""
        return split_text(self.format(text), self.limit)


def built_in_channels() -> dict[str, BuiltInChannel]:
    """By name; `unknown` serves for every name that is not listed."""
    channels = (
        BuiltInChannel("whatsapp", 1_200, 4_096), BuiltInChannel("telegram", 1_000, 4_096, markdown=True),
        BuiltInChannel("sms", 800, 160), BuiltInChannel("slack", 800, 40_000, markdown=True),
        BuiltInChannel("teams", 800, 28_000, markdown=True), BuiltInChannel("web", 600, 10_000, markdown=True),
        BuiltInChannel("email", 0), BuiltInChannel("voice", 0, 500), BuiltInChannel("api", 0, markdown=True),
        BuiltInChannel("unknown", 800),
    )
    return {channel.name: channel for channel in channels}


def strip_markdown(text: str) -> str:
    """The words without their marks; a link keeps its address in brackets."""
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    return text


def split_text(text: str, limit: int) -> list[str]:
    """Pieces of at most `limit` characters, blanks at the cuts left out; one piece when `limit` is 0."""
    if not limit or len(text) <= limit:
        return [text] if text else []
    pieces: list[str] = []
    current = ""
    for part in _parts(text, limit):
        if len((current + part).rstrip()) > limit:
            pieces.append(current.strip())
            current = part.lstrip()
        else:
            current += part
    pieces.append(current.strip())
    return [piece for piece in pieces if piece]


def _parts(text: str, limit: int) -> list[str]:
    """Sentences, those that are too long as words, those that are too long as slices."""
    parts: list[str] = []
    for sentence in sentences(text):
        words = [sentence] if len(sentence.rstrip()) <= limit else re.findall(r"\S+\s*|\s+", sentence)
        for word in words:
            parts.extend([word] if len(word.rstrip()) <= limit
                         else [word[at:at + limit] for at in range(0, len(word), limit)])
    return parts
