"""Persons over HTTP: what is known of them is covered, set right by colleagues, and handed out whole."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests.server.served import Served, served

AGENT = {
    "agent.yaml": "name: Desk\ngreeting: Hello.\n",
    "fields.yaml": "- {name: email, type: email, pii: true, ask: Your e-mail?}\n"
                   "- {name: seats, type: number, maximum: 9, ask: How many?}\n"
                   "- {name: city, allowed: [Rome, Oslo]}\n- {name: room, scope: CASE}\n",
    "scenarios/book.yaml": "entry: the user wants to book a table\nexamples: [book a table]\nsteps:\n"
                           "- {id: ask, collects: [email, seats], next: done}\n"
                           "- {id: done, say: 'Booked for {{ seats }}.'}\n"}


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Any:
    root = tmp_path_factory.mktemp("people")
    for name, text in AGENT.items():
        path = root / "agents" / "desk" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    with served(root / "data", root / "agents", io.StringIO()) as site:
        yield site


def tell(house: Served, who: str) -> None:
    for text in ("book a table", f"{who}@example.org", "4 seats"):
        assert house.chat(text, house.token(sub=who), agent="desk").status == 200


def test_an_operator_sees_what_is_known_but_no_personal_data(house: Served) -> None:
    tell(house, "ada")
    shown = house.request("GET", "/v1/interlocutors/ada", token=house.token("operator")).json["fields"]
    assert (shown["seats"]["value"], shown["seats"]["masked"], shown["seats"]["source"]) == (4, False, "user_provided")
    assert (shown["email"]["value"], shown["email"]["masked"]) == (None, True)
    seen = house.request("GET", "/v1/interlocutors/ada", token=house.token("admin")).json["fields"]
    assert seen["email"]["value"] == "ada@example.org"


def test_what_a_colleague_enters_is_right_and_used_in_the_next_turn(house: Served) -> None:
    tell(house, "bob")
    changed = house.request("PATCH", "/v1/interlocutors/bob", {"fields": {"seats": 6, "city": "oslo", "email": None}},
                            house.token("operator", sub="ann"))
    assert changed.status == 200
    fields = changed.json["fields"]
    assert (fields["seats"]["value"], fields["seats"]["verified"], fields["seats"]["verified_by"]) == (
        6, True, "human:ann")
    assert (fields["seats"]["earlier"], fields["city"]["value"], "email" in fields) == (1, "Oslo", False)
    assert house.chat("book a table", house.token(sub="bob"), agent="desk").json["reply"] == "Your e-mail?"
    assert house.chat("b@example.org", house.token(sub="bob"), agent="desk").json["reply"] == "Booked for 6."


@pytest.mark.parametrize(("fields", "says"), [
    ({"seats": 10}, "above 9"), ({"seats": "many"}, "no value of the field's type"), ({"city": "Paris"}, "no value"),
    ({"email": "ann at home"}, "no value"), ({"nothing": 1}, "no agent keeps"), ({"room": "7"}, "no agent keeps"),
    ({"seats": [1]}, "no value"), ({"seats": True}, "no value")], ids=str)
def test_what_a_field_does_not_take_is_refused_and_nothing_changes(house: Served, fields: dict[str, Any],
                                                                   says: str) -> None:
    tell(house, "cleo")
    before = house.request("GET", "/v1/interlocutors/cleo", token=house.token("admin")).json
    refused = house.request("PATCH", "/v1/interlocutors/cleo", {"fields": {"city": "Rome", **fields}},
                            house.token("admin"))
    assert refused.status == 422
    assert says in refused.json["error"]["message"]
    assert house.request("GET", "/v1/interlocutors/cleo", token=house.token("admin")).json == before


def test_the_export_holds_everything_that_is_kept_of_the_person(house: Served) -> None:
    tell(house, "dora")
    runs = house.request("GET", "/v1/runs?limit=100", token=house.token("operator")).json["items"]
    shown = [house.request("GET", f"/v1/runs/{one['id']}", token=house.token("admin")).json for one in runs]
    mine = {one["id"] for one in shown if one["interlocutor_id"] == "dora"}
    house.request("POST", f"/v1/runs/{min(mine)}/review", {"verdict": "rate", "note": "good", "rating": 5},
                  house.token("operator"))
    body = house.request("POST", "/v1/interlocutors/dora/export", token=house.token("admin"))
    assert (body.status, body.headers["content-type"]) == (200, "application/zip")
    with zipfile.ZipFile(io.BytesIO(body.body)) as archive:
        names = archive.namelist()
        profile = json.loads(archive.read("profile.json"))
        assert {Path(name).stem for name in names if name.startswith("runs/") and ".adv" not in name} == mine
        one = next(name for name in names if name.endswith(f"{min(mine)}.json"))
        assert archive.read(one) == house.request("GET", f"/v1/runs/{min(mine)}/export",
                                                  token=house.token("auditor")).body
    assert profile["fields"]["email"]["value"] == "dora@example.org"
    assert sum(name.startswith("sessions/") for name in names) == 1
    assert any(name.endswith(".advisories.json") for name in names)


def test_somebody_of_whom_nothing_is_kept_is_unknown(house: Served) -> None:
    for method, path, body in (("GET", "", None), ("PATCH", "", {"fields": {"seats": 1}}), ("POST", "/export", None)):
        assert house.request(method, f"/v1/interlocutors/nobody{path}", body, house.token("admin")).status == 404
