"""The promise: no reply that breaks a hard rule is released, whatever fails on the way."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ruche.plugins.contracts import Draft, Generated, Prompt
from ruche.plugins.enforcers import built_in
from ruche.plugins.sentences import sentences
from ruche.storage.model.conversation import FieldValue, Profile
from ruche.storage.model.run import Run
from tests.brain.agents import RULES
from tests.brain.talk import Functions, bundle, talking

pytestmark = pytest.mark.anyio

NO_MAGIC = {"id": "no_magic", "if": "always", "then": "Never speak of magic.", "hard": True,
            "enforce": {"use": "pattern", "options": {"forbidden": "magic"}}}
CAP = {"id": "cap", "if": "always", "then": "Never promise more than 50 euros.", "hard": True,
       "enforce": "amount <= 50"}
SPELL = {"id": "spell", "if": "the user asks for a spell", "then": "It is magic.", "examples": ["cast a spell"]}
SAFE = {"id": "safe", "text": "Let us speak of something else.", "mode": "FALLBACK"}


class Scripted:
    """A model that says what it is told to, draft after draft, and remembers its prompts."""

    name = "scripted"

    def __init__(self, *drafts: str | Exception) -> None:
        self.drafts = list(drafts)
        self.prompts: list[Prompt] = []

    def _next(self, prompt: Prompt) -> str:
        self.prompts.append(prompt)
        draft = self.drafts.pop(0)
        if isinstance(draft, Exception):
            raise draft
        return draft

    async def generate(self, prompt: Prompt) -> Generated:
        return Generated(text=self._next(prompt), input_tokens=3, output_tokens=5, model=self.name)

    async def stream(self, prompt: Prompt) -> AsyncIterator[str]:
        for piece in sentences(self._next(prompt)):
            yield piece


def magician(*rules: dict[str, Any], **parts: Any) -> Any:
    return bundle(rules=[*RULES, SPELL, *rules], **parts)


WHOLE = {"id": "whole", "if": "always", "then": "Reply in full.", "hard": True,
         "enforce": {"use": "length", "options": {"min_characters": 3}}}
"""A rule that cannot be judged on a prefix, so that replies are not streamed."""


async def test_a_draft_that_breaks_a_global_rule_is_replaced_though_the_rule_never_matched() -> None:
    async with talking(magician(NO_MAGIC, templates=[SAFE])) as talk:
        run = await talk.say("cast a spell")
        assert (run.reply, run.status, run.outcome, run.risk) == (SAFE["text"], "blocked", "BLOCKED", "RED")
        assert run.enforcement.fallback == "safe"
        assert [(one.rule, one.severity) for one in run.enforcement.violations] == [("no_magic", "hard")]
        assert "POLICY_RESTRICTION" in run.categories


async def test_a_reply_that_keeps_every_rule_is_green_and_says_what_was_checked() -> None:
    async with talking(magician(NO_MAGIC, CAP)) as talk:
        run = await talk.say("what are your opening hours?")
        assert (run.risk, run.enforcement.fallback) == ("GREEN", None)
        assert run.enforcement.checked == (("cap", "not_applicable"), ("no_magic", "pass"))


async def test_a_fallback_that_breaks_a_rule_itself_is_not_sent_either() -> None:
    bad = {"id": "bad", "text": "More magic!", "mode": "FALLBACK"}
    async with talking(magician(NO_MAGIC, templates=[bad, SAFE])) as talk:
        assert (await talk.say("cast a spell")).enforcement.fallback == "safe"
    async with talking(magician(NO_MAGIC, templates=[bad])) as talk:
        run = await talk.say("cast a spell")
        assert (run.reply, run.enforcement.fallback) == ("I am sorry, I cannot say that.", "refusal")


async def test_the_engines_own_refusal_is_sent_when_the_agents_breaks_a_rule_and_nothing_when_that_does_too() -> None:
    async with talking(magician(NO_MAGIC, agent={"refusal": "That is magic."})) as talk:
        assert await talk.reply("cast a spell") == "I cannot answer that."
    mute = {**NO_MAGIC, "enforce": {"use": "length", "options": {"max_characters": 1}}}
    async with talking(magician(mute)) as talk:
        assert await talk.reply("cast a spell") == ""


async def test_a_missing_name_makes_a_rule_not_applicable_unless_it_is_required() -> None:
    async with talking(magician(CAP)) as talk:
        assert (await talk.say("cast a spell")).enforcement.checked == (("cap", "not_applicable"),)
    async with talking(magician({**CAP, "requires": ["amount"]})) as talk:
        assert (await talk.say("cast a spell")).status == "blocked"


async def test_a_reply_cannot_claim_who_somebody_is() -> None:
    rule = {**CAP, "enforce": "amount <= 50 or percent == 100", "id": "tier"}
    offer = {"id": "offer", "if": "the user asks for an offer", "then": "You get 100 percent off: 90 euros.",
             "examples": ["make me an offer"]}
    agent = bundle(rules=[rule, offer], fields=[{"name": "percent", "type": "number"}])
    async with talking(agent) as talk:
        five = FieldValue(value=5, source="human_entered", at_ms=0)
        talk.profile = Profile(interlocutor="ada", tenant="default", fields={"percent": five})
        assert (await talk.say("make me an offer")).status == "blocked"


async def test_a_soft_rule_that_is_broken_is_told_but_stops_nothing() -> None:
    soft = {**SPELL, "enforce": {"use": "phrase", "options": {"forbidden": ["magic"]}}}
    async with talking(bundle(rules=[soft])) as talk:
        run = await talk.say("cast a spell")
        assert (run.reply, run.risk) == ("It is magic.", "YELLOW")
        assert [one.severity for one in run.enforcement.violations] == ["soft"]


async def test_a_model_gets_one_more_try_with_the_reason() -> None:
    model = Scripted("It is magic.", "It is science.")
    async with talking(magician(NO_MAGIC, WHOLE), generator=model) as talk:
        run = await talk.say("cast a spell")
        assert (run.reply, run.risk, run.enforcement.regenerated) == ("It is science.", "YELLOW", 1)
        assert run.usage.model_calls == 2
        assert "forbidden pattern 'magic'" in model.prompts[1].instructions


async def test_a_model_that_fails_twice_is_replaced_by_the_fallback() -> None:
    async with talking(magician(NO_MAGIC, WHOLE, templates=[SAFE]), generator=Scripted("magic", "magic!")) as talk:
        run = await talk.say("cast a spell")
        assert (run.reply, run.risk) == (SAFE["text"], "RED")


async def test_a_models_words_go_out_sentence_by_sentence_each_after_its_check() -> None:
    model = Scripted("We are open. From nine on. It is magic. Bye.")
    async with talking(magician(NO_MAGIC, templates=[SAFE]), generator=model) as talk:
        run = await talk.say("cast a spell")
        assert talk.desk.released == ["We are open. ", "From nine on. ", SAFE["text"]]
        assert run.reply == "".join(talk.desk.released)
        assert run.segments == tuple(talk.desk.released)
        assert (run.status, run.risk) == ("blocked", "RED")


async def test_nothing_is_streamed_while_a_rule_in_force_needs_the_whole_reply() -> None:
    async with talking(magician(NO_MAGIC, WHOLE), generator=Scripted("We are open. From nine on.")) as talk:
        run = await talk.say("cast a spell")
        assert (talk.desk.released, run.reply) == ([], "We are open. From nine on.")


async def test_a_hard_rule_that_nobody_can_judge_lets_no_model_speak() -> None:
    """The author's check warns of such a rule; at run time it fails closed."""
    subjective = {"id": "kind", "if": "the user is sad", "then": "Be kind.", "hard": True}
    async with talking(magician(subjective, templates=[SAFE]), generator=Scripted("Hello.", "Hello.")) as talk:
        run = await talk.say("cast a spell")
        assert (run.reply, run.risk) == (SAFE["text"], "UNKNOWN")


async def test_a_hard_rule_that_nobody_can_judge_leaves_the_authors_own_words_alone_until_it_matches() -> None:
    subjective = {"id": "kind", "if": "the user is very sad", "then": "Be kind.", "hard": True,
                  "examples": ["I am so sad"]}
    async with talking(magician(subjective, templates=[SAFE])) as talk:
        assert (await talk.say("what are your opening hours?")).risk == "GREEN"
        assert (await talk.say("I am so sad")).reply == SAFE["text"]


async def test_the_rules_own_text_answers_a_hard_rule_that_nobody_can_judge() -> None:
    doctor = {"id": "doctor", "if": "the user asks for medical advice", "then": "Please ask a doctor.", "hard": True,
              "effect": "REFUSE", "examples": ["what medicine should I take"]}
    async with talking(magician(doctor)) as talk:
        run = await talk.say("what medicine should I take")
        assert (run.reply, run.risk, run.response_type) == ("Please ask a doctor.", "GREEN", "REFUSE")


async def test_what_is_judged_is_what_the_channel_shows() -> None:
    """Security item 36: enforcement runs last, on the final bytes."""
    star = {"id": "star", "if": "the user asks for a star", "then": "It is ma*g*ic.", "examples": ["give me a star"]}
    hidden = {"id": "hidden", "if": "the user asks for a star", "then": "It is ma**g**ic.", "examples": ["a star"]}
    agent = bundle(rules=[NO_MAGIC, star, hidden], templates=[SAFE])
    async with talking(agent, channel="email") as talk:
        assert "magic" not in await talk.reply("give me a star")


async def test_a_tool_result_with_forbidden_words_never_gets_out() -> None:
    rule = {**SPELL, "then": "The wand says {{ word }}.", "tools": [{"tool": "wand"}]}
    agent = bundle(rules=[rule, NO_MAGIC], templates=[SAFE],
                   tools=[{"id": "wand", "python": "t.py:wand", "outputs": {"word": "word"}}])
    for word, reply in (("magic", SAFE["text"]), ("science", "The wand says science."), ("m\u200bagic", SAFE["text"])):
        async with talking(agent, Functions(wand=lambda word=word: {"word": word})) as talk:
            assert await talk.reply("cast a spell") == reply


async def test_a_template_that_cannot_be_rendered_costs_only_itself() -> None:
    rule = {**SPELL, "then": "Dear {{ nobody }}, hello."}
    async with talking(bundle(rules=[rule, NO_MAGIC])) as talk:
        run = await talk.say("cast a spell")
        assert run.reply == "I am sorry, I cannot help with that."
        assert "nobody" in run.decisions["plan"]["unrendered"][0]


async def test_a_question_that_was_never_asked_is_not_awaited() -> None:
    agent = bundle(rules=[NO_MAGIC], fields=[{"name": "trick", "ask": "Which magic?"}], scenarios=[
        {"id": "s", "entry": "the user wants a trick", "examples": ["show me a trick"],
         "steps": [{"id": "ask", "collects": ["trick"], "next": []}]}])
    async with talking(agent) as talk:
        run = await talk.say("show me a trick")
        assert run.status == "blocked"
        assert (talk.session.pending, talk.session.scenarios[0].asked) == (None, ())


FORBIDDEN = st.lists(st.sampled_from(["magic", "It is magic.", "fine", "Good day.", "MAGIC!", "m a g i c", "ok?"]),
                     min_size=1, max_size=5).map(" ".join)


@given(FORBIDDEN, FORBIDDEN, st.booleans())
@settings(max_examples=60, deadline=None)
async def test_whatever_a_model_says_no_released_reply_fails_the_rule(first: str, second: str, whole: bool) -> None:
    rules = [NO_MAGIC, WHOLE] if whole else [NO_MAGIC]
    async with talking(magician(*rules), generator=Scripted(first, second)) as talk:
        run: Run = await talk.say("cast a spell")
        assert _passes(run.reply)
        assert _passes("".join(talk.desk.released))


def _passes(text: str) -> bool:
    enforcer = built_in()["phrase"]
    rule = bundle(rules=[NO_MAGIC]).rules[0]
    draft = Draft(text=text, question="", names={})
    return enforcer.check(draft, rule, enforcer.prepare(rule)).outcome == "pass"
