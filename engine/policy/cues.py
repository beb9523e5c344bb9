"""Signs in a step's text and in a message that say what kind of thing is meant. English; without them it is position
and history that decide."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_STEP = {
    "greets": r"\b(hello|hi|welcome|how (can|may) i help)\b",
    "says goodbye": r"\b(goodbye|bye|farewell|see you|have a (nice|good|great))\b",
    "sounds sorry": r"\b(sorry|unfortunately|cannot|can't|could not|couldn't|unable|regret|afraid|not available|wrong|"
                    r"fail(ed)?)\b",
    "is at a loss": r"\b(understand|only able|not sure what)\b",
    "sounds glad": r"\b(great|success\w*|confirmed|booked|done|found|alright|ok|okay|thank)\b",
    "is optional": r"\b(narrow|criteria|preferences?|special|requests?|any particular|anything|optional|also|filter)\b",
}
_ASKED = {
    "name": r"\b(name|who)\b",
    "time": r"\b(when|time|hour|start|end|arriv\w+|day|check.?in|dates?)\b",
    "number": r"\b(how many|number|code|pin|size|id|many|amount)\b",
    "place": r"\b(where|from|to|location|destination|city|address|venue|departure)\b",
}
_TOLD = {
    "name": r"\b([Mm]y name|[Ii]'m|[Ii] am|[Tt]his is|[Ii]t's|[Nn]ame is|[Nn]ame's)\b|(?<!^)(?<![.?!] )\b[A-Z][a-z]+",
    "time": r"(?i)\b(\d{1,2}(:\d\d)? ?(am|pm)|noon|midnight|to(day|morrow|night)|(mon|tues|wednes|thurs|fri|satur|sun)"
            r"day|january|february|march|april|may|june|july|august|september|october|november|december|\d+(st|nd|rd|th)|"
            r"morning|evening|afternoon)\b",
    "number": r"(?i)\b(\d+|one|two|three|four|five|six|seven|eight|nine|ten)\b",
    "place": r"\b([Ii]n|[Aa]t|[Ff]rom|[Tt]o|[Nn]ear)\b (the )?[A-Z0-9]|(?i:street|avenue|\bmain\b)",
}
_ASKS = re.compile(r"\?|^\s*(please|may i|could you|provide)", re.IGNORECASE)
_YES = re.compile(r"^\W*(yes|yeah|yep|yup|sure|ok|okay|alright|right|correct|please do|sounds|perfect|great|of course|"
                  r"certainly|absolutely|definitely|go ahead|why not|fine|that works|book it)\b", re.IGNORECASE)
_NO = re.compile(r"^\W*(no|nope|nah|not|never|nothing|don't|actually no|i don't|that's all|that is all|none|"
                 r"that will be all|that'll be all|i'm good|i'm done)\b", re.IGNORECASE)
_THANKS = re.compile(r"\b(thanks?|thank you|thx|appreciate|cheers)\b", re.IGNORECASE)
_QUESTION = re.compile(r"\?|^\W*(what|when|where|who|how|why|can|could|do|does|is|are|will|which)\b", re.IGNORECASE)
_DETAIL = re.compile(r"(?<!^)(?<![.?!] )\b[A-Z][a-z]+|\d+")
_REFUSAL = re.compile(r"\b(not|no|unavailable|fail\w*|cannot|can't|unable|sorry|denied|invalid|incorrect|wrong|"
                      r"reject\w*|full|unsuccess\w*)\b", re.IGNORECASE)
_UNWELCOME = re.compile(r"\b(no|not|un\w+|fail\w*|missing|incorrect|wrong|deni\w+|declin\w+|reject\w*|refus\w*|can't|"
                        r"cannot|none|noanswer|don't)\b", re.IGNORECASE)
_IF_YES = re.compile(r"\b(yes|agree[sd]?|accept(s|ed)?|confirm(s|ed)?)\b", re.IGNORECASE)
_IF_NO = re.compile(r"\b(no|declin\w+|refus\w+)\b", re.IGNORECASE)

STEP_CUES = {name: re.compile(pattern, re.IGNORECASE) for name, pattern in _STEP.items()}
ASKED = {name: re.compile(pattern, re.IGNORECASE) for name, pattern in _ASKED.items()}
TOLD = {name: re.compile(pattern) for name, pattern in _TOLD.items()}


def asks(text: str) -> bool:
    """True for a text that wants an answer."""
    return _ASKS.search(text) is not None


def answer(said: str) -> str:
    """`yes`, `no` or empty, by how a message begins."""
    return "yes" if _YES.search(said) else "no" if _NO.search(said) else ""


def thanks(said: str) -> bool:
    return _THANKS.search(said) is not None


def is_question(said: str) -> bool:
    return _QUESTION.search(said) is not None


def details(said: str) -> int:
    """Names and numbers in a message."""
    return len(_DETAIL.findall(said))


def refuses(result: Mapping[str, Any]) -> bool:
    """True when a tool found nothing, or says in a message or status that it could not."""
    texts = [value for name, value in result.items()
             if isinstance(value, str) and ("message" in name.lower() or "status" in name.lower())]
    return not result or _REFUSAL.search(" ".join(texts)) is not None


def unwelcome(condition: str) -> bool:
    """True when a condition speaks of a refusal or a failure."""
    return _UNWELCOME.search(condition) is not None


def wanted_answer(condition: str) -> str:
    """The answer that a condition asks for: `yes`, `no` or empty."""
    return "yes" if _IF_YES.search(condition) else "no" if _IF_NO.search(condition) else ""
