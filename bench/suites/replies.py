"""Replies that keep or break an instruction, written for the suite `constraints`: at the limit, one beside it, and far
from it. They know what an instruction means; how the engine judges it they do not."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

from bench.suites.sentences import SENTENCES

Options = dict[str, Any]
Pair = tuple[list[str], list[str]]
"""(replies that keep the instruction, replies that break it)"""

_OPENINGS = ("we sent the parcel this morning", "your room is ready from three", "the shop is open until nine",
             "our driver waits at the gate", "the form is in your mailbox now", "a new card is on its way")
_ENDINGS = ("and it will reach you soon", "so there is nothing left to do", "and you can change it at any time",
            "while the old one stays valid", "and that costs you nothing", "once you have signed it")
_PLAIN = ("parcel", "room", "shop", "driver", "gate", "form", "card", "morning", "letter", "table", "house", "street")


def written(kind: str, options: Options, prompt: str, source: random.Random) -> Pair:
    """Both sorts of replies for an instruction; none for a kind that is not known here."""
    make = _MAKERS.get(kind)
    return ([], []) if make is None else make({"prompt": prompt, **options}, source)


def _sentence(source: random.Random) -> str:
    return f"{source.choice(_OPENINGS).capitalize()} {source.choice(_ENDINGS)}."


def _text(source: random.Random, count: int = 3) -> str:
    return " ".join(_sentence(source) for _ in range(count))


def _words(count: int, source: random.Random) -> str:
    """Exactly so many words."""
    chosen = [source.choice(_PLAIN) for _ in range(max(count, 0))]
    return (" ".join(chosen).capitalize() + ".") if chosen else ""


def _around(relation: str, number: int, make: Callable[[int], str], *, least: int = 0) -> Pair:
    """Replies with a number of things on either side of the limit."""
    low, high = [max(number - 1, 0), max(number // 2, 0)], [number, number + 1, number + 3]
    low = [count for count in dict.fromkeys(low) if least <= count < number]
    kept, broken = (low, high) if relation == "less than" else (high, low)
    return [make(count) for count in kept], [make(count) for count in broken]


def _comma(o: Options, source: random.Random) -> Pair:
    text = _text(source)
    return [text, _sentence(source)], [text.replace(" and", ", and", 1) + " Thanks, really.", "Well, " + text]


def _forbidden(o: Options, source: random.Random) -> Pair:
    text = _safe(source, o["forbidden_words"])
    broken = [f"{text} This is about {word} too." for word in o["forbidden_words"]]
    return [text], [*broken, f"{o['forbidden_words'][0].upper()}! {text}"]


def _safe(source: random.Random, words: list[str]) -> str:
    """Text without any of the words."""
    banned = {word.lower() for word in words}
    sentences = [f"{one.capitalize()} {other}." for one in _OPENINGS for other in _ENDINGS
                 if not any(word in f"{one} {other}" for word in banned)]
    return " ".join(source.sample(sentences, 2)) if len(sentences) > 1 else "Hm."


def _present(o: Options, source: random.Random) -> Pair:
    words = list(o["keywords"])
    text = _safe(source, words)
    complete = f"{text} It is about {' and '.join(words)}."
    lacking = [f"{text} It is about {' and '.join(words[:place] + words[place + 1:]) or 'it'}."
               for place in range(len(words))
               if not any(words[place].lower() in other.lower() for other in words[:place] + words[place + 1:])]
    return [complete, complete.upper()], lacking


def _frequent(o: Options, source: random.Random) -> Pair:
    text = _safe(source, [o["keyword"]])
    return _around(o["relation"], o["frequency"], lambda count: f"{text} " + " ".join([o["keyword"] + "."] * count))


def _letters(o: Options, source: random.Random) -> Pair:
    letter = o["letter"]
    filler = next(char for char in "xzqk" if char != letter.lower())
    make = (lambda count: " ".join([filler * 3, *([letter] * count)])) if letter.strip() else lambda count: ""
    return _around(o["let_relation"], o["let_frequency"], make)


def _capitals(o: Options, source: random.Random) -> Pair:
    return _around(o["capital_relation"], o["capital_frequency"],
                   lambda count: " ".join(["we wrote to you today", *["PLEASE"] * count]))


def _case(upper: bool) -> Callable[[Options, random.Random], Pair]:
    def make(o: Options, source: random.Random) -> Pair:
        text = _text(source)
        right, wrong = (text.upper(), text.lower()) if upper else (text.lower(), text.upper())
        other = SENTENCES["de"]
        mixed = right[:-8] + (right[-8:].lower() if upper else right[-8:].upper())
        return [right], [wrong, text, mixed, other.upper() if upper else other.lower()]
    return make


def _language(o: Options, source: random.Random) -> Pair:
    own = SENTENCES.get(o["language"])
    others = [SENTENCES[code] for code in source.sample(sorted(SENTENCES), 6) if code != o["language"]]
    return [own] if own else [], [*others, *([_text(source)] if o["language"] != "en" else [])]


def _sized(o: Options, source: random.Random) -> Pair:
    return _around(o["relation"], o["num_words"], lambda count: _words(count, source), least=1)


def _sentences(o: Options, source: random.Random) -> Pair:
    return _around(o["relation"], o["num_sentences"], lambda count: _text(source, count), least=1)


def _paragraphs(o: Options, source: random.Random) -> Pair:
    def make(count: int) -> str:
        return "\n***\n".join(_sentence(source) for _ in range(count))
    number = o["num_paragraphs"]
    return [make(number)], [make(number + 1), *([make(number - 1)] if number > 1 else [])]


def _nth(o: Options, source: random.Random) -> Pair:
    number, place, word = o["num_paragraphs"], o["nth_paragraph"] - 1, o["first_word"]

    def make(count: int, at: int, first: str) -> str:
        parts = [_sentence(source) for _ in range(count)]
        if at < count:
            parts[at] = f"{first.capitalize()} {parts[at]}"
        return "\n\n".join(parts)
    return [make(number, place, word)], [make(number, place, "otherwise"), make(number + 1, place, word)]


def _highlights(o: Options, source: random.Random) -> Pair:
    return _around("at least", o["num_highlights"],
                   lambda count: " ".join([_sentence(source), *["*remember this*."] * count]))


def _bullets(o: Options, source: random.Random) -> Pair:
    def make(count: int) -> str:
        return "\n".join(["Here they are:", *[f"* {source.choice(_OPENINGS)}" for _ in range(count)]])
    number = o["num_bullets"]
    return [make(number)], [make(number + 1), make(number - 1)]


def _title(o: Options, source: random.Random) -> Pair:
    text = _text(source)
    return [f"<<Good news>>\n{text}"], [text, f"<Good news>\n{text}", f"# Good news\n{text}"]


def _sections(o: Options, source: random.Random) -> Pair:
    return _around("at least", o["num_sections"], lambda count: "\n".join(
        f"{o['section_spliter']} {number + 1}\n{_sentence(source)}" for number in range(count)) or _sentence(source))


def _json(o: Options, source: random.Random) -> Pair:
    right = json.dumps({"answer": _sentence(source), "open": True})
    return [right, f"```json\n{right}\n```"], [right[:-1], _sentence(source), f"Here you are: {right}"]


def _constrained(o: Options, source: random.Random) -> Pair:
    return (["My answer is yes.", "My answer is no.", "My answer is maybe."],
            ["Yes.", "My answer is perhaps.", _sentence(source)])


def _postscript(o: Options, source: random.Random) -> Pair:
    text = _text(source)
    return [f"{text}\n{o['postscript_marker']} Bring the card."], [text, f"{text}\nNB: Bring the card."]


def _placeholders(o: Options, source: random.Random) -> Pair:
    return _around("at least", o["num_placeholders"],
                   lambda count: " ".join([_sentence(source), *["[address]"] * count]))


def _ending(o: Options, source: random.Random) -> Pair:
    text, end = _text(source), o["end_phrase"]
    return [f"{text} {end}"], [text, f"{end} {text}", f"{text} {end} Or is there?"]


def _quoted(o: Options, source: random.Random) -> Pair:
    text = _text(source)
    return [f'"{text}"'], [text, f'"{text}', f'"{text}" she said.']


def _two(o: Options, source: random.Random) -> Pair:
    one, other = _text(source), _text(source) + " Truly."
    return [f"{one}\n******\n{other}"], [one, f"{one}\n***\n{other}", f"{one}\n******\n{other}\n******\n{one}"]


def _repeated(o: Options, source: random.Random) -> Pair:
    prompt, text = o["prompt_to_repeat"], _text(source)
    return [f"{prompt}\n{text}"], [text, f"{text}\n{prompt}"]


_MAKERS: dict[str, Callable[[Options, random.Random], Pair]] = {
    "punctuation:no_comma": _comma, "keywords:forbidden_words": _forbidden, "keywords:existence": _present,
    "keywords:frequency": _frequent, "keywords:letter_frequency": _letters,
    "change_case:capital_word_frequency": _capitals, "change_case:english_lowercase": _case(upper=False),
    "change_case:english_capital": _case(upper=True), "language:response_language": _language,
    "length_constraints:number_words": _sized, "length_constraints:number_sentences": _sentences,
    "length_constraints:number_paragraphs": _paragraphs, "length_constraints:nth_paragraph_first_word": _nth,
    "detectable_format:number_highlighted_sections": _highlights, "detectable_format:number_bullet_lists": _bullets,
    "detectable_format:title": _title, "detectable_format:multiple_sections": _sections,
    "detectable_format:json_format": _json, "detectable_format:constrained_response": _constrained,
    "detectable_content:postscript": _postscript, "detectable_content:number_placeholders": _placeholders,
    "startend:end_checker": _ending, "startend:quotation": _quoted, "combination:two_responses": _two,
    "combination:repeat_prompt": _repeated,
}
