"""The shop's own systems, over a database of users, orders and products as in the folder `retail` of tau2.

Every function that changes something looks again at whatever the scenarios have looked at: the book is kept even where
somebody calls a function past them. A refusal is a ValueError that says why.
"""

from __future__ import annotations

import copy
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

Record = dict[str, Any]
REASONS = ("no longer needed", "ordered by mistake")
MONEY = 0.005
"""Half a cent: sums are equal that differ by less."""
_SUM = re.compile(r"[0-9+\-*/(). ]{1,200}")


class Shop:
    """A database, read and changed in memory; what it was made from stays as it was."""

    def __init__(self, database: Record) -> None:
        self._base = database
        self._changed: dict[tuple[str, str], Record] = {}
        self.done: set[str] = set()
        """Changes that were made, so that none is made twice."""

    def copy(self) -> Shop:
        """A shop that stands as this one does now, and goes its own way."""
        other = Shop(self._base)
        other._changed, other.done = copy.deepcopy(self._changed), set(self.done)
        return other

    def read(self, table: str, key: str) -> Record:
        """Raises ValueError for what is not in the book."""
        found = self._changed.get((table, key)) or self._base.get(table, {}).get(key)
        if found is None:
            raise ValueError(f"there is nothing called {key} among the {table}")
        return dict(found)

    def change(self, table: str, key: str) -> Record:
        """The record, to be changed in place."""
        if (table, key) not in self._changed:
            self._changed[table, key] = copy.deepcopy(self.read(table, key))
        return self._changed[table, key]

    def every(self, table: str) -> list[Record]:
        return [self.read(table, key) for key in self._base.get(table, {})]


SHOP = Shop({})


def open_shop(database: Record) -> None:
    """Begin anew over this database."""
    global SHOP
    SHOP = Shop(database)


def open_file(path: str) -> None:
    """Begin anew over a JSON file."""
    open_shop(json.loads(Path(path).read_text(encoding="utf-8")))


# --- reading ---------------------------------------------------------------------------------------------------------


def find_user_id_by_email(email: str) -> Record:
    """Who has this address; addresses are compared without regard to case."""
    return _identified(one for one in SHOP.every("users") if one["email"].lower() == email.lower())


def find_user_id_by_name_zip(first_name: str, last_name: str, zip: str) -> Record:
    """Who is called so and lives there."""
    wanted = (first_name.lower(), last_name.lower(), zip)
    return _identified(one for one in SHOP.every("users")
                       if (one["name"]["first_name"].lower(), one["name"]["last_name"].lower(),
                           one["address"]["zip"]) == wanted)


def _identified(found: Any) -> Record:
    user = next(iter(found), None)
    if user is None:
        raise ValueError("nobody fits")
    return {"user_id": user["user_id"], "first_name": user["name"]["first_name"]}


def get_user_details(user_id: str) -> Record:
    user = SHOP.read("users", user_id)
    return {**user, "summary": f"{len(user['orders'])} orders, mail to {user['email']}, "
                               f"payment by {', '.join(user['payment_methods'])}"}


def get_order_details(order_id: str) -> Record:
    order = SHOP.read("orders", order_id)
    paid = [one["payment_method_id"] for one in order["payment_history"] if one["transaction_type"] == "payment"]
    items = ", ".join(f"{one['name']} ({one['item_id']})" for one in order["items"])
    return {**order, "paid_with": paid[0] if paid else "", "summary": items,
            "methods": list(SHOP.read("users", order["user_id"])["payment_methods"])}


def get_product_details(product_id: str) -> Record:
    product = SHOP.read("products", product_id)
    free = sum(one["available"] for one in product["variants"].values())
    return {**product, "summary": f"{product['name']}: {len(product['variants'])} variants, {free} available"}


def get_item_details(item_id: str) -> Record:
    for product in SHOP.every("products"):
        if item_id in product["variants"]:
            item = product["variants"][item_id]
            state = "available" if item["available"] else "not available"
            return {**item, "summary": f"{product['name']}, {item['price']}, {state}"}
    raise ValueError(f"there is no item {item_id}")


def list_all_product_types() -> Record:
    names = sorted((one["name"], one["product_id"]) for one in SHOP.every("products"))
    return {"products": dict(names), "summary": ", ".join(name for name, _ in names)}


def calculate(expression: str) -> Record:
    """Plus, minus, times, divided by; two decimals."""
    if not _SUM.fullmatch(expression) or "**" in expression or "//" in expression:
        raise ValueError("that is no sum")
    try:
        value = eval(expression, {"__builtins__": {}})
    except (SyntaxError, ZeroDivisionError, TypeError) as error:
        raise ValueError("that is no sum") from error
    return {"result": f"{round(float(value), 2)}"}


def transfer_to_human_agents(summary: str) -> Record:
    return {"passed_on": bool(summary)}


# --- what may be changed ---------------------------------------------------------------------------------------------


def review(user_id: str, order_id: str, payment_method_id: str, item_ids: str, new_item_ids: str = "") -> Record:
    """Whether items may be exchanged for others with this payment method, before anybody is asked to confirm it."""
    order = _own(user_id, order_id)
    pairs = _pairs(order, _ids(item_ids), _ids(new_item_ids)) if new_item_ids else []
    if not new_item_ids:
        _in_order(order, _ids(item_ids))
    _covers(user_id, payment_method_id, _difference(order, pairs))
    return {"difference": _difference(order, pairs)}


def review_refund(user_id: str, order_id: str, payment_method_id: str, item_ids: str) -> Record:
    """Whether these items may be returned and paid back so."""
    order = _own(user_id, order_id)
    _in_order(order, _ids(item_ids))
    _refundable(user_id, order, payment_method_id)
    return {"refund": True}


def review_payment(user_id: str, order_id: str, payment_method_id: str) -> Record:
    """Whether an order may be paid with this method instead."""
    order = _own(user_id, order_id)
    if payment_method_id == _paid_with(order):
        raise ValueError("the order is paid with this method already")
    _covers(user_id, payment_method_id, _total(order))
    return {"total": _total(order)}


def cancel_pending_order(user_id: str, order_id: str, reason: str) -> Record:
    order = _open_order(user_id, order_id, "pending")
    if reason not in REASONS:
        raise ValueError(f"{reason} is no reason to cancel")
    changed = SHOP.change("orders", order_id)
    changed.update(status="cancelled", cancel_reason=reason)
    _pay_back(user_id, _paid_with(order), _total(order))
    return {"status": "cancelled"}


def modify_pending_order_address(user_id: str, order_id: str, address1: str, address2: str, city: str, state: str,
                                 country: str, zip: str) -> Record:
    _open_order(user_id, order_id, "pending")
    address = _address(address1, address2, city, state, country, zip)
    _once("address", order_id, address)
    SHOP.change("orders", order_id)["address"] = address
    return {"status": "pending"}


def modify_pending_order_payment(user_id: str, order_id: str, payment_method_id: str) -> Record:
    order = _open_order(user_id, order_id, "pending")
    review_payment(user_id, order_id, payment_method_id)
    _pay_back(user_id, _paid_with(order), _total(order))
    SHOP.change("orders", order_id)["payment_history"] = [
        {"transaction_type": "payment", "amount": _total(order), "payment_method_id": payment_method_id}]
    _pay_back(user_id, payment_method_id, -_total(order))
    return {"status": "pending"}


def modify_pending_order_items(user_id: str, order_id: str, item_ids: str, new_item_ids: str,
                               payment_method_id: str) -> Record:
    order = _open_order(user_id, order_id, "pending")
    pairs = _pairs(order, _ids(item_ids), _ids(new_item_ids))
    difference = _difference(order, pairs)
    _covers(user_id, payment_method_id, difference)
    SHOP.change("orders", order_id)["status"] = "pending (item modified)"
    _pay_back(user_id, payment_method_id, -difference)
    return {"status": "pending (item modified)", "difference": difference}


def exchange_delivered_order_items(user_id: str, order_id: str, item_ids: str, new_item_ids: str,
                                   payment_method_id: str) -> Record:
    order = _open_order(user_id, order_id, "delivered")
    difference = _difference(order, _pairs(order, _ids(item_ids), _ids(new_item_ids)))
    _covers(user_id, payment_method_id, difference)
    SHOP.change("orders", order_id).update(status="exchange requested", exchange_items=sorted(_ids(item_ids)))
    return {"status": "exchange requested", "difference": difference}


def return_delivered_order_items(user_id: str, order_id: str, item_ids: str, payment_method_id: str) -> Record:
    order = _open_order(user_id, order_id, "delivered")
    _in_order(order, _ids(item_ids))
    _refundable(user_id, order, payment_method_id)
    SHOP.change("orders", order_id).update(status="return requested", return_items=sorted(_ids(item_ids)))
    return {"status": "return requested"}


def modify_user_address(user_id: str, address1: str, address2: str, city: str, state: str, country: str,
                        zip: str) -> Record:
    address = _address(address1, address2, city, state, country, zip)
    SHOP.read("users", user_id)
    _once("user", user_id, address)
    SHOP.change("users", user_id)["address"] = address
    return {"saved": True}


# --- the book's rules ------------------------------------------------------------------------------------------------


def _own(user_id: str, order_id: str) -> Record:
    order = SHOP.read("orders", order_id)
    if order["user_id"] != user_id:
        raise ValueError("this is somebody else's order")
    return order


def _open_order(user_id: str, order_id: str, status: str) -> Record:
    order = _own(user_id, order_id)
    if order["status"] != status:
        raise ValueError(f"the order is {order['status']}, not {status}")
    return order


def _once(kind: str, key: str, value: Any) -> None:
    mark = json.dumps([kind, key, value], sort_keys=True)
    if mark in SHOP.done:
        raise ValueError("this was changed just so already")
    SHOP.done.add(mark)


def _ids(text: str) -> list[str]:
    return [one for one in text.split(",") if one]


def _in_order(order: Record, wanted: list[str]) -> None:
    held = Counter(one["item_id"] for one in order["items"])
    if not wanted or Counter(wanted) - held:
        raise ValueError("not all of these items are in the order")


def _pairs(order: Record, old: list[str], new: list[str]) -> list[tuple[str, str]]:
    """Old item to new item, each another free variant of the same product."""
    _in_order(order, old)
    if len(old) != len(new):
        raise ValueError("every item needs one new item")
    products = {one["item_id"]: one["product_id"] for one in order["items"]}
    for before, after in zip(old, new, strict=True):
        variant = SHOP.read("products", products[before])["variants"].get(after)
        if variant is None or before == after:
            raise ValueError(f"{after} is no other variant of the same product")
        if not variant["available"]:
            raise ValueError(f"{after} is not available")
    return list(zip(old, new, strict=True))


def _difference(order: Record, pairs: list[tuple[str, str]]) -> float:
    """What the new items cost more."""
    held = {one["item_id"]: one for one in order["items"]}
    return round(sum(SHOP.read("products", held[old]["product_id"])["variants"][new]["price"] - held[old]["price"]
                     for old, new in pairs), 2)


def _method(user_id: str, payment_method_id: str) -> Record:
    method = SHOP.read("users", user_id)["payment_methods"].get(payment_method_id)
    if method is None:
        raise ValueError("this is no payment method of the customer")
    return dict(method)


def _covers(user_id: str, payment_method_id: str, amount: float) -> None:
    method = _method(user_id, payment_method_id)
    if method["source"] == "gift_card" and method["balance"] + MONEY < amount:
        raise ValueError("the gift card does not cover it")


def _refundable(user_id: str, order: Record, payment_method_id: str) -> None:
    method = _method(user_id, payment_method_id)
    if method["source"] != "gift_card" and payment_method_id != _paid_with(order):
        raise ValueError("money goes back the way it came, or to a gift card")


def _paid_with(order: Record) -> str:
    return next((str(one["payment_method_id"]) for one in order["payment_history"]
                 if one["transaction_type"] == "payment"), "")


def _total(order: Record) -> float:
    return round(sum(one["price"] for one in order["items"]), 2)


def _pay_back(user_id: str, payment_method_id: str, amount: float) -> None:
    """Gift cards at once; what goes to a bank is the bank's."""
    if payment_method_id in SHOP.read("users", user_id)["payment_methods"]:
        method = SHOP.change("users", user_id)["payment_methods"][payment_method_id]
        if method["source"] == "gift_card":
            method["balance"] = round(method["balance"] + amount, 2)


def _address(address1: str, address2: str, city: str, state: str, country: str, zip: str) -> Record:
    second = "" if address2.lower() in ("none", "no") else address2
    return {"address1": address1, "address2": second, "city": city, "state": state, "country": country, "zip": zip}
