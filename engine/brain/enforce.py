"""Phase 10: nothing leaves that breaks a hard rule: the final bytes are judged, after all formatting, and fail closed.

What is sent when the draft may not be: one more draft where a model speaks, the first fallback that passes, the agent's
refusal, the engine's own, and if the rules forbid even that, nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from ruche.engine.brain.contributions import Speaker
from ruche.engine.brain.gate import Gate, Judged
from ruche.engine.brain.match import Matched
from ruche.engine.brain.sayings import LAST_REFUSALS
from ruche.engine.brain.speak import Spoken, Voice
from ruche.plugins.contracts import Stage
from ruche.storage.model.turn import Enforcement, Risk, Usage


class Enforced(msgspec.Struct, frozen=True, kw_only=True):
    """What is said. `text` is, byte for byte, what was judged last."""

    text: str
    segments: tuple[str, ...]
    enforcement: Enforcement
    usage: Usage
    blocked: bool = False
    facts: dict[str, Any] = {}
    """What a model read in the text that was judged last."""
    fault: str = ""
    """Why the generator did not speak, or broke off, where it was to."""


async def enforce(spoken: Spoken, gate: Gate, voice: Voice, speaker: Speaker, matched: Matched,
                  stage: Stage) -> Enforced:
    done = await _enforced(spoken, gate, voice, speaker, matched, stage)
    return msgspec.structs.replace(done, facts=gate.facts, fault=spoken.fault) if gate.facts or spoken.fault else done


async def _enforced(spoken: Spoken, gate: Gate, voice: Voice, speaker: Speaker, matched: Matched,
                    stage: Stage) -> Enforced:
    if gate.idle:
        return Enforced(text=spoken.text, segments=spoken.segments, usage=spoken.usage,
                        enforcement=Enforcement(risk="GREEN"))
    judged = spoken.stopped or await gate.judge(spoken.text, model=spoken.model)
    if judged.allowed:
        return _passed(spoken, judged, 0)
    if spoken.segments:
        return await _cut_off(spoken, judged, gate, voice, speaker, matched, stage)
    regenerated = 0
    if spoken.model:
        regenerated = 1
        again = await voice.draft(judged.hints())
        spoken = msgspec.structs.replace(again, usage=spoken.usage + again.usage)
        judged = await gate.judge(spoken.text, model=spoken.model)
        if judged.allowed:
            return _passed(spoken, judged, 1)
    text, fallback = await _replacement("", judged, gate, voice, speaker, matched)
    return Enforced(text=text, segments=(), usage=spoken.usage, blocked=True,
                    enforcement=_blocked(judged, fallback, regenerated))


def evaluated(judged: Judged) -> Enforcement:
    """The verdicts on a text that nobody can write anew."""
    if not judged.allowed:
        return _blocked(judged, "", 0)
    violations = judged.violations()
    return Enforcement(risk="YELLOW" if violations or judged.unsure else "GREEN", violations=violations,
                       checked=judged.checked())


def _passed(spoken: Spoken, judged: Judged, regenerated: int) -> Enforced:
    violations = judged.violations()
    risk: Risk = "YELLOW" if regenerated or violations or judged.unsure else "GREEN"
    return Enforced(text=spoken.text, segments=spoken.segments, usage=spoken.usage, enforcement=Enforcement(
        risk=risk, violations=violations, regenerated=regenerated, checked=judged.checked()))


async def _cut_off(spoken: Spoken, judged: Judged, gate: Gate, voice: Voice, speaker: Speaker, matched: Matched,
                   stage: Stage) -> Enforced:
    """Segments are out already: the fallback follows them, judged together with them."""
    said = "".join(spoken.segments)
    rest, fallback = await _replacement(said, judged, gate, voice, speaker, matched)
    segments = spoken.segments
    if rest:
        await stage.release(rest)
        segments = (*segments, rest)
    return Enforced(text=said + rest, segments=segments, usage=spoken.usage, blocked=True,
                    enforcement=_blocked(judged, fallback, 0))


def _blocked(judged: Judged, fallback: str, regenerated: int) -> Enforcement:
    """Red when a rule was broken; unknown when the rules could only not be judged."""
    return Enforcement(risk="RED" if judged.broken else "UNKNOWN", violations=judged.violations(),
                       regenerated=regenerated, fallback=fallback, checked=judged.checked())


async def _replacement(said: str, judged: Judged, gate: Gate, voice: Voice, speaker: Speaker,
                       matched: Matched) -> tuple[str, str]:
    """(text, id) of the first replacement that may follow `said`.

    A fallback must pass. A refusal may be sent while a rule cannot be judged, but not when it was judged and failed.
    """
    space = " " if said and not said[-1].isspace() else ""
    for text, name in _fallbacks(judged, speaker, matched):
        shown = space + voice.shown(text)
        if (await gate.judge(said + shown, model=False, safe=True)).allowed:
            return shown, name
    for text in (speaker.sure(speaker.who.agent.refusal), *LAST_REFUSALS):
        shown = space + voice.shown(text)
        if not (await gate.judge(said + shown, model=False, safe=True)).broken:
            return shown, "refusal"
    return "", "refusal"


def _fallbacks(judged: Judged, speaker: Speaker, matched: Matched) -> Iterator[tuple[str, str]]:
    """Fallback texts: those of the rules that failed, then the agent's."""
    rules = speaker.who.agent.rules
    failed = [violation.rule for violation in judged.violations()]
    own = [text for rule in failed for text in rules[rule].templates if text.mode == "FALLBACK"]
    for template in dict.fromkeys((*(text.id for text in own), *(text.id for text in speaker.who.agent.fallbacks))):
        text = speaker.who.agent.templates[template]
        rendered = speaker.render(text) if text.language in (None, speaker.language) else ""
        if rendered:
            yield rendered, template
