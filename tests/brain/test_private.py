"""Personal data that an author has marked never reaches the model that speaks, and stands in the reply all the same."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ruche.engine.brain.compiled import CompiledAgent
from ruche.engine.brain.private import Private
from ruche.plugins.tape import ReplayTape
from tests.brain.talk import bundle, without_times
from tests.brain.test_judge import judged

pytestmark = pytest.mark.anyio

FIELDS = [{"name": "full_name", "ask": "Your name?", "pii": True, "scope": "SESSION"},
          {"name": "email", "type": "email", "pii": True, "scope": "SESSION"}, {"name": "city", "scope": "SESSION"}]
RULES = [{"id": "hi", "if": "the user says hello and who they are", "examples": ["my name is Ada", "I am Ada Byron"],
          "then": "Welcome {{ full_name }}."}]


def speaking(*script: str) -> Any:
    return judged(*script, rules=tuple(RULES), models={"judge": None}, bundle={"fields": FIELDS})


async def test_the_model_sees_the_fields_name_and_the_person_the_value() -> None:
    async with speaking("Welcome, [[full_name]]! We write to [[email]].") as (talk, server):
        run = await talk.say("my name is Ada Byron, ada@example.org")
        assert run.reply == "Welcome, Ada Byron! We write to ada@example.org."
    sent = json.dumps(server.requests)
    assert "Ada" not in sent
    assert "ada@example.org" not in sent
    assert "[[full_name]]" in sent


async def test_what_is_not_marked_is_said_as_it_was() -> None:
    async with speaking("Hello.") as (talk, server):
        await talk.say("my name is Ada Byron, from Oslo")
    assert "Oslo" in json.dumps(server.requests)


async def test_a_turn_with_hidden_values_replays() -> None:
    async with speaking("Welcome, [[full_name]]! Nice.") as (talk, _):
        run = await talk.say("my name is Ada Byron")
        again = await talk.brain.think(talk.inputs[0], ReplayTape(run.tape), talk.desk)
    assert without_times(again.run) == without_times(run)


AGENT = CompiledAgent(bundle(fields=FIELDS), 1)


@given(st.dictionaries(st.sampled_from(["full_name", "email"]), st.text(min_size=3, max_size=12)),
       st.lists(st.text(max_size=12), max_size=4))
def test_what_is_hidden_comes_back_and_no_marked_word_stays(values: dict[str, str], around: list[str]) -> None:
    private = Private(AGENT.fields, values)
    text = " ; ".join([*around, *values.values()])
    hidden = private.hide(text)
    assert bool(private) == bool(values)
    if not any("[[" in part for part in (*around, *values.values())):
        assert private.show(hidden).lower() == text.lower()
    assert private.hide({"a": [text], "b": 1}) == {"a": [hidden], "b": 1}
