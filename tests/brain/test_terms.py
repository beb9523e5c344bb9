"""The words of an agent's trade: found by their other names, explained where nothing else answers, told to models."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ruche.engine.brain.terms import Terms
from ruche.storage.model.wording import GlossaryTerm
from tests.brain.talk import bundle, talking
from tests.brain.test_judge import judged
from tests.brain.test_match import rule, scored

pytestmark = pytest.mark.anyio

GLOSSARY = [{"term": "deposit", "definition": "A deposit is money that we hold until you leave.",
             "aliases": ["caution money", "bond"]}]


class Heard:
    """A retrieval that remembers what it was asked for."""

    def __init__(self, **scores: float) -> None:
        self.texts: list[str] = []
        self._hits = scored(**scores).hits

    async def prepare(self, agent: Any, version: int) -> None:
        return None

    async def retrieve(self, *request: Any) -> Any:
        self.texts.append(request[3])
        return self._hits


def trading(heard: Heard) -> Any:
    return talking(bundle(glossary=GLOSSARY, rules=[rule("other", then="Something else.")]), retrieval=heard)


async def test_an_alias_is_compared_as_the_term_it_stands_for() -> None:
    heard = Heard()
    async with trading(heard) as talk:
        await talk.say("Is there a Bond?")
    assert heard.texts == ["Is there a Bond (deposit)?"]


async def test_a_question_about_a_term_is_answered_by_its_definition() -> None:
    async with trading(Heard()) as talk:
        assert await talk.reply("what is caution money?") == "A deposit is money that we hold until you leave."
        assert "deposit" not in await talk.reply("I paid a deposit")
    async with trading(Heard(other=0.6)) as talk:
        assert await talk.reply("what is a deposit?") == "Something else."


async def test_a_model_is_told_what_the_terms_of_the_message_mean_and_no_others() -> None:
    async with judged("Hello.", rules=(rule("a"),), models={"judge": None}, bundle={"glossary": [
            *GLOSSARY, {"term": "lien", "definition": "A claim."}]}) as (talk, server):
        await talk.say("about my bond")
    sent = json.dumps(server.requests)
    assert "deposit means: A deposit is money" in sent
    assert "A claim." not in sent


@given(st.text(max_size=40), st.lists(st.text(min_size=1, max_size=6), max_size=3))
def test_no_text_and_no_glossary_breaks_it(text: str, names: list[str]) -> None:
    terms = Terms([GlossaryTerm(term=name, definition="d", aliases=tuple(names[:1])) for name in names])
    assert terms.spelled(text).startswith(text[:0])
    assert {one.term for one in terms.used(text)} <= set(names)
    if not names:
        assert (bool(terms), terms.spelled(text)) == (False, text)
