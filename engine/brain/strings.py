"""Free answers: a person's name, or the text itself, without the words that lead in to it."""

from __future__ import annotations

import re

_GREETING = r"(?:(?:hi|hello|hey|hallo|bonjour|hola|ciao|ol[áa]|yes|ja|oui|s[ií])\b[,.! ]*)?"
_SAID = re.compile(
    r"(?i)\b(?:my (?:full |first |last )?name(?:'s|’s| is)|the name(?:'s|’s| is)|name:|call me|je m'appelle|"
    r"mon nom est|ich heiße|mein name ist|me llamo|mi nombre es|mi chiamo|il mio nome è|mijn naam is|ik heet|"
    r"meu nome é|me chamo)\s+")
"""Words after which a name follows, however it is written."""
_HINTED = re.compile(
    r"(?i)(?:^|[.!?,;]\s*|\b(?:hi|hello|hey|hallo|bonjour|hola|ciao)\s+)"
    r"(?:i am|i'm|i’m|this is|it is|it's|ich bin|hier ist|je suis|c'est|soy|sono|ik ben|sou)\s+")
"""Words after which a name may follow: only what is written as one counts."""
_AFTERWARDS = re.compile(
    r"\b((?:[^\W\d_a-z][\w'’-]*)(?: [^\W\d_a-z][\w'’-]*){0,3}) (?:is|'s) (?i:my (?:full )?name)\b")
_WORD = re.compile(r"[^\W\d_][\w'’-]*\.?")
_LEAD = re.compile(rf"(?i)^{_GREETING}(?:it is|it's|that is|that's|this is|i am|i'm|ich bin|soy|sono|ik ben|sou|"
                   r"je suis|c'est|es ist)\s+")
_NAME = re.compile(r"[^\W\d_][\w'’.-]*(?: [^\W\d_][\w'’.-]*){0,4}")
_NEVER_FIRST = frozenset({"not", "no", "none", "nothing", "never", "please", "ok", "okay", "well", "oh", "what", "why",
                          "how", "who", "where", "when", "change", "make", "book", "check", "that", "this", "it",
                          "there"})
_NEVER = frozenset({"i", "you", "my", "your", "me", "is", "are", "want", "would", "the", "at", "need", "don't",
                    "i've", "request"})
"""Words that show a short message to be no name; particles such as `de` and `van` are not among them."""
_BEHIND = frozenset({"and", "but", "so", "from", "with", "for", "in", "on", "to", "here", "speaking",
                     "calling", "again", "please", "thanks", "thank", "und", "aber", "et", "mais", "y", "pero", "e",
                     "ma", "en", "maar", "i'm", "i'd", "i'll"}) | _NEVER
"""Words with which something else begins behind a name."""
_MOST_WORDS = 4
_TAIL = re.compile(r"[\s.,!;]+(?:please|thanks|thank you)?[\s.,!;]*$", re.IGNORECASE)

Value = tuple[int, int, str, float]


def says_name(text: str) -> bool:
    """True when words that say so introduce a name: `my name is`."""
    return _SAID.search(text) is not None


def person_name(text: str, *, asked: bool, hinted: bool = True) -> Value | None:
    """(start, end, name, confidence): introduced by words that say so, wherever they stand, by words that hint at it,
    or the whole short message when `asked`."""
    found = _introduced(text)
    if found is None and hinted:
        found = _after_hint(text)
    return _whole(text) if found is None and asked else found


def _introduced(text: str) -> Value | None:
    match = _SAID.search(text)
    if match is not None:
        return _words(text, match.end(), 0.9)
    before = _AFTERWARDS.search(text)
    return None if before is None else (before.start(1), before.end(1), before[1], 0.9)


def _after_hint(text: str) -> Value | None:
    for match in _HINTED.finditer(text):
        found = _words(text, match.end(), 0.75)
        if found is not None and all(word[0].isupper() for word in found[2].split()):
            return found
    return None


def _words(text: str, start: int, confidence: float) -> Value | None:
    """The words from `start` on that may be a name, up to one with which something else begins."""
    end, count = start, 0
    while count < _MOST_WORDS and (word := _WORD.match(text, end + (count > 0))) is not None:
        if (count and text[end] != " ") or word[0].lower().rstrip(".") in (_BEHIND if count else _NEVER_FIRST | _NEVER):
            break
        end, count = word.end(), count + 1
        if word[0].endswith(".") and len(word[0]) > 3:
            break  # a full stop, not `Dr.`
    name = text[start:end].rstrip(".")
    return (start, start + len(name), name, confidence) if name else None


def _whole(text: str) -> Value | None:
    start = _after(_LEAD, text)
    name = _TAIL.sub("", text[start:].split(",")[0])
    return (start, start + len(name), name, 0.7) if _NAME.fullmatch(name) and _may_be_name(name) else None


def _may_be_name(text: str) -> bool:
    words = text.lower().split()
    return len(words) <= 4 and len(text) > 1 and words[0] not in _NEVER_FIRST and not _NEVER & set(words)


def free_text(text: str, label: str) -> Value | None:
    """The answer to a question for `label`, when it is short enough to be one."""
    start = _after(_LEAD, text)
    named = re.match(rf"(?i)(?:the|my|our) {re.escape(label)} (?:is|would be)\s+", text)
    start = named.end() if named else start
    value = _TAIL.sub("", text[start:]).strip()
    if not value or len(value) > 200 or len(value.split()) > 25:
        return None
    return start, start + len(value), value, 0.7


def _after(lead: re.Pattern[str], text: str) -> int:
    match = lead.match(text)
    return match.end() if match else 0
