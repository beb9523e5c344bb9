"""Phase 9: the reply's words: the author's own where they are to be said as they stand, else a generator's.

A model's words may go out sentence by sentence, each only after everything said so far has passed the gate. A generator
that fails costs style, not the reply: the plan is then composed without it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgspec

from ruche.engine.brain.calls import Budget, asked
from ruche.engine.brain.endpoint import MAX_TEXT, sound, spent
from ruche.engine.brain.gate import Gate, Judged
from ruche.engine.brain.identify import Identified
from ruche.engine.brain.match import Matched
from ruche.engine.brain.memory import as_data, cited
from ruche.engine.brain.plan import Planned
from ruche.engine.brain.private import Private
from ruche.engine.brain.sight import seeing
from ruche.plugins.contracts import Channel, Generated, Generator, Prompt, Spent, Stage
from ruche.plugins.errors import ProviderFailed
from ruche.plugins.generators.composer import compose
from ruche.plugins.sentences import sentences
from ruche.plugins.tape import Tape
from ruche.storage.model.turn import Usage

SECONDS = 45.0
SENTENCE_SECONDS = 20.0
_HEARD: Any = str | list[int | float]
"""What a stream gives: a sentence, or at its end the tokens in and out, and the cost where it was counted."""


_BOUND = "a question that a yes is bound to is asked in the author's words"


class Spoken(msgspec.Struct, frozen=True, kw_only=True):
    """A draft as the channel shows it. `segments` were released already and are its beginning."""

    text: str
    model: bool = False
    segments: tuple[str, ...] = ()
    stopped: Judged | None = None
    """The verdicts that ended the delivery of segments."""
    usage: Usage = Usage()
    fault: str = ""


class Voice:
    """Speaks one turn's plan."""

    def __init__(self, who: Identified, planned: Planned, matched: Matched, language: str, generator: Generator,
                 channel: Channel, tape: Tape, budget: Budget, *, withheld: bool = False,
                 private: Private | None = None) -> None:
        """`withheld`: something of this turn gives orders, so that the generator is not asked. `private` hides personal
        data from it."""
        self._who, self._planned, self._matched, self._language = who, planned, matched, language
        self._generator, self._channel, self._tape, self._budget = generator, channel, tape, budget
        self._private = private
        self._unaided = "" if generator.name == "composer" else (
            "the turn holds orders to the model" if withheld else _BOUND if planned.binding else "")
        self.model = generator.name != "composer" and not planned.exclusive and not self._unaided

    async def speak(self, gate: Gate, stage: Stage) -> Spoken:
        if self._planned.exclusive:
            return Spoken(text=self.shown(_verbatim(self._planned)))
        if self.model and gate.by_segments:
            return await self._by_segments(gate, stage)
        return await self.draft()

    async def draft(self, hints: tuple[str, ...] = ()) -> Spoken:
        """A whole reply; `hints` say what was wrong with the last one."""
        if self._unaided:
            return Spoken(text=self.shown(compose(self._planned.unaided)), fault=self._unaided)
        prompt = self._prompt(hints)
        made, fault = await asked(self._tape, "generate", _request(prompt), lambda: self._generated(prompt),
                                  Generated, self._budget.of(SECONDS) if self.model else None)
        if made is None or not made.text.strip():
            return Spoken(text=self.shown(compose(self._planned.unaided)), fault=fault or "the generator said nothing")
        return Spoken(text=self.shown(self._whole(made.text.strip())), model=self.model,
                      usage=spent(made) if self.model else Usage())

    async def _generated(self, prompt: Prompt) -> Generated:
        made = await self._generator.generate(prompt)
        return sound(made) if self.model else made

    def shown(self, text: str) -> str:
        """The text as the channel shows it, or as it is when the channel cannot format it."""
        try:
            return self._channel.format(text)
        except Exception:
            return text

    async def _by_segments(self, gate: Gate, stage: Stage) -> Spoken:
        prompt = self._prompt(())
        request = _request(prompt)
        source = _sentences(self._generator, prompt)
        said: list[str] = []
        fault, usage = "", Usage(model_calls=1)
        while True:
            sentence, fault = await asked(self._tape, "sentence", len(said) or request, lambda: anext(source, ""),
                                          _HEARD, self._budget.of(SENTENCE_SECONDS))
            if not sentence:
                break
            if not isinstance(sentence, str):
                usage = _used(sentence)
                break
            shown = self.shown(self._whole(sentence))
            judged = await gate.judge("".join((*said, shown)), model=True, whole=False)
            if not judged.allowed:
                return self._delivered(said, fault, judged, usage)
            await stage.release(shown)
            said.append(shown)
        if not said:
            return Spoken(text=self.shown(compose(self._planned.unaided)), fault=fault or "the generator said nothing")
        return self._delivered(said, fault, None, usage)

    def _delivered(self, said: list[str], fault: str, stopped: Judged | None, usage: Usage) -> Spoken:
        return Spoken(text="".join(said), model=True, segments=tuple(said), stopped=stopped, fault=fault, usage=usage)

    def _prompt(self, hints: tuple[str, ...]) -> Prompt:
        agent = self._who.agent.bundle.agent
        past = self._who.turn.session.history if self.model else ()
        seen = seeing(self._who)
        history = [pair for exchange in past
                   for pair in (("user", seen("\n".join(exchange.said))), ("assistant", seen(exchange.reply)))]
        return self._hidden(Prompt(
            instructions=self._instructions(hints) if self.model else "", plan=self._plan(),
            history=(*history, ("user", self._who.text)), language=self._language,
            max_tokens=agent.models.max_tokens, temperature=agent.models.temperature))

    def _whole(self, text: str) -> str:
        """The words of a model with the personal data that it was not shown."""
        return self._private.show(text) if self._private else text

    def _hidden(self, prompt: Prompt) -> Prompt:
        if not (self.model and self._private):
            return prompt
        hide = self._private.hide
        return msgspec.structs.replace(
            prompt, plan=hide(prompt.plan), instructions=f"{hide(prompt.instructions)}\n{self._private.telling}",
            history=tuple((role, hide(text)) for role, text in prompt.history))

    def _plan(self) -> dict[str, Any]:
        """The plan, for a model with what was recalled."""
        memories = cited(self._who) if self.model else ()
        return {**self._planned.plan, "memory": as_data(self._who, memories)} if memories else self._planned.plan

    def _instructions(self, hints: tuple[str, ...]) -> str:
        """The author's words only: persona, what holds always, what holds now, and what the last draft broke."""
        agent = self._who.agent
        head = agent.bundle.agent
        rules = {rule.id: rule.rule for rule in (*self._planned.always, *(one.rule for one in self._matched.rules))}
        lines = [head.persona, head.description, *(f"If {rule.if_}: {rule.then}" for rule in rules.values())]
        lines += [f"{one.term} means: {one.definition}" for one in agent.terms.used(self._who.text)]
        lines += [f"The last draft broke a rule: {hint}" for hint in hints]
        return "\n".join(line for line in lines if line)


def _request(prompt: Prompt) -> list[object]:
    """The prompt value by value: a struct leaves out its defaults by identity, which differs between processes."""
    return [prompt.instructions, prompt.plan, prompt.history, prompt.language, prompt.max_tokens, prompt.temperature]


def _used(told: list[int | float]) -> Usage:
    return Usage(model_calls=1, input_tokens=int(told[0]), output_tokens=int(told[1]),
                 cost=float(told[2]) if told[2:] else None)


async def _sentences(generator: Generator, prompt: Prompt) -> AsyncIterator[str | list[int | float]]:
    """Whole sentences of a text that arrives in pieces; the last may lack its end mark. After it, what it cost, where
    the generator tells."""
    waiting, told = "", list[int | float]()
    length = 0
    tried = 0  # a text without an end is not read again for every piece: that would take the square of its length
    async for piece in generator.stream(prompt):
        if isinstance(piece, Spent):
            made = sound(Generated(text="", input_tokens=piece.input_tokens, output_tokens=piece.output_tokens,
                                   cost=piece.cost))
            told = [made.input_tokens, made.output_tokens, *(() if made.cost is None else (made.cost,))]
            continue
        length += len(piece)
        if length > MAX_TEXT:
            raise ProviderFailed(f"the model gave more than {MAX_TEXT:,} characters")
        waiting += sound(Generated(text=piece)).text
        if 32 * len(waiting) < 33 * tried:
            continue
        *whole, waiting = sentences(waiting) or [""]
        tried = len(waiting)
        for sentence in whole:
            yield sentence
    if waiting.strip():
        yield waiting
    if told:
        yield told


def _verbatim(planned: Planned) -> str:
    """Texts as they stand: statements first, questions last, nothing twice."""
    ordered = sorted(planned.contributions, key=lambda one: one.kind in ("ASK", "CONFIRM"))
    return " ".join(dict.fromkeys(one.text for one in ordered if one.kind != "ACTION_HINT"))
