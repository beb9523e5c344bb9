"""The retail agent: what its policy allows is done, and every forbidden way is refused, whatever the customer says."""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path
from typing import Any

import pytest

from bench import tau2
from bench.agents.retail import tools
from ruche.plugins.errors import ConfigurationError
from tests.bench.shop import ADA, DATABASE, action, folder


def measured(path: Path) -> dict[str, Any]:
    return asyncio.run(tau2.measure(argparse.Namespace(data=path, embedder="hashing", limit=None)))


def test_gold_actions_are_accepted_and_their_forbidden_variants_refused(tmp_path: Path) -> None:
    result = measured(folder(
        tmp_path,
        [ADA, action("get_order_details", order_id="#W1000001"),
         action("modify_pending_order_items", order_id="#W1000001", item_ids=["1000000001"],
                new_item_ids=["1000000002"], payment_method_id="credit_card_111")],
        [action("cancel_pending_order", order_id="#W1000001", reason="ordered by mistake"),
         action("return_delivered_order_items", order_id="#W1000002", item_ids=["1000000001"],
                payment_method_id="gift_card_222"),
         action("modify_user_address", user_id="ada_low", address1="9 Oak Row", address2="", city="New York",
                state="NY", country="USA", zip="10001")],
        [action("find_user_id_by_email", email="wrong@post.example"),
         action("find_user_id_by_email", email="ada.low@post.example"),
         action("get_user_details", user_id="ada_low"), action("calculate", expression="2 + 3.5"),
         action("list_all_product_types"), action("transfer_to_human_agents", summary="anything")]))
    assert result["missed"] == []
    assert result["gold_refused"] == 0
    assert result["gold_actions"] == 12
    assert result["gold_writes"] == 4
    assert result["variants_passed"] == 0
    assert set(result["forbidden"]) == set(tau2.KINDS) - {"refund_elsewhere"}


def test_a_gold_action_that_the_policy_forbids_is_told_apart_from_a_refusal(tmp_path: Path) -> None:
    result = measured(folder(tmp_path, [ADA, action(
        "exchange_delivered_order_items", order_id="#W1000002", item_ids=["1000000001"], new_item_ids=["1000000002"],
        payment_method_id="gift_card_222")]))
    assert (result["gold_refused"], result["gold_against_policy"]) == (0, 1)
    assert "5.0 are due and the gift card holds 3" in result["missed"][0]


def test_an_action_that_no_scenario_serves_is_counted_as_refused(tmp_path: Path) -> None:
    assert measured(folder(tmp_path, [ADA, action("grant_discount", order_id="#W1000001")]))["gold_refused"] == 1


@pytest.mark.parametrize(("name", "arguments", "why"), [
    ("cancel_pending_order", {"user_id": "bo_hill", "order_id": "#W1000001", "reason": "no longer needed"}, "else's"),
    ("cancel_pending_order", {"user_id": "ada_low", "order_id": "#W1000002", "reason": "bored"}, "delivered"),
    ("cancel_pending_order", {"user_id": "ada_low", "order_id": "#W1000001", "reason": "bored"}, "no reason"),
    ("return_delivered_order_items", {"user_id": "ada_low", "order_id": "#W1000002", "item_ids": "1000000002",
                                      "payment_method_id": "credit_card_111"}, "not all"),
    ("return_delivered_order_items", {"user_id": "ada_low", "order_id": "#W1000002", "item_ids": "1000000001",
                                      "payment_method_id": "paypal_333"}, "no payment method"),
    ("exchange_delivered_order_items", {"user_id": "ada_low", "order_id": "#W1000002", "item_ids": "1000000001",
                                        "new_item_ids": "1000000003", "payment_method_id": "credit_card_111"},
     "not available"),
    ("modify_pending_order_payment", {"user_id": "ada_low", "order_id": "#W1000001",
                                      "payment_method_id": "gift_card_222"}, "does not cover"),
    ("calculate", {"expression": "2 ** 9999"}, "no sum")])
def test_the_book_keeps_its_own_rules_where_a_function_is_called_past_the_scenarios(
        name: str, arguments: dict[str, str], why: str) -> None:
    tools.open_shop(DATABASE)
    with pytest.raises(ValueError, match=why):
        getattr(tools, name)(**arguments)


def test_a_shop_that_was_copied_goes_its_own_way() -> None:
    shop = tools.Shop(DATABASE)
    other = shop.copy()
    other.change("orders", "#W1000001")["status"] = "cancelled"
    assert shop.read("orders", "#W1000001")["status"] == "pending"


def test_a_folder_without_a_database_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"db\.json"):
        tau2.read(tmp_path)
