"""A judge that gives no verdict which can be read, or none in time: no hard rule passes, whatever was said."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.model_server import Answer, ModelServer
from ruche.engine.brain import judge as lane
from ruche.engine.speakers import Speakers
from ruche.plugins.contracts import Generated
from ruche.plugins.generators.answer import one_object
from ruche.plugins.generators.judge import JudgedRule, Judgement, read_verdicts
from ruche.plugins.registry import Registry
from tests.brain.talk import bundle, talking
from tests.brain.test_judge import KIND, RUDE, SAFE, calls, judged, verdicts

pytestmark = pytest.mark.anyio

HALF = '{"kind": {"verdict": "pass", "rea'
NONSENSE = {
    "nonsense": Answer("colourless green ideas"), "half a JSON": Answer(HALF, finish="length"),
    "nothing": Answer(""), "a list": Answer("[]"), "no rule": Answer("{}"),
    "another rule": Answer(verdicts(kind="pass", other="pass")), "a bare word": Answer('{"kind": "pass"}'),
    "another word": Answer('{"kind": {"verdict": "PASS", "reason": ""}}'),
    "true": Answer('{"kind": {"verdict": true, "reason": ""}}'),
    "twice": Answer('{"kind": {"verdict": "fail", "reason": "x"}, "kind": {"verdict": "pass", "reason": ""}}'),
    "text before": Answer('Sure: {"kind": {"verdict": "pass", "reason": ""}}'),
    "two objects": Answer(verdicts(kind="pass") + verdicts(kind="fail")),
    "depth": Answer("[" * 50_000), "no chat completion": Answer(raw=b"{}"), "no JSON": Answer(raw=b"<html>"),
    "refused": Answer(status=401), "down": Answer(status=503, headers={"Retry-After": "0"}),
    "filtered": Answer(finish="content_filter"),
}


@pytest.mark.parametrize("answer", NONSENSE.values(), ids=NONSENSE)
async def test_a_judge_that_gives_no_verdict_that_can_be_read_lets_no_hard_rule_pass(answer: Answer) -> None:
    """Security item 36: without a verdict a hard rule counts as broken."""
    async with judged(RUDE, answer, RUDE, answer) as (talk, server):
        run = await talk.say("cast a spell")
    assert (run.reply, run.risk, run.outcome) == (SAFE["text"], "UNKNOWN", "BLOCKED")
    assert calls(server) == ["speak", "judge", "speak", "judge"]


async def test_a_judge_that_keeps_silent_until_the_deadline_lets_no_hard_rule_pass() -> None:
    async with judged("Hello.", Answer(hang=True), "Hello.", Answer(hang=True), seconds=0.2) as (talk, _):
        run = await talk.say("cast a spell")
    assert (run.reply, run.risk) == (SAFE["text"], "UNKNOWN")
    assert "in time" in run.enforcement.violations[0].reason


async def test_the_turn_itself_gives_up_a_silent_judge(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lane, "SECONDS", 0.1)
    async with judged("Hello.", Answer(hang=True), "Hello.", Answer(hang=True)) as (talk, server):
        run = await talk.say("cast a spell")
        assert server.left.is_set()
    assert (run.reply, run.risk) == (SAFE["text"], "UNKNOWN")


async def test_a_judge_that_cannot_be_opened_lets_no_hard_rule_pass() -> None:
    """The key's variable is not set: a fault of the configuration, found at the call."""
    async with ModelServer(Answer("Hello.")) as server:
        speakers = Speakers(Registry(), {})
        head = {"models": {"generator": "openai", "url": server.url, "model": "tiny",
                           "judge": {"model": "judge", "api_key": "NO_SUCH_KEY"}}}
        agent = bundle(agent=head, rules=[KIND], templates=[SAFE])
        async with talking(agent, generators=speakers) as talk:
            run = await talk.say("cast a spell")
        await speakers.close()
    assert (run.reply, run.risk) == (SAFE["text"], "UNKNOWN")
    assert "NO_SUCH_KEY" in run.enforcement.violations[0].reason


async def test_a_generator_that_cannot_answer_in_a_shape_is_no_judge() -> None:
    agent = bundle(agent={"models": {"generator": "mine", "url": "http://x", "model": "m", "judge": {}}},
                   rules=[KIND], templates=[SAFE])
    speaking = Speaking(RUDE)
    async with talking(agent, generators=lambda use: speaking) as talk:
        run = await talk.say("cast a spell")
    assert (run.reply, run.risk) == (SAFE["text"], "UNKNOWN")


class Speaking:
    """A generator without `complete`."""

    name = "speaking"

    def __init__(self, text: str) -> None:
        self._text = text

    async def generate(self, prompt: Any) -> Any:
        return Generated(text=self._text)

    async def stream(self, prompt: Any) -> AsyncIterator[str]:
        yield self._text


@pytest.mark.parametrize("at", range(5))
@pytest.mark.parametrize("fault", [Answer(status=500), Answer(raw=b"\x00"), Answer("nonsense"), Answer(hang=True)],
                         ids=["down", "noise", "nonsense", "silence"])
async def test_a_fault_at_any_model_call_releases_no_reply_that_breaks_a_hard_rule(at: int, fault: Answer) -> None:
    """Security item 36: a fault is injected at each model call of the turn."""
    sensed = Answer('{"language": "en", "intent": "", "values": [], "tone": "angry"}')
    script = [sensed, Answer(RUDE), Answer(verdicts(kind="rude")), Answer(RUDE), Answer(verdicts(kind="rude"))]
    script[at] = fault
    async with judged(*script, Answer(verdicts(kind="rude")), seconds=0.15, agent={"preset": "maximum"}) as (talk, _):
        run = await talk.say("cast a spell")
        assert "fool" not in run.reply
        assert "fool" not in "".join(talk.desk.released)
        assert run.reply


TASK = Judgement(rules=(JudgedRule(id="a", condition="x", then="y"), JudgedRule(id="b", condition="x", then="y")),
                 reply="Hello.")


@given(st.text() | st.recursive(st.none() | st.booleans() | st.text(max_size=8) | st.sampled_from(["pass", "fail"]),
                                lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
                                    st.sampled_from(["a", "b", "verdict", "reason", "c"]), inner, max_size=4)
                                ).map(json.dumps))
@settings(max_examples=300, deadline=None)
def test_every_answer_gives_every_rule_a_verdict_and_only_the_asked_shape_passes(text: str) -> None:
    found = read_verdicts(text, TASK)
    assert list(found) == ["a", "b"]
    for name, verdict in found.items():
        if verdict.outcome == "pass":
            assert json.loads(text)[name]["verdict"] == "pass"


def test_an_answer_in_one_fence_is_read_and_one_with_words_around_is_not() -> None:
    assert one_object('```json\n{"a": 1}\n```') == {"a": 1}
    for text in ('x {"a": 1}', '{"a": 1} x', '```\n{"a": 1}\n``` x', '{"a": NaN}', '{"a": 1, "a": 1}', "7", ""):
        assert one_object(text) is None
