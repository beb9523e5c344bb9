"""Cuts a text into sentences that, joined again, are the text: the unit in which replies are checked and released."""

from __future__ import annotations

import re

_TITLES = frozenset(("dr", "mr", "mrs", "ms", "prof", "st", "mme", "mlle", "sra", "srta", "hr", "fr", "e.g", "i.e",
                     "z.b", "d.h", "u.a", "vs", "bzw", "ca", "evtl", "approx"))
"""Abbreviations after which a sentence always goes on."""
_BEFORE_FIGURES = frozenset(("no", "nr", "jan", "feb", "mar", "apr", "jun", "jul", "aug", "sep", "sept", "oct", "nov",
                             "dec", "fig", "tel", "ext", "art", "vol", "pp", "min", "max"))
"""Words that are an abbreviation only in front of a number: `No. 5`, but `The answer is no. We are sorry.`"""
_END = re.compile(r"[.!?…。！？]+[\"'”’)\]]*(?:\s+|(?<=[。！？])|$)|\n+\s*")
_LAST_WORD = re.compile(r"[^\s(\[\"'“‘]*$")


def sentences(text: str) -> list[str]:
    """The sentences with the blanks that follow them; `''.join` gives the text back. Linear in its length.

    A point after an abbreviation, an initial or a counting number (`Dr. Johnson`, `J. Smith`, `2. Step`) ends nothing.
    """
    parts: list[str] = []
    start = 0
    for end in _END.finditer(text):
        if text[end.start()] == "." and _continues(text, start, end):
            continue
        parts.append(text[start:end.end()])
        start = end.end()
    if start < len(text):
        parts.append(text[start:])
    return parts


def _continues(text: str, start: int, end: re.Match[str]) -> bool:
    if end.end() == len(text) or "\n" in end.group() or end.group().startswith(".."):
        return False
    word = _LAST_WORD.search(text[max(start, end.start() - 20):end.start()])
    last = word.group().lower() if word else ""
    following = text[end.end()]
    if last in _TITLES or following.islower() or (last in _BEFORE_FIGURES and following.isdigit()):
        return True
    if len(last) == 1 and last.isalpha():
        return last != "i"
    return last.isdigit() and len(last) <= 2 and text[start:end.start()].strip() == last
