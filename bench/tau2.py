"""Gold actions of retail tasks against the retail agent: none may be refused, and no forbidden variant may pass.

Every gold action is asked for by a customer who answers what the agent asks; every gold write is also tried in ways
that the shop's policy forbids. Workflows of the folder `telecom` are imported and must pass the author's check.

    python -m bench.tau2 --data DIR
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from bench.agents.retail import tools
from bench.customer import WANTS, WRITES, Customer, Want, want
from bench.report import emit, measured, percentile, progress, table
from bench.suites.talking import Room
from ruche.actors.retriever import Retriever
from ruche.actors.system import ActorSystem
from ruche.engine.authoring.load import load_folder
from ruche.engine.config import ModelSettings
from ruche.plugins.embedders import open_embedder
from ruche.plugins.errors import ConfigurationError

AGENT = Path(__file__).parent / "agents" / "retail"
Action = dict[str, Any]
KINDS = ("wrong_status", "not_confirmed", "repeated", "another_persons_order", "foreign_payment_method", "stranger",
         "wrong_reason", "item_of_another_order", "another_product", "refund_elsewhere", "gift_card_too_small")


class Variant(NamedTuple):
    """A forbidden way to ask for a write: by whom, over which shop, with which arguments and which last word."""

    kind: str
    user: str | None
    shop: tools.Shop
    arguments: dict[str, Any]
    answer: str = "yes"


class Retail(NamedTuple):
    database: dict[str, Any]
    tasks: list[dict[str, Any]]


def read(folder: Path) -> Retail:
    """`db.json` and `tasks*.json`, here or in `retail/`. Raises ConfigurationError when one is missing."""
    root = folder / "retail" if (folder / "retail" / "db.json").is_file() else folder
    files = sorted(root.glob("tasks*.json"))
    if not (root / "db.json").is_file() or not files:
        raise ConfigurationError(f"{folder} has no db.json with tasks*.json, neither there nor in retail/")
    tasks = [task for path in files for task in json.loads(path.read_text(encoding="utf-8"))]
    return Retail(json.loads((root / "db.json").read_text(encoding="utf-8")), tasks)


class Replay:
    """Counts what became of every action."""

    def __init__(self, room: Room, retail: Retail) -> None:
        self.room, self.retail = room, retail
        self.gold: Counter[tuple[str, str]] = Counter()
        self.variants: Counter[tuple[str, str]] = Counter()
        self.misses: list[str] = []

    async def task(self, task: dict[str, Any]) -> None:
        """One customer, all actions in order; then the forbidden ways of every write, each in a conversation of its
        own over the shop as it was before that write."""
        actions = (task.get("evaluation_criteria") or {}).get("actions") or []
        customer = Customer(self.room, tools.Shop(self.retail.database))
        user = self._user(actions)
        known = any(one["name"].startswith("find_user") for one in actions) or user is None
        if not known:
            await customer.ask(self._card(user))
        for action in actions:
            before = customer.shop.copy()
            fault = contradiction(action, before)
            accepted = await self._accepted(customer, action)
            self.gold["accepted" if accepted else "against_policy" if fault else "refused", action["name"]] += 1
            if not accepted:
                self.misses.append(f"task {task.get('id')}: {action['name']}{': ' + fault if fault else ''}")
            if action["name"] in WRITES and user is not None:
                await self._forbidden(action, user, before)

    async def _accepted(self, customer: Customer, action: Action) -> bool:
        """The tool was called with exactly these arguments; a write was carried out."""
        if action["name"] not in WANTS:
            return False
        wanted = want(action["name"], action["arguments"])
        calls = await customer.ask(wanted)
        written = action["name"] in WRITES
        return any(name == action["name"] and _same(arguments, action["arguments"])
                   and (status in ("ok", "cached") or (not written and status == "error"))
                   for name, status, arguments in calls)

    async def _forbidden(self, action: Action, user: str, before: tools.Shop) -> None:
        for variant in variants(action, user, before, self.retail.database):
            customer = Customer(self.room, variant.shop)
            if variant.user is not None:
                await customer.ask(self._card(variant.user))
            wanted = want(action["name"], variant.arguments)
            if variant.kind == "repeated":
                await customer.ask(wanted)
            calls = await customer.ask(wanted, variant.answer)
            made = [status for name, status, _ in calls if name == action["name"] and status != "skipped"]
            outcome = "passed" if "ok" in made or "cached" in made else "by_tool" if made else "by_scenario"
            self.variants[outcome, variant.kind] += 1
            if outcome == "passed":
                self.misses.append(f"{variant.kind} of {action['name']} {action['arguments'].get('order_id', '')}")

    def _card(self, user: str | None) -> Want:
        """How a person shows who they are."""
        email = self.retail.database["users"][user]["email"]
        return want("find_user_id_by_email", {"email": email})

    def _user(self, actions: Sequence[Action]) -> str | None:
        """Whose conversation it is, by the orders and ids of its actions."""
        orders = self.retail.database["orders"]
        for one in actions:
            arguments = one["arguments"]
            if arguments.get("user_id") in self.retail.database["users"]:
                return str(arguments["user_id"])
            if arguments.get("order_id") in orders:
                return str(orders[arguments["order_id"]]["user_id"])
        return None


def contradiction(action: Action, shop: tools.Shop) -> str:
    """Why the policy itself forbids a gold action, told from the database alone; empty when it does not. The policy
    wants a gift card to cover what new items cost more."""
    arguments = action["arguments"]
    if "new_item_ids" not in arguments:
        return ""
    try:
        order = shop.read("orders", arguments["order_id"])
        method = shop.read("users", order["user_id"])["payment_methods"].get(arguments["payment_method_id"], {})
    except ValueError:
        return ""
    prices = {one["item_id"]: one["price"] for one in order["items"]}
    for one in shop.every("products"):
        prices.update({key: item["price"] for key, item in one["variants"].items() if key in arguments["new_item_ids"]})
    due = round(sum(prices.get(key, 0.0) for key in arguments["new_item_ids"])
                - sum(prices.get(key, 0.0) for key in arguments["item_ids"]), 2)
    balance = method.get("balance", due)
    return f"{due} are due and the gift card holds {balance}" if balance < due else ""


def variants(action: Action, user: str, before: tools.Shop, database: dict[str, Any]) -> Iterator[Variant]:
    """Every forbidden way that there is for this write."""
    arguments, name = dict(action["arguments"]), action["name"]
    other = next(one for one in sorted(database["users"]) if one != user and
                 database["users"][one]["payment_methods"])
    yield Variant("not_confirmed", user, before.copy(), arguments, "no")
    yield Variant("not_confirmed", user, before.copy(), arguments, "how long will that take?")
    yield Variant("repeated", user, before.copy(), arguments)
    yield Variant("stranger", None, before.copy(), arguments)
    if "order_id" in arguments:
        yield Variant("another_persons_order", other, before.copy(), arguments)
        right = "delivered" if "delivered" in name else "pending"
        for status in ("pending", "processed", "delivered", "cancelled"):
            if status != right:
                yield Variant("wrong_status", user, _with(before, "orders", arguments["order_id"], status=status),
                              arguments)
    if "reason" in arguments:
        yield Variant("wrong_reason", user, before.copy(), {**arguments, "reason": "found it cheaper elsewhere"})
    if "payment_method_id" in arguments:
        yield from _payments(action, user, other, before, database)
    if "item_ids" in arguments:
        yield from _items(action, user, before, database)


def _payments(action: Action, user: str, other: str, before: tools.Shop, database: dict[str, Any]) -> Iterator[Variant]:
    arguments = action["arguments"]
    foreign = next(iter(sorted(set(database["users"][other]["payment_methods"]) -
                               set(database["users"][user]["payment_methods"]))), None)
    if foreign is not None:
        yield Variant("foreign_payment_method", user, before.copy(), {**arguments, "payment_method_id": foreign})
    methods = before.read("users", user)["payment_methods"]
    paid = {one["payment_method_id"] for one in before.read("orders", arguments["order_id"])["payment_history"]}
    if action["name"] == "return_delivered_order_items":
        elsewhere = [key for key, one in methods.items() if one["source"] != "gift_card" and key not in paid]
        yield from (Variant("refund_elsewhere", user, before.copy(), {**arguments, "payment_method_id": key})
                    for key in elsewhere)
    for key, one in methods.items():
        if one["source"] == "gift_card" and "new_item_ids" in arguments:
            poor = before.copy()
            poor.change("users", user)["payment_methods"][key]["balance"] = -1_000_000.0
            yield Variant("gift_card_too_small", user, poor, {**arguments, "payment_method_id": key})


def _items(action: Action, user: str, before: tools.Shop, database: dict[str, Any]) -> Iterator[Variant]:
    arguments = action["arguments"]
    held = before.read("orders", arguments["order_id"])["items"]
    inside = {one["product_id"] for one in held}
    product = next(one for key, one in sorted(database["products"].items()) if key not in inside)
    stray = next(iter(sorted(product["variants"])))
    yield Variant("item_of_another_order", user, before.copy(),
                  {**arguments, "item_ids": [stray, *arguments["item_ids"][1:]]})
    if "new_item_ids" in arguments:
        yield Variant("another_product", user, before.copy(),
                      {**arguments, "new_item_ids": [stray, *arguments["new_item_ids"][1:]]})


def _with(shop: tools.Shop, table_: str, key: str, **changes: Any) -> tools.Shop:
    other = shop.copy()
    other.change(table_, key).update(changes)
    return other


def _same(got: dict[str, Any], gold: dict[str, Any]) -> bool:
    """All of gold's arguments; lists are written with commas, an empty second line of an address as `none`; a
    summary is anybody's own words."""
    def plain(value: Any) -> str:
        text = ",".join(map(str, value)) if isinstance(value, list) else str(value)
        return "" if text.lower() == "none" else text
    return all(plain(got.get(name, "")) == plain(value) for name, value in gold.items() if name != "summary")


async def measure(options: argparse.Namespace) -> dict[str, Any]:
    embedder, notice = open_embedder(ModelSettings(embedder=options.embedder))
    if notice:
        progress(notice)
    retail = read(options.data)
    times: list[float] = []
    async with ActorSystem() as system:
        room = await Room.open(Retriever(embedder, system), load_folder(AGENT).require(), times)
        room.tools.functions = {name: _function(name) for name in room.agent.tools}
        replay = Replay(room, retail)
        for task in retail.tasks[:options.limit]:
            await replay.task(task)
    result = {"tasks": len(retail.tasks[:options.limit]), **_counts(replay), "turns": len(times),
              "ms_per_turn_p50": round(percentile(times or [0.0], 0.5), 3), "embedder": embedder.name,
              "missed": replay.misses[:50]}
    return {**result, "workflows": workflows(options.data)}


def _function(name: str) -> Any:
    return lambda arguments: getattr(tools, name)(**arguments)


def _counts(replay: Replay) -> dict[str, Any]:
    gold = {name: {kind: replay.gold[kind, name] for kind in ("accepted", "refused", "against_policy")}
            for name in sorted({name for _, name in replay.gold})}
    tried = {kind: {"refused_by_scenario": replay.variants["by_scenario", kind],
                    "refused_by_tool": replay.variants["by_tool", kind], "passed": replay.variants["passed", kind]}
             for kind in KINDS if any(found == kind for _, found in replay.variants)}
    return {"gold_actions": sum(replay.gold.values()),
            "gold_refused": sum(one["refused"] for one in gold.values()),
            "gold_against_policy": sum(one["against_policy"] for one in gold.values()),
            "gold_writes": sum(sum(gold[name].values()) for name in gold if name in WRITES),
            "variants": sum(replay.variants.values()),
            "variants_passed": sum(one["passed"] for one in tried.values()), "gold": gold, "forbidden": tried}


def workflows(folder: Path) -> list[dict[str, Any]]:
    """Every DOT file below the folder, imported as an agent folder and checked."""
    from ruche.engine.authoring.importers.dot import import_dot

    found = []
    for path in sorted(folder.rglob("*.dot")):
        with tempfile.TemporaryDirectory() as place:
            target = Path(place) / "workflow"
            import_dot([path], target)
            checked = load_folder(target)
            steps = len(checked.bundle.scenarios[0].steps) if checked.bundle else 0
            found.append({"file": path.name, "steps": steps, "errors": len(checked.errors),
                          "warnings": len(checked.problems) - len(checked.errors)})
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="a folder as of tau2, or its retail folder")
    options, result = measured(parser, arguments, measure, quick=20, rows="tasks")
    emit(result, _shown(result), as_json=options.json)


def _shown(result: dict[str, Any]) -> str:
    gold = [(name, *one.values()) for name, one in result["gold"].items()]
    tried = [(kind, one["refused_by_scenario"], one["refused_by_tool"], one["passed"])
             for kind, one in result["forbidden"].items()]
    flows = [tuple(one.values()) for one in result["workflows"]]
    parts = [table(f"{result['gold_actions']} gold actions of {result['tasks']} tasks",
                   ("action", "accepted", "refused", "against the policy"), gold),
             table(f"{result['variants']} forbidden variants of {result['gold_writes']} gold writes",
                   ("variant", "refused by the scenario", "refused by the tool", "passed"), tried)]
    if flows:
        parts.append(table("imported workflows", ("file", "steps", "errors", "warnings"), flows))
    return "\n\n".join([*parts, "\n".join(f"missed: {one}" for one in result["missed"])]).rstrip()


if __name__ == "__main__":
    main()
