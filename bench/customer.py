"""A customer of the retail agent: says what they want, answers what is asked, and says yes or no."""

from __future__ import annotations

from typing import Any, NamedTuple

from bench.agents.retail import tools
from bench.suites.talking import Room, Talk
from ruche.storage.model.run import Run

MOST_TURNS = 16


class Want(NamedTuple):
    """What a call of a tool is asked for with: the first words, and an answer per field."""

    opening: str
    answers: dict[str, str]


WANTS = {
    "cancel_pending_order": ("please cancel my order", ("order_id", "reason")),
    "modify_pending_order_address": ("send my order to another address",
                                     ("order_id", "address1", "address2", "city", "state", "country", "zip")),
    "modify_pending_order_payment": ("pay my order with another method", ("order_id", "payment_method_id")),
    "modify_pending_order_items": ("change the items of my order",
                                   ("order_id", "item_ids", "new_item_ids", "payment_method_id")),
    "exchange_delivered_order_items": ("I want to exchange an item",
                                       ("order_id", "item_ids", "new_item_ids", "payment_method_id")),
    "return_delivered_order_items": ("I want to return an item", ("order_id", "item_ids", "payment_method_id")),
    "modify_user_address": ("change my default address", ("address1", "address2", "city", "state", "country", "zip")),
    "get_order_details": ("look up an order", ("order_id",)),
    "get_product_details": ("look up a product", ("product_id",)),
    "get_item_details": ("look up an item", ("item_id",)),
    "get_user_details": ("show me my account", ()),
    "list_all_product_types": ("list your products", ()),
    "calculate": ("add these amounts up", ("expression",)),
    "transfer_to_human_agents": ("I want to talk to a person", ()),
    "find_user_id_by_email": ("let me identify myself", ("email",)),
    "find_user_id_by_name_zip": ("let me identify myself", ("first_name", "last_name", "zip")),
}
WRITES = tuple(name for name in WANTS if name.startswith(("cancel", "modify", "exchange", "return")))
_FIELDS = {"expression": "sum"}


def want(name: str, arguments: dict[str, Any]) -> Want:
    """Raises KeyError for a tool that the agent does not have."""
    opening, parameters = WANTS[name]
    fields = {**_FIELDS, **({"zip": "own_zip"} if name == "find_user_id_by_name_zip" else {})}
    answers = {fields.get(one, one): spoken(arguments[one]) for one in parameters if one in arguments}
    return Want(opening, answers)


def spoken(value: Any) -> str:
    """A value as a customer says it: lists parted by commas, nothing as `none`."""
    return ",".join(map(str, value)) if isinstance(value, list) else str(value) or "none"


class Customer:
    """One conversation over one shop."""

    def __init__(self, room: Room, shop: tools.Shop) -> None:
        self.room, self.shop = room, shop
        self.talk: Talk = room.talk()
        self.runs: list[Run] = []

    async def ask(self, wanted: Want, answer: str = "yes") -> list[tuple[str, str, dict[str, Any]]]:
        """The calls (tool, status, arguments) that it led to. `answer` is what is said where a yes is asked for."""
        first = len(self.runs)
        await self.say(wanted.opening)
        for _ in range(MOST_TURNS):
            reply = self._reply(wanted.answers, answer)
            if reply is None:
                break
            await self.say(reply)
        return [(call.name, call.status, call.arguments) for run in self.runs[first:] for call in run.tools]

    async def say(self, text: str) -> Run:
        tools.SHOP = self.shop
        self.runs.append(await self.talk.say(text))
        return self.runs[-1]

    def _reply(self, answers: dict[str, str], answer: str) -> str | None:
        """What the agent waits for, in the customer's words; None when it waits for nothing that they can say."""
        session = self.talk.session
        active = [one for one in session.scenarios if one.status == "active"]
        if not active:
            return None
        if session.pending is not None and session.pending.kind == "confirmation":
            refused_before = self.runs and self.runs[-1].said == (answer,)
            return None if answer != "yes" and refused_before else answer
        for name in active[0].asked:
            if name in answers:
                return answers[name]
        if active[0].scenario == "identify" and active[0].step == "begin":
            return f"my e-mail address is {answers['email']}" if "email" in answers else \
                f"my name is {answers['first_name']} {answers['last_name']}, zip {answers['own_zip']}"
        return None
