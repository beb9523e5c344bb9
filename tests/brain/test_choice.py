"""Two rules that exclude each other and fit equally well: one question, one answer, and no second question."""

from __future__ import annotations

from typing import Any

import pytest

from tests.brain.talk import Talk, bundle, talking
from tests.brain.test_match import Ranked, rule, scored

pytestmark = pytest.mark.anyio

RULES = [rule("card", topic="your card", then="Your card is blocked."),
         rule("account", topic="your account", then="Your account is closed."), rule("other", then="Something else.")]
EDGES = [{"source": "card", "kind": "excludes", "target": "account"},
         {"source": "account", "kind": "excludes", "target": "card"}]


def clashing(*scores: Ranked, **parts: Any) -> Any:
    made = {"rules": RULES, "relationships": EDGES, **parts}
    return talking(bundle(**made), retrieval=Turns(*scores))


class Turns:
    """A retrieval that ranks turn by turn."""

    def __init__(self, *rankings: Ranked) -> None:
        self._rankings = list(rankings)

    async def prepare(self, agent: Any, version: int) -> None:
        return None

    async def retrieve(self, *request: Any) -> Any:
        ranking = self._rankings.pop(0) if len(self._rankings) > 1 else self._rankings[0]
        return ranking.hits


async def test_the_person_is_asked_which_of_two_is_meant() -> None:
    async with clashing(scored(card=0.6, account=0.59)) as talk:
        run = await talk.say("block it")
        assert run.reply == "Do you mean your card or your account?"
        assert run.response_type == "ASK"
        assert run.rules == ()
        assert run.decisions["match"]["unclear"] == ["card", "account"]


@pytest.mark.parametrize(("said", "reply"), [
    ("the account", "Your account is closed."), ("my card please", "Your card is blocked."),
    ("the second one", "Your account is closed."), ("the first", "Your card is blocked.")])
async def test_the_answer_chooses_by_its_words_or_by_its_place(said: str, reply: str) -> None:
    async with clashing(scored(card=0.6, account=0.59), scored()) as talk:
        await talk.say("block it")
        run = await talk.say(said)
        assert run.reply == reply
        assert [one.why for one in run.rules] == ["was chosen when the agent asked"]


async def test_nobody_is_asked_the_same_twice_in_a_row() -> None:
    async with clashing(scored(card=0.6, account=0.59)) as talk:
        await talk.say("block it")
        run = await talk.say("well, just do it")
        assert run.reply == "Your card is blocked."


async def test_an_answer_about_something_else_is_taken_as_such() -> None:
    async with clashing(scored(card=0.6, account=0.59), scored(other=0.7)) as talk:
        await talk.say("block it")
        assert await talk.reply("never mind that now") == "Something else."
        assert talk.session.pending is None


@pytest.mark.parametrize(("scores", "parts", "reply"), [
    ({"card": 0.7, "account": 0.6}, {}, "Your card is blocked."),
    ({"card": 0.6, "account": 0.59}, {"rules": [{**RULES[0], "priority": 1}, *RULES[1:]]}, "Your card is blocked."),
    ({"card": 0.6, "account": 0.59}, {"relationships": EDGES[1:]}, "Your account is closed."),
    ({"card": 0.6, "account": 0.59}, {"rules": [{**RULES[0], "topic": ""}, *RULES[1:]]}, "Your card is blocked."),
], ids=["clearly ahead", "higher priority", "excluded one way", "nothing to name it by"])
async def test_nothing_is_asked_where_something_decides(scores: dict[str, float], parts: Any, reply: str) -> None:
    async with clashing(scored(**scores), **parts) as talk:
        assert await talk.reply("block it") == reply


async def test_the_question_of_a_scenario_waits_for_the_choice_so_that_one_question_is_asked() -> None:
    scenario = {"id": "s", "entry": "begin", "steps": [
        {"id": "one", "collects": ["city"], "next": [{"to": "two"}]}, {"id": "two", "say": "Done."}]}
    async with clashing(scored(card=0.6, account=0.59), scenarios=[scenario],
                        fields=[{"name": "city", "ask": "Which city?", "scope": "CASE"}]) as talk:
        begun = Ranked(scenarios=scored(s=0.9).hits.rules)
        talk.brain._retrieval._rankings = [begun, scored(card=0.6, account=0.59), scored()]
        assert await talk.reply("begin") == "Which city?"
        assert (await talk.reply("block it?")).count("?") == 1
        assert await talk.reply("the card") == "Your card is blocked. Which city?"


# --- what was said a moment ago ---------------------------------------------------------------------------------------


async def told(talk: Talk, *said: str) -> list[str]:
    return [await talk.reply(one) for one in said]


async def test_what_was_said_a_moment_ago_is_not_said_again_beside_something_new() -> None:
    rules = [rule("card", then="Cards come by post."), rule("other", then="Something else.")]
    rankings = Turns(scored(card=0.6), scored(other=0.6, card=0.4), scored(other=0.6, card=0.4))
    async with talking(bundle(rules=rules), retrieval=rankings) as talk:
        assert await told(talk, "my card", "and something else") == ["Cards come by post.", "Something else."]


@pytest.mark.parametrize(("second", "said"), [
    (scored(other=0.6, card=0.4), "is the card there too?"), (scored(other=0.6, card=0.59), "the card and more")])
async def test_it_is_said_again_where_the_message_asks_for_it(second: Ranked, said: str) -> None:
    rules = [rule("card", then="Cards come by post."), rule("other", then="Something else.")]
    async with talking(bundle(rules=rules), retrieval=Turns(scored(card=0.6), second)) as talk:
        await talk.say("my card")
        assert "Cards come by post." in await talk.reply(said)


async def test_it_is_said_again_where_nothing_else_is_there_to_say_or_its_text_has_changed() -> None:
    rules = [rule("card", then="This is turn {{ session.turn }}."), rule("plain", then="Cards come by post."),
             rule("other", then="Something else.")]
    rankings = Turns(scored(plain=0.4, card=0.4), scored(plain=0.4), scored(other=0.6, card=0.4))
    async with talking(bundle(rules=rules), retrieval=rankings) as talk:
        await talk.say("my card")
        assert await talk.reply("my card") == "Cards come by post."
        assert await talk.reply("my card") == "Something else. This is turn 2."


# --- the scoring mode -------------------------------------------------------------------------------------------------


async def test_in_the_weighted_mode_priority_and_nearness_order_rules_and_likeness_still_admits_them() -> None:
    rules = [rule("like"), rule("important", priority=60), rule("far", priority=100)]
    scores = {"like": 0.6, "important": 0.55, "far": 0.1}
    async with talking(bundle(rules=rules), retrieval=scored(**scores)) as talk:
        assert [one.id for one in (await talk.say("x")).rules] == ["like", "important"]
    async with talking(bundle(agent={"scoring": "weighted"}, rules=rules), retrieval=scored(**scores)) as talk:
        assert [one.id for one in (await talk.say("x")).rules] == ["important", "like"]


async def test_what_a_rule_must_include_and_avoid_shapes_the_reply_it_is_applied_to() -> None:
    rules = [rule("card", then="Cards come by post. They are free.", must_include=["Terms apply."],
                  must_avoid=["free"]), rule("other", then="Something free.")]
    async with talking(bundle(rules=rules), retrieval=Turns(scored(card=0.6), scored(other=0.6))) as talk:
        assert await told(talk, "card", "other") == ["Cards come by post. Terms apply.", "Something free."]
