"""A small shop in the format of tau2's retail folder, written for tests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def item(key: str, price: float, available: bool = True) -> dict[str, Any]:
    return {"item_id": key, "options": {"colour": key[-1]}, "available": available, "price": price}


def user(first: str, last: str, zip_: str, orders: list[str], **methods: Any) -> dict[str, Any]:
    return {"user_id": f"{first}_{last}".lower(), "name": {"first_name": first, "last_name": last},
            "address": {"address1": "1 Elm Row", "address2": "", "city": "Troy", "country": "USA", "state": "NY",
                        "zip": zip_}, "email": f"{first}.{last}@post.example".lower(), "orders": orders,
            "payment_methods": {key: {"id": key, **one} for key, one in methods.items()}}


def order(key: str, owner: str, status: str, method: str, *items: str) -> dict[str, Any]:
    return {"order_id": key, "user_id": owner, "address": {}, "status": status, "fulfillments": [],
            "items": [{"name": "Lamp", "product_id": "1000000000", "item_id": one, "price": 20.0, "options": {}}
                      for one in items],
            "payment_history": [{"transaction_type": "payment", "amount": 20.0 * len(items),
                                 "payment_method_id": method}]}


DATABASE: dict[str, Any] = {
    "products": {
        "1000000000": {"name": "Lamp", "product_id": "1000000000", "variants": {
            key: item(key, price, free) for key, price, free in (
                ("1000000001", 20.0, True), ("1000000002", 25.0, True), ("1000000003", 30.0, False))}},
        "2000000000": {"name": "Desk", "product_id": "2000000000",
                       "variants": {"2000000001": item("2000000001", 200.0)}}},
    "users": {
        "ada_low": user("Ada", "Low", "12180", ["#W1000001", "#W1000002"],
                        credit_card_111={"source": "credit_card"}, gift_card_222={"source": "gift_card", "balance": 3}),
        "bo_hill": user("Bo", "Hill", "12181", [], paypal_333={"source": "paypal"})},
    "orders": {
        "#W1000001": order("#W1000001", "ada_low", "pending", "credit_card_111", "1000000001"),
        "#W1000002": order("#W1000002", "ada_low", "delivered", "credit_card_111", "1000000001", "1000000001")},
}
ADA = {"name": "find_user_id_by_name_zip", "arguments": {"first_name": "Ada", "last_name": "Low", "zip": "12180"}}


def action(name: str, **arguments: Any) -> dict[str, Any]:
    return {"name": name, "arguments": arguments}


def folder(path: Path, *tasks: list[dict[str, Any]]) -> Path:
    """A data folder with the shop and these gold actions."""
    (path / "db.json").write_text(json.dumps(DATABASE))
    (path / "tasks_small.json").write_text(json.dumps(
        [{"id": str(place), "evaluation_criteria": {"actions": actions}} for place, actions in enumerate(tasks)]))
    return path
