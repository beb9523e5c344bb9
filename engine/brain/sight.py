"""What language models may see: nothing that gives orders, and nothing that the author's screens fail.

A screen is an enforcer, a plugin's as well, that is asked of messages, memories, values and results of tools instead of
replies. Its verdicts are on the tape, and one that cannot be had keeps the text away. It costs nothing without screens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from ruche.engine.brain.calls import Enforcing, asked
from ruche.engine.brain.identify import Identified
from ruche.engine.brain.names import Names
from ruche.engine.brain.screen import LEAST, WITHHELD, any_orders, orders, shown, texts_of
from ruche.plugins.contracts import Draft
from ruche.plugins.tape import Tape


async def screened(who: Identified, service: Enforcing, tape: Tape) -> Identified:
    """The turn's fixed points with what of the message, of what was said before and of memories no model may see."""
    if who.agent.screened and orders(who.text):
        who = msgspec.structs.replace(who, orders=True)
    if not who.agent.screens:
        return who
    said = [text for exchange in who.turn.session.history for text in ("\n".join(exchange.said), exchange.reply)]
    memories = who.recalled.memories if who.recalled is not None else ()
    bad = await _failing(who, (who.text, *said, *(one.text for one in memories)), service, tape)
    recalled = who.recalled
    if recalled is not None and bad:
        kept = {one.id for one in memories if one.text not in bad}
        recalled = msgspec.structs.replace(recalled, cited=tuple(name for name in recalled.cited if name in kept))
    return msgspec.structs.replace(who, withheld=bad, recalled=recalled, orders=who.orders or who.text in bad)


async def kept_away(who: Identified, names: Names, results: list[Any], service: Enforcing, tape: Tape) -> str:
    """Why no model may speak: `message`, or `values` for something that was looked up; empty when one may. Values of
    fields that are marked as personal are hidden from models in another way, and not looked at by screens."""
    if who.orders:
        return "message"
    if who.agent.screened and any_orders(names["session"], names["profile"], results):
        return "values"
    if not who.agent.screens:
        return ""
    known = {name: value for space in (names["session"], names["profile"]) for name, value in space.items()
             if name not in who.agent.fields or not who.agent.fields[name].spec.pii}
    found = [text for text in texts_of((known, results)) if len(text) >= LEAST]
    return "values" if await _failing(who, found, service, tape) else ""


def seeing(who: Identified) -> Callable[[str], str]:
    """From a text that was said before to what a model sees of it."""
    seen = shown if who.agent.screened else str
    return seen if not who.withheld else lambda text: WITHHELD if text in who.withheld else seen(text)


async def _failing(who: Identified, found: Iterable[str], service: Enforcing, tape: Tape) -> frozenset[str]:
    texts = list(dict.fromkeys(text for text in found if text))
    if not texts:
        return frozenset()
    passed, _ = await asked(tape, "screen", texts, lambda: _judged(who, texts, service), list[bool], None)
    return frozenset(texts if passed is None else
                     (text for text, good in zip(texts, passed, strict=True) if not good))


async def _judged(who: Identified, texts: list[str], service: Enforcing) -> list[bool]:
    """Whether every screen lets the text through, for each."""
    checks, passed = list(who.agent.screens), []
    for text in texts:
        verdicts = await service.check(Draft(text=text, question="", names={}, language=who.agent.languages[0]), checks)
        passed.append(len(verdicts) == len(checks)
                      and all(one.outcome in ("pass", "not_applicable") for one in verdicts))
    return passed
