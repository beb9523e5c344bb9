"""Which of the agent's languages a message is in: by script, else by the little words, else by what people say when
they meet, agree and part. Unknown means the first."""

from __future__ import annotations

import re

from ruche.engine.brain.words import BYE, HELLO, NO, STOPWORDS, THANKS, YES

_SCRIPTS = (
    (re.compile("[\u3040-\u30ff]"), ("ja",)), (re.compile("[\uac00-\ud7af]"), ("ko",)),
    (re.compile("[\u4e00-\u9fff]"), ("zh", "ja")), (re.compile("[\u0400-\u04ff]"), ("ru", "uk", "bg", "sr")),
    (re.compile("[\u0370-\u03ff]"), ("el",)), (re.compile("[\u0590-\u05ff]"), ("he", "yi")),
    (re.compile("[\u0600-\u06ff]"), ("ar", "fa", "ur")), (re.compile("[\u0900-\u097f]"), ("hi", "mr", "ne")),
    (re.compile("[\u0e00-\u0e7f]"), ("th",)),
)

_EVERYWHERE = frozenset({"ok", "okay", "no", "perfect", "super"})
"""Words of agreement that tell no language."""


def detect(text: str, words: tuple[str, ...], languages: tuple[str, ...], before: str) -> str:
    """The member of `languages` that `text` is in; `before` (the session's language) settles a draw.

    `words` are the lower-case words of `text`. A message in none of the languages is answered in the first.
    """
    if len(languages) == 1:
        return languages[0]
    by_script = _by_script(text, languages)
    if by_script:
        return by_script
    counts = [sum(word in STOPWORDS.get(language[:2], ()) for word in words) for language in languages]
    best = max(counts)
    if best == 0:
        said = " ".join(words)
        counts = [_greets(said, words, language[:2]) for language in languages]
        best = max(counts)
    leaders = [language for language, count in zip(languages, counts, strict=True) if count == best]
    return before if before in leaders or (best == 0 and before in languages) else leaders[0]


def _greets(said: str, words: tuple[str, ...], code: str) -> int:
    """2 for a whole greeting or answer of the language, 1 for a word of thanks or agreement, else 0."""
    if code not in HELLO:
        return 0
    if said in HELLO[code] or said in BYE[code]:
        return 2
    agreed = YES[code] | NO[code] | THANKS[code]
    return int(said in agreed - _EVERYWHERE or any(word in agreed - _EVERYWHERE for word in words))


def _by_script(text: str, languages: tuple[str, ...]) -> str | None:
    if text.isascii():
        return None
    for pattern, candidates in _SCRIPTS:
        if pattern.search(text):
            return next((language for code in candidates for language in languages if language[:2] == code),
                        languages[0])
    return None
