"""What a session remembers and what a run proves."""

from __future__ import annotations

from itertools import pairwise

import msgspec
import pytest

from ruche.plugins.errors import ConfigurationError
from ruche.storage.model.conversation import SessionState
from ruche.storage.model.run import Run, canonical, chain_link, digest, genesis, state_hash
from tests.brain.agents import RULES, taxi
from tests.brain.talk import ENGINE, Functions, bundle, talking

pytestmark = pytest.mark.anyio

PHASES = ["identify", "sense", "learn", "retrieve", "match", "orchestrate", "act", "plan", "speak", "enforce"]


async def test_each_run_points_to_the_one_before_and_begins_where_that_one_ended() -> None:
    async with talking(taxi(), Functions(book=lambda place, pickup_time: {"id": 1})) as talk:
        before = talk.session
        runs = [await talk.say(said) for said in ("I need a taxi", "Main Street 5", "7pm", "yes")]
        assert runs[0].previous == genesis("default", "session", ENGINE) == chain_link(before, ENGINE)
        for number, (one, other) in enumerate(pairwise(runs)):
            assert other.previous == digest(one)
            assert other.sequence == one.sequence + 1 == number + 1
            assert other.hashes.state_before == one.hashes.state_after
        assert talk.session.previous_run == digest(runs[-1])
        assert runs[-1].hashes.state_after == state_hash(talk.session)


async def test_a_session_that_was_stored_and_read_again_has_the_same_hash() -> None:
    async with talking(taxi(), Functions(book=lambda place, pickup_time: {"id": 1})) as talk:
        for said in ("I need a taxi", "Main Street 5", "7pm", "yes"):
            run = await talk.say(said)
            talk.session = msgspec.msgpack.decode(msgspec.msgpack.encode(talk.session), type=SessionState)
            assert state_hash(talk.session) == run.hashes.state_after
            again = msgspec.json.decode(canonical(run), type=Run)
            assert digest(again) == digest(run) == talk.session.previous_run


async def test_a_run_names_its_configuration_and_hashes_what_was_said_judged_and_replied() -> None:
    async with talking(bundle(rules=RULES)) as talk:
        run = await talk.say("when do you", "open?")
        agent = talk.brain._agents.current("default", "desk")
        assert run.hashes.configuration == agent.configuration
        assert run.hashes.output == digest(run.reply)
        assert run.hashes.evaluation == digest(run.enforcement)
        assert run.hashes.input == digest(talk.inputs[0].messages)
        assert run.said == ("when do you", "open?")
        assert run.message_ids == ("message-0-0", "message-0-1")


async def test_a_session_stays_as_small_at_turn_sixty_as_at_turn_twenty() -> None:
    async with talking(bundle(rules=RULES)) as talk:
        sizes = [0]
        for number in range(60):
            await talk.say(f"when do you open? {number:02d}")
            sizes.append(len(repr(talk.session)))
        assert len(talk.session.history) == 10
        assert abs(sizes[60] - sizes[20]) < 20
        assert talk.session.turn_count == 60


async def test_an_open_question_lengthens_the_next_accumulation_window() -> None:
    async with talking(taxi(), Functions(book=lambda place, pickup_time: {"id": 1})) as talk:
        hints = []
        for said in ("where can I park?", "I need a taxi", "Main Street 5", "7pm", "yes"):
            await talk.say(said)
            hints.append(talk.session.hint_ms)
        assert hints == [0, 1_000, 1_000, 500, 0]


async def test_every_phase_tells_its_time_and_subscribers_hear_of_it() -> None:
    async with talking(bundle(rules=RULES)) as talk:
        run = await talk.say("when do you open?")
        assert list(run.timings_ms) == ["accumulate", *PHASES, "total"]
        assert talk.desk.phases == PHASES


async def test_the_run_shows_its_caller_the_turn() -> None:
    async with talking(bundle(rules=RULES)) as talk:
        turn = (await talk.say("when do you open?")).turn()
        assert (turn.turn_id, turn.session_id, turn.status, turn.language) == ("turn-0", "session", "complete", "en")


BROKEN = [
    ({"rules": [{"id": "r", "if": "x", "then": "y", "when": "a ="}]}, "rule r"),
    ({"rules": [{"id": "r", "if": "x", "then": "y", "templates": ["t"]}]}, "no template called t"),
    ({"rules": [{"id": "r", "if": "x", "then": "y", "tools": [{"tool": "t"}]}]}, "no tool called t"),
    ({"rules": [{"id": "r", "if": "x", "then": "y", "scope": "STEP", "scope_id": "s/none"}]}, "scope_id"),
    ({"rules": [{"id": "r", "if": "x", "then": "y"}] * 2}, "rule r is there twice"),
    ({"rules": [{"id": "r", "if": "x", "then": "{{ y"}]}, "rule r"),
    ({"rules": [{"id": "r", "if": "x", "then": "y", "enforce": {"use": "nobody", "options": {"a": 1}}}]}, "nobody"),
    ({"scenarios": [{"id": "s", "entry": "e", "steps": [{"id": "a", "next": [{"to": "b"}]}]}]}, "no step called b"),
    ({"scenarios": [{"id": "s", "entry": "e", "steps": [{"id": "a", "collects": ["f"]}]}]}, "no field called f"),
    ({"fields": [{"name": "f", "pattern": "("}]}, "field f"),
    ({"agent": {"timezone": "Mars/Olympus"}}, "Mars/Olympus"),
    ({"relationships": [{"source": "a", "kind": "implies", "target": "b"}]}, "a is no rule, scenario or step"),
    ({"variables": [{"name": "v", "tool": "t"}]}, "no tool called t"),
]


@pytest.mark.parametrize(("parts", "named"), BROKEN, ids=lambda part: part if isinstance(part, str) else "")
async def test_an_agent_that_cannot_be_resolved_is_refused_before_anybody_speaks_with_it(parts: dict[str, object],
                                                                                         named: str) -> None:
    with pytest.raises(ConfigurationError, match=named.replace("/", ".")):
        async with talking(bundle(**parts)):
            raise AssertionError
