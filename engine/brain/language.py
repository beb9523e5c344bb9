"""Which of the agent's languages a message is in: by script, else by the little words. Unknown means the first."""

from __future__ import annotations

import re

from ruche.engine.brain.words import STOPWORDS

_SCRIPTS = (
    (re.compile("[\u3040-\u30ff]"), ("ja",)), (re.compile("[\uac00-\ud7af]"), ("ko",)),
    (re.compile("[\u4e00-\u9fff]"), ("zh", "ja")), (re.compile("[\u0400-\u04ff]"), ("ru", "uk", "bg", "sr")),
    (re.compile("[\u0370-\u03ff]"), ("el",)), (re.compile("[\u0590-\u05ff]"), ("he", "yi")),
    (re.compile("[\u0600-\u06ff]"), ("ar", "fa", "ur")), (re.compile("[\u0900-\u097f]"), ("hi", "mr", "ne")),
    (re.compile("[\u0e00-\u0e7f]"), ("th",)),
)


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
    leaders = [language for language, count in zip(languages, counts, strict=True) if count == best]
    return before if before in leaders or (best == 0 and before in languages) else leaders[0]


def _by_script(text: str, languages: tuple[str, ...]) -> str | None:
    if text.isascii():
        return None
    for pattern, candidates in _SCRIPTS:
        if pattern.search(text):
            return next((language for code in candidates for language in languages if language[:2] == code),
                        languages[0])
    return None
