"""What a step or a hard rule cannot do without: outputs and variables besides fields, and values to begin with."""

from __future__ import annotations

from typing import Any

import pytest

from ruche.engine.authoring.load import load_folder
from ruche.engine.authoring.samples import sample_folder
from ruche.plugins.contracts import Generated, Prompt, ToolResult
from ruche.storage.model.bundle import AgentBundle
from tests.brain.talk import Functions, bundle, talking

EXAMPLES = ["I want to order", "take my order", "an order please"]


def order(**last: Any) -> AgentBundle:
    """Asks what, looks the price up, and only with a price says it."""
    return bundle(
        fields=[{"name": "dish", "scope": "CASE", "ask": "Which dish?", "allowed": ["soup", "cake"]}],
        tools=[{"id": "look", "python": "t.py:f", "outputs": {"price": "price"},
                "parameters": {"type": "object", "properties": {"dish": {}}, "required": ["dish"]}}],
        scenarios=[{"id": "order", "entry": "the user wants to order", "examples": EXAMPLES, "steps": [
            {"id": "what", "collects": ["dish"], "tools": [{"tool": "look"}], "next": [{"to": "tell"}]},
            {"id": "tell", "say": "That makes {{ price | default('nothing') }}.", "requires": ["price"],
             "next": [{"to": "end"}], **last},
            {"id": "end", "say": "It is ordered."}]}])


@pytest.mark.anyio
async def test_a_step_says_what_it_says_once_the_output_is_there() -> None:
    async with talking(order(), Functions(look=lambda dish: {"price": 9})) as talk:
        await talk.say("take my order")
        assert await talk.reply("soup") == "That makes 9. It is ordered."


@pytest.mark.anyio
async def test_a_step_without_its_output_says_nothing_and_leads_nowhere() -> None:
    async with talking(order(), Functions(look=lambda dish: {"sold": "out"})) as talk:
        await talk.say("take my order")
        reply = await talk.reply("soup")
        assert "makes" not in reply
        assert "ordered" not in reply
        assert talk.step == "order/tell"


@pytest.mark.anyio
async def test_a_condition_leads_on_from_a_step_without_its_output() -> None:
    agent = order(next=[{"to": "end", "when": "price > 0"}, {"to": "gone", "when": "look_status == 'ok'"}])
    spec = agent.model_dump(mode="json", by_alias=True)
    spec["scenarios"][0]["steps"].append({"id": "gone", "say": "The {{ dish }} is gone."})
    async with talking(AgentBundle.model_validate(spec), Functions(look=lambda dish: {"sold": "out"})) as talk:
        await talk.say("take my order")
        assert await talk.reply("soup") == "The soup is gone."


@pytest.mark.anyio
async def test_nothing_is_called_while_an_output_lacks() -> None:
    agent = order(tools=[{"tool": "look"}], confirm="For {{ price }}, all right?")
    async with talking(agent, Functions(look=lambda dish: ToolResult(status="error", error="down"))) as talk:
        await talk.say("take my order")
        run = await talk.say("soup")
        assert [call.status for call in run.tools] == ["error"]
        assert "all right?" not in run.reply


@pytest.mark.anyio
async def test_a_variable_that_a_step_requires_is_fetched_for_it() -> None:
    agent = bundle(
        tools=[{"id": "tier_of", "python": "t.py:f"}],
        variables=[{"name": "tier", "tool": "tier_of"}],
        scenarios=[{"id": "order", "entry": "the user wants to order", "examples": EXAMPLES, "steps": [
            {"id": "tell", "say": "Welcome.", "requires": ["tier"], "next": [{"to": "gold", "when": "tier == 'gold'"}]},
            {"id": "gold", "say": "You are a gold member."}]}])
    async with talking(agent, Functions(tier_of=lambda: {"tier": "gold"})) as talk:
        assert "You are a gold member." in await talk.reply("take my order")
        assert [name for name, _ in talk.tools.calls] == ["tier_of"]


# --- values to begin with -------------------------------------------------------------------------------------------


class Says:
    """A model that says the same thing every time."""

    name = "says"

    def __init__(self, text: str) -> None:
        self._text = text

    async def generate(self, prompt: Prompt) -> Generated:
        return Generated(text=self._text)

    async def stream(self, prompt: Prompt) -> Any:
        yield self._text


@pytest.mark.anyio
@pytest.mark.parametrize(("variables", "outcome"), [([], "not_applicable"),
                                                    ([{"name": "member", "default": False}], "fail")])
async def test_a_default_makes_a_rule_strict_while_nothing_is_known(variables: list[Any], outcome: str) -> None:
    agent = bundle(agent={"models": {"generator": "says"}}, variables=variables, rules=[
        {"id": "sums", "if": "a sum is named", "then": "Members only", "hard": True,
         "enforce": "member or not contains_amount"}])
    async with talking(agent, generator=Says("It is 50 dollars.")) as talk:
        run = await talk.say("what is it")
        assert run.enforcement.checked == (("sums", outcome),)


@pytest.mark.anyio
@pytest.mark.parametrize("scope", ["IDENTITY", "SESSION"])
async def test_a_default_is_read_while_a_field_is_unknown_and_the_field_is_still_asked_for(scope: str) -> None:
    space = "profile" if scope == "IDENTITY" else "session"
    agent = bundle(
        fields=[{"name": "tier", "ask": "Which tier?", "allowed": ["gold", "iron"], "scope": scope}],
        variables=[{"name": "tier", "default": "no"}],
        scenarios=[{"id": "order", "entry": "the user wants to order", "examples": EXAMPLES, "steps": [
            {"id": "what", "say": f"You have {{{{ tier }}}} tier, {{{{ {space}.tier }}}} tier.", "collects": ["tier"],
             "next": [{"to": "end"}]},
            {"id": "end", "say": "It is {{ tier }}."}]}])
    async with talking(agent) as talk:
        assert await talk.reply("take my order") == "You have no tier, no tier. Which tier?"
        assert await talk.reply("gold") == "It is gold."


@pytest.mark.anyio
async def test_an_output_takes_the_place_of_a_default() -> None:
    agent = bundle(
        tools=[{"id": "login", "python": "t.py:f", "outputs": {"member": "member"}}],
        variables=[{"name": "member", "default": "nobody"}],
        rules=[{"id": "who", "if": "the user asks who they are", "then": "You are {{ member }}."},
               {"id": "in", "if": "the user logs in now", "then": "Done.", "tools": [{"tool": "login"}]}])
    async with talking(agent, Functions(login=lambda: {"member": "Ada"})) as talk:
        assert await talk.reply("the user asks who they are") == "You are nobody."
        await talk.say("the user logs in now")
        assert await talk.reply("the user asks who they are") == "You are Ada."


@pytest.mark.anyio
@pytest.mark.parametrize(("said", "rule", "fallback"), [
    ("There are $812 in it.", "no_amount_before_authentication", "fallback_bank"),
    ("You should take an aspirin.", "no_medical_advice", "fallback"),
])
async def test_the_front_desk_names_no_sum_to_somebody_it_has_not_asked(said: str, rule: str, fallback: str) -> None:
    made = load_folder(sample_folder("frontdesk")).require().model_dump(by_alias=True)
    made["agent"]["models"]["generator"] = "says"
    async with talking(AgentBundle.model_validate({**made, "id": "desk"}), generator=Says(said)) as talk:
        run = await talk.say("hm")
        assert (rule, "fail") in run.enforcement.checked
        assert run.enforcement.fallback == fallback
