"""Names of one person over HTTP: linked, spoken under, shown, erased, held and handed out together, and unlinked."""

from __future__ import annotations

import io
import json
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.server.served import Answer, Served, served
from tests.server.test_people import AGENT, tell


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(*desk(tmp_path_factory.mktemp("identities")), io.StringIO()) as site:
        yield site


def desk(root: Path) -> tuple[Path, Path]:
    """A data directory and agents of two tenants."""
    for tenant in ("", "@rival/"):
        for name, text in AGENT.items():
            path = root / "agents" / f"{tenant}desk" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    return root / "data", root / "agents"


def link(house: Served, person: str, name: Any, **token: Any) -> Answer:
    return house.request("POST", f"/v1/interlocutors/{person}/identities", {"identity": name},
                         house.token("admin", **token))


def unlink(house: Served, person: str, name: str, **token: Any) -> Answer:
    return house.request("DELETE", f"/v1/interlocutors/{person}/identities/{name}", token=house.token("admin", **token))


def fields(house: Served, person: str) -> dict[str, Any]:
    shown = house.request("GET", f"/v1/interlocutors/{person}", token=house.token("admin"))
    assert shown.status == 200
    return {name: value["value"] for name, value in shown.json["fields"].items()}


def sessions(house: Served, who: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = house.request("GET", "/v1/sessions", token=house.token(sub=who)).json["items"]
    return found


def test_a_linked_name_speaks_as_the_person_and_brings_what_was_known_of_it(house: Served) -> None:
    tell(house, "ada")
    admin = house.token("admin")
    house.request("PATCH", "/v1/interlocutors/ada", {"fields": {"seats": None}}, admin)
    tell(house, "kiosk-1")
    made = link(house, "ada", "kiosk-1")
    assert (made.status, made.json["interlocutor_id"], made.json["identity"]) == (201, "ada", "kiosk-1")
    assert fields(house, "ada") == fields(house, "kiosk-1") == {"email": "ada@example.org", "seats": 4}
    said = house.chat("book a table", house.token(sub="kiosk-1"), agent="desk")
    assert said.json["reply"] == "Booked for 4."
    session = house.request("GET", f"/v1/sessions/{said.json['session_id']}", token=house.token("operator")).json
    assert session["interlocutor_id"] == "ada"


def test_the_conversations_of_all_names_are_one_list_and_each_name_may_read_them(house: Served) -> None:
    tell(house, "bea")
    tell(house, "kiosk-2")
    before = sessions(house, "kiosk-2")
    link(house, "bea", "kiosk-2")
    house.chat("book a table", house.token(sub="kiosk-2"), agent="desk", new_session=True)
    listed = sessions(house, "bea")
    assert listed == sessions(house, "kiosk-2")
    assert len(listed) == 3
    assert {one["id"] for one in before} < {one["id"] for one in listed}
    assert [one["status"] == "CLOSED" for one in listed] == [False, True, True]
    paged, cursor = list[str](), ""
    while cursor is not None:
        page = house.request("GET", f"/v1/sessions?limit=1{cursor and '&cursor=' + cursor}",
                             token=house.token(sub="bea")).json
        paged, cursor = paged + [one["id"] for one in page["items"]], page["next_cursor"]
    assert paged == [one["id"] for one in listed]
    for who in ("bea", "kiosk-2"):
        for one in listed:
            assert house.request("GET", f"/v1/sessions/{one['id']}/turns", token=house.token(sub=who)).status == 200
    assert house.request("GET", f"/v1/sessions/{listed[0]['id']}", token=house.token(sub="stranger")).status == 404


def test_unlinking_restores_what_was_and_leaves_what_was_said_meanwhile(house: Served) -> None:
    tell(house, "cy")
    house.request("PATCH", "/v1/interlocutors/cy", {"fields": {"seats": None}}, house.token("admin"))
    tell(house, "kiosk-3")
    before = fields(house, "kiosk-3")
    link(house, "cy", "kiosk-3")
    house.chat("book a table", house.token(sub="kiosk-3"), agent="desk")
    assert unlink(house, "cy", "kiosk-3").status == 204
    assert fields(house, "kiosk-3") == before
    assert fields(house, "cy") == {"email": "cy@example.org"}
    assert [one["turn_count"] for one in sessions(house, "cy")] == [4]
    assert [one["turn_count"] for one in sessions(house, "kiosk-3")] == [3]
    own = house.chat("book a table", house.token(sub="kiosk-3"), agent="desk").json["session_id"]
    assert house.request("GET", f"/v1/sessions/{own}", token=house.token(sub="cy")).status == 404
    assert unlink(house, "cy", "kiosk-3").status == 404


def test_what_was_changed_meanwhile_stays_with_the_person_without_what_was_brought(house: Served) -> None:
    tell(house, "dan")
    house.request("PATCH", "/v1/interlocutors/dan", {"fields": {"seats": None}}, house.token("admin"))
    tell(house, "kiosk-4")
    link(house, "dan", "kiosk-4")
    changed = house.request("PATCH", "/v1/interlocutors/kiosk-4", {"fields": {"seats": 7}}, house.token("admin")).json
    assert (changed["interlocutor_id"], changed["fields"]["seats"]["earlier"]) == ("dan", 1)
    unlink(house, "dan", "kiosk-4")
    left = house.request("GET", "/v1/interlocutors/dan", token=house.token("admin")).json["fields"]["seats"]
    assert (left["value"], left["earlier"]) == (7, 0)


@pytest.mark.parametrize("asked", ["eve", "kiosk-5"])
def test_an_erasure_by_any_name_covers_all_of_them(house: Served, asked: str) -> None:
    tell(house, "eve")
    tell(house, "kiosk-5")
    link(house, "eve", "kiosk-5")
    done = house.request("DELETE", f"/v1/interlocutors/{asked}", token=house.token("admin"))
    assert done.status == 200
    assert len(done.json["also"]) == 1
    assert not set(done.json["keys"]) & set(done.json["also"][0]["keys"])
    for name in ("eve", "kiosk-5"):
        assert house.request("GET", f"/v1/interlocutors/{name}", token=house.token("admin")).status == 404
        assert sessions(house, name) == []
    assert house.chat("book a table", house.token(sub="kiosk-5"), agent="desk").json["reply"].endswith("Your e-mail?")
    assert house.request("GET", "/v1/interlocutors/eve", token=house.token("admin")).status == 404


def test_a_hold_on_any_name_keeps_all_of_them(house: Served) -> None:
    tell(house, "fay")
    tell(house, "kiosk-6")
    admin = house.token("admin")
    hold = {"held": True, "reason": "case 1"}
    assert house.request("POST", "/v1/interlocutors/fay/hold", hold, admin).status == 204
    link(house, "fay", "kiosk-6")
    unlink(house, "fay", "kiosk-6")
    for name in ("fay", "kiosk-6"):
        assert house.request("DELETE", f"/v1/interlocutors/{name}", token=admin).status == 409
    link(house, "fay", "kiosk-6")
    house.request("POST", "/v1/interlocutors/kiosk-6/hold", {**hold, "held": False}, admin)
    assert house.request("DELETE", "/v1/interlocutors/kiosk-6", token=admin).status == 200


def test_an_export_by_any_name_holds_what_all_of_them_left(house: Served) -> None:
    tell(house, "gil")
    tell(house, "kiosk-7")
    link(house, "gil", "kiosk-7")
    listed = {one["id"] for one in sessions(house, "gil")}
    body = house.request("POST", "/v1/interlocutors/kiosk-7/export", token=house.token("admin")).body
    with zipfile.ZipFile(io.BytesIO(body)) as made:
        names = made.namelist()
        profile, others = json.loads(made.read("profile.json")), json.loads(made.read("identities.json"))
    assert {Path(name).stem for name in names if name.startswith("sessions/")} == listed
    assert len(listed) == 2
    assert sum(name.startswith("runs/") for name in names) == 6
    assert profile["interlocutor"] == "gil"
    assert others[0]["profile"]["fields"]["email"]["value"] == "kiosk-7@example.org"


def test_linking_is_refused_where_it_would_be_ambiguous(house: Served) -> None:
    for who in ("hal", "ida", "kiosk-8"):
        tell(house, who)
    assert link(house, "hal", "kiosk-8").status == 201
    assert link(house, "hal", "kiosk-8").json == link(house, "hal", "kiosk-8").json
    for person, name, status in (("ida", "kiosk-8", 409), ("kiosk-8", "ida", 409), ("ida", "hal", 409),
                                 ("hal", "hal", 422), ("nobody", "kiosk-9", 404), ("hal", "", 422), ("hal", 7, 422),
                                 ("hal", "a\nb", 422), ("hal", "x" * 201, 422)):
        assert link(house, person, name).status == status, (person, name)
    assert unlink(house, "ida", "kiosk-8").status == 404
    listed = house.request("GET", "/v1/interlocutors/hal/identities", token=house.token("operator")).json["items"]
    assert [(one["identity"], one["linked_by"]) for one in listed] == [("kiosk-8", "ada")]


def test_a_name_that_never_spoke_can_be_linked(house: Served) -> None:
    tell(house, "jo")
    assert link(house, "jo", "+49 30 1234").status == 201
    assert house.chat("book a table", house.token(sub="+49 30 1234"), agent="desk").json["reply"] == "Booked for 4."
    assert house.request("DELETE", "/v1/interlocutors/jo", token=house.token("admin")).json["also"] == []


def test_no_tenant_sees_or_changes_the_names_of_another(house: Served) -> None:
    tell(house, "kim")
    rival = house.token("admin", tenant="rival")
    assert link(house, "kim", "kiosk-10").status == 201
    assert link(house, "kim", "kiosk-11", tenant="rival").status == 404
    assert unlink(house, "kim", "kiosk-10", tenant="rival").status == 404
    assert house.request("GET", "/v1/interlocutors/kim/identities", token=rival).status == 404
    said = house.chat("book a table", house.token(sub="kiosk-10", tenant="rival"), agent="desk")
    assert said.json["reply"].endswith("Your e-mail?")
    seen = house.request("GET", f"/v1/sessions/{said.json['session_id']}", token=house.token(
        "operator", tenant="rival")).json
    assert seen["interlocutor_id"] == "kiosk-10"


@pytest.mark.parametrize("role", ["interlocutor", "channel", "agent_author", "operator", "auditor"])
def test_only_an_admin_links_and_unlinks(house: Served, role: str) -> None:
    token = house.token(role)
    assert house.request("POST", "/v1/interlocutors/ada/identities", {"identity": "x"}, token).status == 403
    assert house.request("DELETE", "/v1/interlocutors/ada/identities/x", token=token).status == 403


def test_a_message_that_is_sent_again_after_its_name_was_linked_or_unlinked_is_answered_once(house: Served) -> None:
    tell(house, "lea")
    token, once = house.token(sub="kiosk-12"), {"Idempotency-Key": "first"}

    def say(key: dict[str, str]) -> Any:
        return house.request("POST", "/v1/chat", {"agent_id": "desk", "message": "book a table", "channel": "api"},
                             token, key).json["turn_id"]

    first = say(once)
    link(house, "lea", "kiosk-12")
    second = say({"Idempotency-Key": "second"})
    assert say(once) == first
    unlink(house, "lea", "kiosk-12")
    assert say({"Idempotency-Key": "second"}) == second
    assert say(once) == first


def test_an_export_is_not_remembered_under_its_key_and_a_link_is(house: Served) -> None:
    tell(house, "nia")
    admin, once = house.token("admin"), {"Idempotency-Key": "nia"}
    made = [house.request("POST", "/v1/interlocutors/nia/identities", {"identity": "kiosk-15"}, admin, once)
            for _ in range(2)]
    assert made[0].json == made[1].json
    other = house.request("POST", "/v1/interlocutors/nia/identities", {"identity": "kiosk-16"}, admin, once)
    assert (other.status, other.code) == (409, "IDEMPOTENCY_MISMATCH")
    export = {"Idempotency-Key": "export"}
    assert house.request("POST", "/v1/interlocutors/nia/export", None, admin, export).status == 200
    house.request("DELETE", "/v1/interlocutors/nia", token=admin)
    assert house.request("POST", "/v1/interlocutors/nia/export", None, admin, export).status == 404


def test_links_are_there_after_a_restart(tmp_path: Path) -> None:
    data, agents = desk(tmp_path)
    with served(data, agents, io.StringIO()) as site:
        tell(site, "mia")
        link(site, "mia", "kiosk-13")
        link(site, "mia", "kiosk-14")
        unlink(site, "mia", "kiosk-14")
    with served(data, agents, io.StringIO()) as site:
        assert site.chat("book a table", site.token(sub="kiosk-13"), agent="desk").json["reply"] == "Booked for 4."
        said = site.chat("book a table", site.token(sub="kiosk-14"), agent="desk").json["reply"]
        assert said.endswith("Your e-mail?")
        listed = site.request("GET", "/v1/interlocutors/kiosk-13/identities", token=site.token("admin")).json["items"]
        assert [one["identity"] for one in listed] == ["kiosk-13"]


def test_nothing_that_was_answered_is_lost_while_a_name_is_linked_and_unlinked(house: Served) -> None:
    tell(house, "ola")
    token, statuses, done = house.token(sub="kiosk-17"), list[int](), threading.Event()

    def speak() -> None:
        while not done.is_set():
            statuses.append(house.chat("book a table", token, agent="desk").status)

    speaker = threading.Thread(target=speak)
    speaker.start()
    try:
        for _ in range(5):
            assert link(house, "ola", "kiosk-17").status == 201
            assert unlink(house, "ola", "kiosk-17").status == 204
    finally:
        done.set()
        speaker.join(30)
    kept = [one for who in ("ola", "kiosk-17") for one in sessions(house, who)]
    assert {200} <= set(statuses) <= {200, 503}
    assert sum(one["turn_count"] for one in kept) == 3 + statuses.count(200)
    for one in kept:
        assert house.request("GET", f"/v1/sessions/{one['id']}/turns?limit=100",
                             token=house.token("operator")).status == 200
