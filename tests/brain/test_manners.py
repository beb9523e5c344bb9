"""How the agent deals with people who thank, take leave, do not answer, ask back, or say late what was wanted."""

from __future__ import annotations

import pytest

from ruche.engine.brain.language import detect
from ruche.engine.brain.signals import read_signals, words_of
from ruche.plugins.contracts import Hit
from tests.brain.agents import RULES, taxi
from tests.brain.talk import Talk, bundle, talking
from tests.brain.test_match import Ranked

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(("text", "language", "signal"), [
    ("thanks!", "en", "thanks"), ("Thank you very much for your help.", "en", "thanks"),
    ("Vielen Dank!", "de", "thanks"), ("muchas gracias", "es", "thanks"), ("Merci beaucoup", "fr", "thanks"),
    ("bye", "en", "bye"),
    ("thanks, bye", "en", "bye"), ("Danke, auf Wiedersehen", "de", "bye"), ("hasta luego", "es", "bye")])
async def test_thanks_and_leave_are_heard_in_every_language(text: str, language: str, signal: str) -> None:
    assert getattr(read_signals(words_of(text.lower()), language), signal) is True


@pytest.mark.parametrize("text", ["thank you, and what does it cost?", "please", "no thanks", "the bank says thanks"])
async def test_who_says_more_than_thanks_is_not_merely_thanked(text: str) -> None:
    assert read_signals(words_of(text.lower()), "en").thanks is False


@pytest.mark.parametrize(("text", "language"), [
    ("no idea", "en"), ("don't know", "en"), ("not sure", "en"), ("no lo sé", "es"), ("nicht sicher", "de")])
async def test_who_does_not_know_has_not_said_no(text: str, language: str) -> None:
    assert read_signals(words_of(text), language).answer == ""


@pytest.mark.parametrize(("text", "language", "answer"), [
    ("well, yes", "en", "yes"), ("Actually no", "en", "no"), ("ach ja", "de", "yes"), ("bueno, no", "es", "no"),
    ("well, not today", "en", ""), ("actually yes, but not today", "en", "no"), ("na ja", "de", ""), ("oh", "en", "")])
async def test_a_little_word_may_go_before_a_yes_or_a_no(text: str, language: str, answer: str) -> None:
    assert read_signals(words_of(text.lower()), language).answer == answer


@pytest.mark.parametrize(("text", "before", "language"), [
    ("Guten Tag", "en", "de"), ("danke", "en", "de"), ("bye", "de", "en"), ("ok", "de", "de")])
async def test_a_greeting_shows_its_language_and_ok_shows_none(text: str, before: str, language: str) -> None:
    assert detect(text, words_of(text.lower()), ("en", "de"), before) == language


async def test_thanks_are_answered_and_a_goodbye_too() -> None:
    async with talking(taxi()) as talk:
        assert await talk.reply("thank you very much!") == "You are welcome."
        assert await talk.reply("goodbye") == "Goodbye."
        assert talk.session.unmatched_streak == 0


async def test_thanks_in_the_midst_of_a_scenario_are_no_failed_answer() -> None:
    async with talking(taxi()) as talk:
        await talk.say("I need a taxi")
        for _ in range(4):
            assert await talk.reply("thanks") == "You are welcome. Where shall the taxi pick you up?"


@pytest.mark.parametrize("text", ["thanks", "bye", "I don't know", "no idea", "not now", "hello"])
async def test_such_words_are_no_answer_to_an_open_question(text: str) -> None:
    async with talking(taxi()) as talk:
        await talk.say("I need a taxi")
        await talk.say(text)
        assert talk.known("place") is None


async def test_who_takes_leave_is_asked_nothing_and_may_come_back() -> None:
    async with talking(taxi()) as talk:
        await talk.say("I need a taxi")
        assert await talk.reply("bye") == "Goodbye."
        assert await talk.reply("go on") == "Where shall the taxi pick you up?"


async def given_up(talk: Talk) -> str:
    """The reply with which the agent leaves its question for the time."""
    for text in ("I need a taxi", "Main Street 5", "hmm", "whatever"):
        await talk.say(text)
    return await talk.reply("no idea")


async def test_a_question_without_an_answer_is_left_and_the_person_told_how_to_go_on() -> None:
    async with talking(taxi()) as talk:
        assert await given_up(talk) == ("I have no answer to that yet, so let us leave it for now. "
                                        'Say "go on" to take it up again.')
        assert [one.status for one in talk.session.scenarios] == ["paused"]
        assert await talk.reply("go on") == "At what time?"


async def test_what_a_resting_scenario_wanted_takes_it_up_again() -> None:
    async with talking(taxi()) as talk:
        await given_up(talk)
        assert await talk.reply("ok, at 7pm") == "A taxi from Main Street 5 at 19:00, shall I book it?"


async def test_a_plain_no_leads_nowhere_that_asked_another_question() -> None:
    step = {"id": "asked", "ask": "Red or blue?", "next": [{"to": "chosen", "if": "the user chooses a colour"}]}
    steps = [step, {"id": "chosen", "ask": "Sure?", "next": [{"to": "over", "if": "the user says no"}]},
             {"id": "over", "say": "Then not."}]
    scenario = {"id": "s", "entry": "the user wants to begin", "examples": ["begin"], "steps": steps}
    async with talking(bundle(scenarios=[scenario], agent={"foresight": False})) as talk:
        await talk.say("begin")
        for _ in range(3):
            assert "Then not." not in await talk.reply("no")


async def test_a_question_that_nothing_answers_is_not_met_with_the_agents_own_question_alone() -> None:
    async with talking(taxi(agent={"unmatched": "I do not know that."})) as talk:
        await talk.say("I need a taxi")
        run = await talk.say("is the driver nice to elephants?")
        assert run.reply == "I do not know that. Where shall the taxi pick you up?"
        assert run.categories == ("AWAITING_USER_INPUT", "OUT_OF_SCOPE")
        assert await talk.reply("say what?") == "Where shall the taxi pick you up?"


async def test_an_offered_person_is_declined_only_by_a_no() -> None:
    async with talking(taxi(agent={"handoff": {"enabled": True}, "unmatched": "I do not know that."})) as talk:
        offer = "I do not know that. Would you like me to pass you on to a person?"
        await talk.say("qwertz")
        assert [await talk.reply(text) for text in ("uiop", "asdf", "no")] == [
            offer, offer, "All right, I will not do that."]


async def test_a_rule_that_can_say_nothing_leaves_nobody_with_a_mere_greeting() -> None:
    rules = [{"id": "name", "if": "the user asks for the name on file", "then": "It is {{ full_name }}.",
              "examples": ["what is my name"]}]
    fields = [{"name": "full_name"}]
    async with talking(bundle(rules=rules, fields=fields, agent={"greeting": "Bank.", "unmatched": "Ask us."})) as talk:
        assert await talk.reply("what is my name") == "Bank. Ask us."


async def test_a_mere_yes_or_no_that_nobody_asked_for_is_taken_for_what_it_is() -> None:
    async with talking(taxi(rules=RULES)) as talk:
        await talk.say("what are your opening hours?")
        assert await talk.reply("ok") == "Is there anything else that I can do for you?"
        assert await talk.reply("no") == "All right."
        assert talk.session.unmatched_streak == 0
        assert await talk.reply("yes, the elephants want tea") != "Is there anything else that I can do for you?"


@pytest.mark.parametrize(("text", "language", "answer"), [
    ("stimmt nicht, es ist Zimmer 214", "de", "no"), ("ja, aber nicht heute", "de", "no"), ("stimmt", "de", "yes"),
    ("ja, warum nicht", "de", "yes"), ("oui mais pas demain", "fr", "no"), ("sure, but not at ten", "en", "no"),
    ("yes, why not", "en", "yes"), ("vale, pero no hoy", "es", "no"), ("ok, not that one", "en", "no"),
    ("it's wrong", "en", "no"), ("that's not right", "en", "no"), ("that's right", "en", "yes"), ("ok", "de", "yes"),
    ("das stimmt nicht", "de", "no"), ("passt so", "de", "yes"), ("perfecto", "es", "yes"), ("c'est bon", "fr", "yes"),
    ("dat klopt niet", "nl", "no"), ("confermo", "it", "yes"), ("ok", "pt", "yes")])
async def test_a_yes_that_is_taken_back_is_a_no(text: str, language: str, answer: str) -> None:
    assert read_signals(words_of(text.lower()), language).answer == answer


async def test_thanks_begin_no_scenario_however_near_they_are_to_one() -> None:
    near = Ranked(scenarios=(Hit(id="taxi", score=0.9),))
    async with talking(taxi(), retrieval=near) as talk:
        assert await talk.reply("many thanks!") == "You are welcome."
        assert talk.session.scenarios == ()
