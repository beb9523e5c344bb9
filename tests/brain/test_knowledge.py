"""What the author wrote down as knowledge answers what no rule answers, in the author's own sentences."""

from __future__ import annotations

from typing import Any

import pytest

from ruche.plugins.contracts import Hit
from tests.brain.agents import RULES, taxi
from tests.brain.talk import bundle, talking
from tests.brain.test_choice import Turns
from tests.brain.test_match import Ranked, rule, scored

pytestmark = pytest.mark.anyio

KNOWLEDGE = {"house.md": "# The house\n\nThe sauna is on the fourth floor. It is open until ten. Towels lie beside it."
                         "\n\n# Animals\n\n- Dogs may sleep in the room for 12 euros a night.\n- Cats stay at home.\n"}
SAUNA, DOGS = "house.md#1", "house.md#2"


def near(passage: str, score: float = 0.8, **others: float) -> Ranked:
    return Ranked(knowledge=(Hit(id=passage, score=score),), rules=scored(**others).hits.rules)


def knowing(*rankings: Ranked, **parts: Any) -> Any:
    return talking(bundle(**{"knowledge": KNOWLEDGE, "rules": [rule("other", then="Something else.")], **parts}),
                   retrieval=Turns(*rankings))


async def test_a_passage_answers_what_no_rule_answers() -> None:
    async with talking(bundle(rules=RULES, knowledge=KNOWLEDGE)) as talk:
        run = await talk.say("on which floor is the sauna?")
        assert run.reply == "The sauna is on the fourth floor. It is open until ten. Towels lie beside it."
        assert run.response_type == "ANSWER"
        assert run.decisions["plan"]["knowledge"]["passage"] == SAUNA
        assert talk.session.unmatched_streak == 0


async def test_it_begins_with_the_sentence_that_is_asked_about_and_has_no_marks() -> None:
    async with knowing(near(SAUNA), near(DOGS)) as talk:
        assert await talk.reply("where are the towels?") == "Towels lie beside it."
        assert await talk.reply("and my dog?") == "Dogs may sleep in the room for 12 euros a night. Cats stay at home."


async def test_a_rule_that_matches_answers_alone() -> None:
    async with knowing(near(SAUNA, other=0.6)) as talk:
        assert await talk.reply("where is the sauna?") == "Something else."


@pytest.mark.parametrize(("score", "said", "head"), [
    (0.2, "where is the sauna?", {}), (0.8, "what about my aunt?", {}),
    (0.8, "where is the sauna?", {"knowledge_threshold": 0.9}), (0.8, "hello", {}), (0.8, "yes", {})])
async def test_nothing_is_said_that_is_not_like_enough_or_not_asked(score: float, said: str, head: Any) -> None:
    async with knowing(near(SAUNA, score), agent=head) as talk:
        assert "sauna" not in await talk.reply(said)


async def test_a_question_in_the_midst_of_a_scenario_is_answered_and_the_scenario_asks_again() -> None:
    agent = taxi(knowledge=KNOWLEDGE)
    begin = Ranked(scenarios=scored(taxi=0.9).hits.rules)
    async with talking(agent, retrieval=Turns(begin, near(SAUNA))) as talk:
        assert await talk.reply("a taxi please") == "Where shall the taxi pick you up?"
        reply = await talk.reply("where is the sauna?")
        assert reply.startswith("The sauna is on the fourth floor.")
        assert reply.endswith("Where shall the taxi pick you up?")


async def test_knowledge_is_judged_like_every_other_reply() -> None:
    hard = rule("floor", hard=True, enforce={"use": "phrase", "options": {"forbidden": ["fourth floor"]}})
    async with knowing(near(SAUNA), rules=[hard]) as talk:
        assert "fourth" not in await talk.reply("where is the sauna?")
