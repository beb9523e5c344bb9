"""Free answers: a person's name, or the text itself, without the words that lead in to it."""

from __future__ import annotations

import re

_GREETING = r"(?:(?:hi|hello|hey|hallo|bonjour|hola|ciao|ol[áa]|yes|ja|oui|s[ií])\b[,.! ]*)?"
_INTRODUCED = re.compile(
    rf"(?i)^{_GREETING}(?:and +)?(?:my (?:full )?name(?:'s| is)|the name(?:'s| is)|name:|call me|je m'appelle|"
    r"mon nom est|ich heiße|mein name ist|me llamo|mi nombre es|mi chiamo|il mio nome è|mijn naam is|ik heet|"
    r"meu nome é|me chamo)\s+")
_ANYWHERE = re.compile(r"(?i)\b(?:my name is|je m'appelle|ich heiße|mein name ist|me llamo|mi chiamo|mijn naam is|"
                       r"meu nome é)\s+((?-i:[^\W\d_a-z][\w'’-]*)(?: (?-i:[^\W\d_a-z][\w'’-]*)){0,3})")
_LEAD = re.compile(rf"(?i)^{_GREETING}(?:it is|it's|that is|that's|this is|i am|i'm|ich bin|soy|sono|ik ben|sou|"
                   r"je suis|c'est|es ist)\s+")
_NAME = re.compile(r"[^\W\d_][\w'’.-]*(?: [^\W\d_][\w'’.-]*){0,4}")
_NEVER_FIRST = frozenset({"not", "no", "none", "nothing", "never", "please", "ok", "okay", "well", "oh", "what", "why",
                          "how", "who", "where", "when", "change", "make", "book", "check", "that", "this", "it",
                          "there"})
_NEVER = frozenset({"i", "you", "my", "your", "me", "is", "are", "want", "would", "the", "at", "need", "don't",
                    "i've", "request"})
"""Words that show a short message to be no name; particles such as `de` and `van` are not among them."""
_TAIL = re.compile(r"[\s.,!;]+(?:please|thanks|thank you)?[\s.,!;]*$", re.IGNORECASE)

Value = tuple[int, int, str, float]


def person_name(text: str, *, asked: bool) -> Value | None:
    """(start, end, name, confidence): introduced by words that say so, or the whole short message when `asked`."""
    match = _INTRODUCED.match(text)
    if match is None and not asked:
        found = _ANYWHERE.search(text)
        return None if found is None else (found.start(1), found.end(1), found[1].rstrip("."), 0.8)
    start = match.end() if match else _after(_LEAD, text)
    name = _TAIL.sub("", text[start:].split(",")[0])
    if not _NAME.fullmatch(name) or (match is None and not _may_be_name(name)):
        return None
    return start, start + len(name), name, 0.9 if match else 0.7


def _may_be_name(text: str) -> bool:
    words = text.lower().split()
    return len(words) <= 4 and words[0] not in _NEVER_FIRST and not _NEVER & set(words)


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
