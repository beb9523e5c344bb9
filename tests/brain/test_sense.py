"""What a message shows by itself: its language and its signals."""

from __future__ import annotations

import time

import pytest

from ruche.engine.brain.language import detect
from ruche.engine.brain.signals import phrase, read_signals, words_of
from tests.brain.talk import bundle, talking

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(("text", "language"), [
    ("I would like to book a table", "en"), ("Je voudrais une table pour ce soir", "fr"),
    ("Ich möchte bitte einen Tisch", "de"), ("Quiero una mesa por favor", "en"), ("こんにちは", "ja"), ("ok", "en")])
async def test_the_language_is_one_of_the_agents_languages(text: str, language: str) -> None:
    assert detect(text, words_of(text.lower()), ("en", "fr", "de", "ja"), "") == language


@pytest.mark.parametrize(("text", "language"), [
    ("Wann habt ihr offen?", "de"), ("Habt ihr heute Zeit?", "de"), ("Wo seid ihr?", "de"), ("Gibt es Kuchen?", "de"),
    ("When are you open?", "en"), ("Does it cost much?", "en"), ("Where's the bathroom?", "en"), ("Any cake?", "en"),
    ("Quand ouvrez-vous ?", "fr"), ("C'est combien ?", "fr"), ("Où êtes-vous ?", "fr"), ("Y-a-t-il du gâteau ?", "fr"),
    ("¿Cuándo abren ustedes?", "es"), ("¿Dónde están?", "es"), ("¿Hay tarta?", "es"), ("¿Cuánto cuesta?", "es"),
    ("Quando aprite voi?", "it"), ("Dov'è il bagno?", "it"), ("C'è della torta?", "it"), ("Quanto costa?", "it"),
    ("Wanneer zijn jullie open?", "nl"), ("Hoeveel kost dat?", "nl"), ("Waar is het toilet?", "nl"),
    ("Quando abrem vocês?", "pt"), ("Onde fica isso?", "pt"), ("Há bolo?", "pt"), ("Vocês têm tempo?", "pt")])
async def test_a_short_question_shows_its_language_beside_english(text: str, language: str) -> None:
    languages = ("de", "en") if language == "en" else ("en", language)
    assert detect(text, words_of(text.lower()), languages, "") == language


@pytest.mark.parametrize("text", ["What was the matter, man?", "The man in the hat was here", "I am an artist also"])
async def test_words_that_two_languages_share_do_not_turn_english_into_german(text: str) -> None:
    assert detect(text, words_of(text.lower()), ("de", "en"), "") == "en"


async def test_a_message_that_shows_no_language_stays_in_the_sessions() -> None:
    assert detect("42", ("42",), ("en", "fr"), "fr") == "fr"


@pytest.mark.parametrize(("text", "answer"), [
    ("Yes please", "yes"), ("no, thanks", "no"), ("of course", "yes"), ("that's right, go on", "yes"),
    ("not really", "no"), ("I would like to know whether you are open on sundays", ""), ("yes but not today", "no"),
    ("nobody", "")])
async def test_yes_and_no_are_heard_in_short_answers(text: str, answer: str) -> None:
    assert read_signals(words_of(text.lower()), "en").answer == answer


@pytest.mark.parametrize(("text", "cancel"), [
    ("cancel", True), ("please cancel this", True), ("never mind", True), ("forget it", True),
    ("I'd like to cancel my appointment with the doctor", False), ("hello", False)])
async def test_leaving_a_scenario_is_told_from_talking_about_cancelling(text: str, cancel: bool) -> None:
    assert read_signals(words_of(text.lower()), "en").cancel is cancel


async def test_the_authors_own_sentences_cancel_too() -> None:
    assert read_signals(words_of("i am done here"), "en", frozenset({phrase("I am done here.")})).cancel


@pytest.mark.parametrize("piece", ["1 ", "one ", "may 5 to 6 ", "a@b.c ", "$5 ", "suite ", "+1 650 253 0000 ", "7pm ",
                                   "  ", "x", "-", "the 5th ", "2026-01-01 ", "my name is A "])
async def test_a_long_message_costs_little_whatever_it_holds(piece: str) -> None:
    fields = [{"name": kind, "type": kind} for kind in ("email", "phone", "date", "time", "number", "money", "boolean")]
    agent = bundle(fields=[*fields, {"name": "room", "allowed": ["single", "double", "suite"]},
                           {"name": "order", "pattern": r"[A-Z]\d+"}, {"name": "full_name"}])
    async with talking(agent) as talk:
        await talk.say("my phone is +1 650 253 0000")  # loads the library of telephone numbers
        begun = time.process_time()
        await talk.say((piece * 10_000)[:10_000])
        assert time.process_time() - begun < 0.5


async def test_an_agent_answers_in_the_language_of_the_message() -> None:
    agent = bundle(
        agent={"languages": ["en", "fr"]},
        templates=[{"id": "open", "text": "We are open."}, {"id": "open.fr", "text": "Nous sommes ouverts."}],
        rules=[{"id": "open", "if": "the user asks whether we are open", "then": "Say so.", "templates": ["open"],
                "examples": ["are you open", "est-ce que vous êtes ouverts"]}])
    async with talking(agent) as talk:
        assert await talk.reply("Are you open?") == "We are open."
        run = await talk.say("Est-ce que vous êtes ouverts ?")
        assert (run.reply, run.language) == ("Nous sommes ouverts.", "fr")
