"""Times of day as people write and say them: `19:30`, `7pm`, `at seven`, `half past nine`, `um halb acht`."""

from __future__ import annotations

import re

from ruche.engine.brain.dates import Span, any_of, apart, whole
from ruche.engine.brain.numbers import NUMBER

_CLOCK = re.compile(r"(?<![\d:.])(\d{1,2})[:.h](\d{2}) *(a\.?m\.?|p\.?m\.?)?(?![\d:]|\.\d)")
_HOUR = re.compile(rf"(?<![\w:.])({NUMBER}) *(?P<half>a\.?m\.?|p\.?m\.?|o'?clock|uhr|h|heures?)(?![\w])")
_PAST = re.compile(rf"(?<!\w)(?P<part>half|quarter|\d{{1,2}}) +(?P<way>past|to) +(?P<hour>{NUMBER})"
                   r" *(?P<half>a\.?m\.?|p\.?m\.?)?(?!\w)")
_NAMED_TIMES = {"noon": "12:00", "midday": "12:00", "midi": "12:00", "mittag": "12:00",
                "midnight": "00:00", "minuit": "00:00", "mitternacht": "00:00"}
_NOON = re.compile(rf"(?<!\w)({any_of(_NAMED_TIMES)})(?!\w)")

_HOURS = (
    "one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|eins|zwei|drei|vier|fünf|sechs|sieben|acht|neun|"
    "zehn|elf|zwölf|deux|trois|quatre|cinq|sept|huit|neuf|dix|onze|una|dos|tres|cuatro|cinco|seis|siete|ocho|nueve|diez|"
    r"doce|due|tre|quattro|cinque|sei|sette|otto|nove|dieci|\d{1,2}(?![.:,]?\d)")
_MINUTES = {"fifteen": 15, "twenty": 20, "thirty": 30, "forty": 40, "forty-five": 45, "fifty": 50, "y media": 30,
            "e mezza": 30, "et demie": 30, "y cuarto": 15, "e un quarto": 15, "et quart": 15}
_AT = re.compile(
    rf"(?<!\w)(?:at(?: about| around)?|um|gegen|a las?|alle|om)\s+(?P<at>{_HOURS})"
    rf"(?:\s+(?P<minutes>{any_of(_MINUTES)}))?"
    r"(?=\s*$|\s*[.,;!?]|\s+(?:on|for|in|please|tomorrow|today|tonight|this|next|or|and|until|till|to|with|if|is|would|"
    r"works|sharp|thanks|then|bitte|für|am|morgen|heute|abends?|nachmittags|früh|wecken|geweckt|reservieren|und|oder|de|"
    r"por|para|mañana|hoy|di|per|domani|oggi|voor|op|graag)(?!\w))")
"""An hour behind the word for `at`, where nothing follows that it could count."""
_HALFWAY = re.compile(rf"(?<!\w)(?P<part>halb|viertel vor|viertel nach)\s+(?P<hour>{_HOURS})(?!\w)")
_AFTERNOON = re.compile(
    r"[ ,]*(?:uhr )?(?:in the (?:afternoon|evening)|at night|tonight|this (?:afternoon|evening)|(?:am |heute )?abends?|"
    r"(?:am )?nachmittags?|du soir|ce soir|de l'après-midi|de la (?:tarde|noche)|di sera|del pomeriggio|"
    r"'s (?:avonds|middags)|da (?:tarde|noite))(?!\w)")


def find_times(text: str) -> list[Span]:
    """(start, end, `HH:MM`) of every time of day in lower-case `text`, in order, without overlaps."""
    found: list[tuple[int, int, str | None]] = []
    found += [(m.start(), m.end(), _time(int(m[1]), int(m[2]), m[3])) for m in _CLOCK.finditer(text)]
    found += [(m.start(), m.end(), _time(whole(m[1]), 0, m["half"])) for m in _HOUR.finditer(text)]
    found += [(m.start(), m.end(), _past(m)) for m in _PAST.finditer(text)]
    found += [(m.start(), m.end(), _NAMED_TIMES[m[1]]) for m in _NOON.finditer(text)]
    found += [(m.start("at"), m.end(), _spoken(m)) for m in _AT.finditer(text)]
    found += [(m.start(), m.end(), _halfway(m)) for m in _HALFWAY.finditer(text)]
    return apart([(start, end, _later(moment, text[end:])) for start, end, moment in found if moment is not None])


def _later(moment: str, behind: str) -> str:
    """The time in the half of the day that the words behind it name."""
    hour = int(moment[:2])
    return f"{hour + 12}{moment[2:]}" if 0 < hour < 12 and _AFTERNOON.match(behind) else moment


def _spoken(match: re.Match[str]) -> str | None:
    return _time(whole(match["at"]), _MINUTES.get(match["minutes"] or "", 0), None)


def _halfway(match: re.Match[str]) -> str | None:
    """`halb acht` is half past seven."""
    hour = whole(match["hour"])
    if match["part"] == "viertel nach":
        return _time(hour, 15, None)
    return _time((hour - 1) % 24, 45 if match["part"] == "viertel vor" else 30, None)


def bare_hour(text: str) -> str | None:
    """`7` as an answer to a question for a time."""
    return _time(whole(text), 0, None)


def _time(hour: int, minute: int, half: str | None) -> str | None:
    mark = (half or "")[:1] if half and half[:1] in "ap" else ""
    if mark and not 1 <= hour <= 12:
        return None
    if mark:
        hour = hour % 12 + (12 if mark == "p" else 0)
    return f"{hour:02d}:{minute:02d}" if 0 <= hour <= 23 and 0 <= minute <= 59 else None


def _past(match: re.Match[str]) -> str | None:
    part = match["part"]
    minutes = int(part) if part.isdigit() else {"half": 30, "quarter": 15}[part]
    hour = whole(match["hour"])
    if match["way"] == "to":
        hour, minutes = hour - 1, 60 - minutes
    return _time(hour, minutes, match["half"])
