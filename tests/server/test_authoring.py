"""Writing an agent over HTTP: drafts, parts, check, publish, versions and the way back, over a real server."""

from __future__ import annotations

import io
import shutil
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.server.conftest import make_agents
from tests.server.served import Answer, Served, served

HOURS = {"id": "hours", "if": "Somebody asks when we open", "then": "We open at nine.",
         "examples": ["when do you open", "opening hours"]}
HEAD = {"name": "Desk", "unmatched": "I do not know."}


class Pen:
    """An author at an agent of the site."""

    def __init__(self, site: Served, agent: str, *roles: str, tenant: str = "default") -> None:
        self.site, self.agent = site, agent
        self.token = site.token(*(roles or ("agent_author",)), sub="ann", tenant=tenant)

    def __call__(self, method: str, path: str = "", body: Any = None, **headers: str) -> Answer:
        return self.site.request(method, f"/v1/agents/{self.agent}{path}", body, self.token,
                                 {name.replace("_", "-"): value for name, value in headers.items()})

    def begin(self) -> Pen:
        made = self.site.request("POST", "/v1/agents", {"id": self.agent, "agent": HEAD}, self.token)
        assert made.status == 201, made.body
        return self

    def say(self, text: str) -> Answer:
        return self.site.chat(text, self.site.token(sub="ada"), agent=self.agent)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Any:
    root = tmp_path_factory.mktemp("authoring")
    with served(root / "data", make_agents(root / "agents"), io.StringIO()) as site:
        yield site


def test_an_agent_is_drafted_checked_published_and_spoken_with(house: Served) -> None:
    pen = Pen(house, "first").begin()
    assert pen.say("when do you open").status == 404
    made = pen("POST", "/rules", HOURS)
    assert (made.status, made.json["then"], made.headers["etag"]) == (201, "We open at nine.", '"2"')
    assert pen.say("when do you open").status == 404
    assert pen("POST", "/check").json == {"ok": True, "problems": [], "revision": 2}
    done = pen("POST", "/publish", {"note": "the first"})
    assert (done.status, done.json["version"], done.json["problems"]) == (200, 1, [])
    assert pen.say("when do you open").json["reply"] == "We open at nine."
    shown = pen("GET", "/versions").json["items"][0]
    assert (shown["source"], shown["published_by"], shown["note"]) == ("api", "ann", "the first")


def test_nothing_that_serves_changes_before_it_is_published(house: Served) -> None:
    pen = Pen(house, "second").begin()
    pen("POST", "/rules", HOURS)
    pen("POST", "/publish")
    pen("PUT", "/rules/hours", {**HOURS, "then": "We open at ten."})
    assert pen.say("when do you open").json["reply"] == "We open at nine."
    assert pen("GET", "/rules/hours").json["then"] == "We open at ten."
    assert pen("POST", "/publish").json["version"] == 2
    assert pen.say("when do you open").json["reply"] == "We open at ten."


def test_a_draft_that_does_not_check_is_not_published_and_every_problem_is_told(house: Served) -> None:
    pen = Pen(house, "third").begin()
    pen("POST", "/rules", {**HOURS, "when": "colour == 'red'", "hard": True})
    found = pen("POST", "/check").json
    assert not found["ok"]
    first = next(one for one in found["problems"] if one["code"] == "E402")
    assert (first["file"], first["path"], bool(first["hint"])) == ("rules.yaml", "rules/0/when", True)
    line = pen("GET", "/files").json["files"]["rules.yaml"].splitlines()[first["line"] - 1]
    assert line == first["source"] == "  when: colour == 'red'"
    assert line[first["column"] - 1:].startswith("colour")
    refused = pen("POST", "/publish")
    assert (refused.status, refused.code) == (422, "CHECK_FAILED")
    assert {one["code"] for one in refused.json["error"]["details"]["problems"]} >= {"E402", "E601"}
    assert refused.json["error"]["message"].startswith("it cannot be published: rules.yaml:")
    assert pen("GET").status == 404


def test_an_agent_of_a_folder_is_checked_where_its_author_wrote_it(tmp_path: Path) -> None:
    agents = make_agents(tmp_path / "agents")
    with served(tmp_path / "data", agents, io.StringIO()) as site:
        pen, rules = Pen(site, "kiosk"), agents / "kiosk" / "rules.yaml"
        assert pen("POST", "/check").json["ok"]
        odd = "\n# another\n- id: odd\n  if: somebody asks\n  then: Yes.\n  when: nowhere > 1\n"
        rules.write_text(rules.read_text() + odd)
        found = pen("POST", "/check").json
        [problem] = [one for one in found["problems"] if one["code"].startswith("E")]
        written = rules.read_text().splitlines()
        assert (problem["file"], problem["source"], problem["path"]) == ("rules.yaml", "  when: nowhere > 1", "")
        assert (written[problem["line"] - 1], problem["column"], found["ok"]) == ("  when: nowhere > 1", 9, False)
        shutil.rmtree(agents / "kiosk")
        assert pen("POST", "/check").json["ok"]


def test_the_values_of_headers_are_in_no_file_and_no_finding(house: Served) -> None:
    pen = Pen(house, "headers").begin()
    made = pen("POST", "/tools", {"id": "look", "http": "https://example.org/x",
                                  "headers": {"X-Key": "canary-value"}, "arguments": {"a": "nowhere + 1"}})
    assert made.status == 201
    for path in (("GET", "/files"), ("POST", "/check")):
        shown = pen(*path)
        assert (shown.status, b"canary-value" in shown.body) == (200, False)
    assert "X-Key: ''" in pen("GET", "/files").json["files"]["tools.yaml"]


def test_rollback_publishes_an_earlier_version_and_leaves_the_draft_alone(house: Served) -> None:
    pen = Pen(house, "fourth").begin()
    pen("POST", "/rules", HOURS)
    pen("POST", "/publish")
    pen("PUT", "/rules/hours", {**HOURS, "then": "We open at ten."})
    pen("POST", "/publish")
    pen("PUT", "/rules/hours", {**HOURS, "then": "We open at eleven."})
    assert pen("POST", "/rollback", {"version": 1}).json["version"] == 3
    assert pen.say("when do you open").json["reply"] == "We open at nine."
    assert pen("GET", "/rules/hours").json["then"] == "We open at eleven."
    assert [one["version"] for one in pen("GET", "/versions").json["items"]] == [3, 2, 1]
    assert pen("GET", "/versions/2").json["rules"][0]["then"] == "We open at ten."
    assert [pen("GET", f"/versions/{name}").status for name in ("9", "0", "x", "02", "9" * 30)] == [404] * 5
    assert pen("DELETE", "/draft").status == 204
    assert pen("GET", "/rules/hours").json["then"] == "We open at nine."
    assert (pen("GET", "/draft").status, pen("DELETE", "/draft").status) == (404, 404)


@pytest.mark.parametrize(("part", "name", "item"), [
    ("rules", "r1", {"id": "r1", "if": "a", "then": "b"}),
    ("scenarios", "s1", {"id": "s1", "entry": "Somebody wants a taxi", "steps": [{"id": "a", "say": "Yes."}]}),
    ("templates", "t1", {"id": "t1", "text": "Hello {{ first_name }}"}),
    ("fields", "first_name", {"name": "first_name"}),
    ("variables", "tier", {"name": "tier", "default": "basic"}),
    ("glossary", "SLA", {"term": "SLA", "definition": "what we promise"}),
    ("intents", "refund", {"id": "refund", "examples": ["money back"]}),
    ("tools", "look", {"id": "look", "http": "https://api.example.com/look"}),
    ("relationships", "a.excludes.b", {"source": "a", "kind": "excludes", "target": "b"}),
])
def test_every_kind_of_part_is_created_listed_read_replaced_and_deleted(house: Served, part: str, name: str,
                                                                        item: dict[str, Any]) -> None:
    pen = Pen(house, f"parts-{part}").begin()
    assert pen("POST", f"/{part}", item).status == 201
    assert pen("POST", f"/{part}", item).status == 201, "the same again"
    plain = {key: value for key, value in item.items() if key != "steps"}
    assert [plain.items() <= one.items() for one in pen("GET", f"/{part}").json["items"]] == [True]
    assert plain.items() <= pen("GET", f"/{part}/{name}").json.items()
    assert pen("PUT", f"/{part}/{name}", item).status == 200
    assert pen("PUT", f"/{part}/unknown", item).status == 404
    assert pen("DELETE", f"/{part}/{name}").status == 204
    assert pen("DELETE", f"/{part}/{name}").status == 404
    assert pen("GET", f"/{part}").json["items"] == []


def test_a_name_that_is_taken_conflicts_and_one_that_differs_from_the_address_is_refused(house: Served) -> None:
    pen = Pen(house, "names").begin()
    pen("POST", "/rules", HOURS)
    taken = pen("POST", "/rules", {**HOURS, "then": "Never."})
    assert (taken.status, taken.code) == (409, "RESOURCE_CONFLICT")
    assert pen("PUT", "/rules/hours", {**HOURS, "id": "other"}).status == 422
    short = {key: value for key, value in HOURS.items() if key != "id"}
    assert pen("PUT", "/rules/hours", short).json["id"] == "hours"
    fresh = [house.request("POST", "/v1/agents", {"id": "twice", "agent": HEAD}, pen.token) for _ in range(2)]
    assert [(one.status, one.headers["etag"]) for one in fresh] == [(201, '"1"')] * 2
    again = house.request("POST", "/v1/agents", {"id": "names", "agent": HEAD}, pen.token)
    assert (again.status, again.code) == (409, "RESOURCE_CONFLICT")


@pytest.mark.parametrize(("body", "path"), [
    ({**HOURS, "priority": 101}, "priority"), ({**HOURS, "colour": "red"}, "colour"), ({"id": "x"}, "if"),
    ({**HOURS, "hard": "yes"}, "hard"), ({**HOURS, "examples": "one"}, "examples"),
    ({**HOURS, "tools": [{"tool": "a", "when": "NEVER"}]}, "tools.0.when"), ([1], ""),
])
def test_what_a_part_may_not_hold_is_named_by_its_path(house: Served, body: Any, path: str) -> None:
    pen = Pen(house, "paths")
    if pen("GET", "/rules").status == 404:
        pen.begin()
    refused = pen("POST", "/rules", body)
    assert (refused.status, refused.code) == (422, "VALIDATION_ERROR")
    assert path in [one["path"] for one in refused.json["error"]["details"]["fields"]]
    assert pen("POST", "/rules", b"{not json").status in (400, 422)
    assert pen("PUT", "/draft", b"{not json").code == "INVALID_JSON"


def test_many_rules_are_taken_at_once_or_not_at_all(house: Served) -> None:
    pen = Pen(house, "bulk").begin()
    pen("POST", "/rules", HOURS)
    many = [{**HOURS, "id": f"rule-{number:03d}"} for number in range(150)]
    done = pen("POST", "/rules/bulk", {"items": [{**HOURS, "then": "Other."}, *many]})
    assert (done.json["created"], done.json["replaced"]) == (150, 1)
    bad = pen("POST", "/rules/bulk", {"items": [{**HOURS, "id": "fine"}, {"id": "bad"}]})
    assert bad.json["error"]["details"]["fields"][0]["path"] == "items.1.if"
    assert pen("POST", "/rules/bulk", {"items": [HOURS, HOURS]}).status == 422
    assert pen("GET", "/rules/fine").status == 404
    names, cursor = [], ""
    while True:
        page = pen("GET", f"/rules?limit=40{cursor}").json
        names += [one["id"] for one in page["items"]]
        if page["next_cursor"] is None:
            break
        pen("POST", "/rules", {**HOURS, "id": f"a-{len(names)}"})
        cursor = f"&cursor={page['next_cursor']}"
    assert names == ["hours", *(one["id"] for one in many)]
    assert pen("GET", "/rules?cursor=%25").code == "BAD_CURSOR"


def test_an_etag_that_is_old_is_refused(house: Served) -> None:
    pen = Pen(house, "etags").begin()
    seen = pen("POST", "/rules", HOURS).headers["etag"]
    assert pen("PUT", "/rules/hours", {**HOURS, "then": "A."}, If_Match=seen).status == 200
    late = pen("PUT", "/rules/hours", {**HOURS, "then": "B."}, If_Match=seen)
    assert (late.status, late.json["error"]["details"]["revision"]) == (409, 3)
    assert pen("PUT", "/rules/hours", HOURS, If_Match="abc").status == 422
    assert pen("GET", "/rules/hours").json["then"] == "A."


def test_authors_who_write_at_the_same_time_lose_nothing(house: Served) -> None:
    pen = Pen(house, "crowd").begin()
    threads = [threading.Thread(target=pen, args=("POST", "/rules", {**HOURS, "id": f"rule-{number}"}))
               for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(pen("GET", "/rules?limit=100").json["items"]) == 12


def test_folder_agents_are_read_here_and_written_in_their_folder(house: Served) -> None:
    pen = Pen(house, "kiosk")
    assert pen("GET", "/rules").json["items"]
    rule = pen("GET", "/rules").json["items"][0]
    for method, path, body in (("POST", "/rules", HOURS), ("PUT", f"/rules/{rule['id']}", rule),
                               ("DELETE", f"/rules/{rule['id']}", None), ("DELETE", "", None), ("PUT", "", HEAD),
                               ("POST", "/publish", {}),
                               ("PUT", "/draft", {}), ("DELETE", "/draft", None),
                               ("POST", "/rules/bulk", {"items": [HOURS]})):
        refused = pen(method, path, body)
        assert (refused.status, refused.code) == (409, "READ_ONLY"), (method, path)
    assert pen("POST", "/check").json["ok"]


def test_an_author_can_neither_bring_code_nor_send_this_hosts_secrets_out(house: Served) -> None:
    pen, admin = Pen(house, "powers").begin(), Pen(house, "powers", "admin")
    tool = {"id": "look", "http": "https://api.example.com/look", "headers": {"x-key": "${CRM}"}}
    python = {"id": "run", "python": "tools.py:run"}
    assert [one("POST", "/tools", python).status for one in (pen, admin)] == [422, 422]
    assert pen("PUT", "/draft", {"agent": HEAD, "sources": {"tools.py": "import os"}}).status == 422
    assert (pen("POST", "/tools", tool).status, admin("POST", "/tools", tool).status) == (403, 201)
    assert pen("POST", "/rules", HOURS).status == 201, "what an admin has set does not stand in an author's way"
    assert pen("PUT", "/tools/look", {**tool, "http": "https://evil.example.com/look"}).status == 403
    assert pen("PUT", "/tools/look", {**tool, "headers": {"x-key": ""}, "description": "Looks."}).status == 200
    assert pen("GET", "/tools/look").json["headers"] == {"x-key": ""}
    private = {"id": "near", "http": "http://127.0.0.1:1/", "allow_private": True}
    assert (pen("POST", "/tools", private).status, admin("POST", "/tools", private).status) == (403, 201)
    speaks = {**HEAD, "models": {"generator": "openai", "url": "http://127.0.0.1:9/v1", "model": "m",
                                 "api_key": "RUCHE_ROOT_KEY"}}
    assert pen("PUT", "", speaks).status == 403
    assert admin("PUT", "", speaks).status == 200
    assert pen("PUT", "", {**speaks, "persona": "Kind."}).status == 200
    assert pen("PUT", "", {**speaks, "models": {**speaks["models"], "url": "http://evil.example.com/v1"}}).status == 403


def test_a_whole_draft_goes_out_and_comes_back_the_same(house: Served) -> None:
    pen, copy = Pen(house, "whole").begin(), Pen(house, "copy").begin()
    pen("POST", "/rules", HOURS)
    pen("POST", "/scenarios", {"id": "taxi", "entry": "Somebody wants a taxi", "steps": [{"id": "a", "say": "Yes."}]})
    draft = pen("GET", "/draft").json["draft"]
    assert copy("PUT", "/draft", {**draft, "id": "copy"}).status == 200
    assert copy("GET", "/draft").json["draft"] == {**draft, "id": "copy"}
    assert copy("PUT", "/draft", draft).status == 422
    assert copy("PUT", "/draft", {**draft, "id": "copy", "tenant": "rival"}).status == 422
    assert pen("POST", "/publish").json["version"] == copy("POST", "/publish").json["version"] == 1


def test_a_template_is_shown_with_values_before_anybody_hears_it(house: Served) -> None:
    pen = Pen(house, "preview").begin()
    pen("POST", "/templates", {"id": "hello", "text": "Hello {{ profile.first_name }}!"})
    shown = pen("POST", "/templates/hello/preview", {"values": {"profile": {"first_name": "Ada"}}})
    assert shown.json == {"text": "Hello Ada!", "reads": ["profile.first_name"], "problem": ""}
    assert pen("POST", "/templates/hello/preview", {}).json["text"] is None
    pen("POST", "/templates", {"id": "bad", "text": "{{ ''.__class__ }}"})
    assert "text" in pen("POST", "/templates/bad/preview", {}).json


def test_a_retired_agent_serves_nobody_keeps_its_runs_and_may_begin_again(house: Served) -> None:
    pen = Pen(house, "retired").begin()
    pen("POST", "/rules", HOURS)
    pen("POST", "/publish")
    turn = pen.say("when do you open").json["turn_id"]
    assert pen("DELETE").status == 204
    assert (pen.say("when do you open").status, pen("GET").status, pen("GET", "/rules").status) == (404, 404, 404)
    operator = house.token("operator")
    assert house.request("GET", f"/v1/runs/{turn}", token=operator).json["agent_version"] == 1
    pen.begin()
    pen("POST", "/rules", HOURS)
    assert pen("POST", "/publish").json["version"] == 3
    assert pen.say("when do you open").status == 200


def test_what_is_published_over_the_api_and_what_is_drafted_survive_a_restart(tmp_path: Path) -> None:
    data, agents = tmp_path / "data", make_agents(tmp_path / "agents")
    with served(data, agents, io.StringIO()) as site:
        pen = Pen(site, "kept").begin()
        pen("POST", "/rules", HOURS)
        pen("POST", "/publish")
        pen("PUT", "/rules/hours", {**HOURS, "then": "Later."})
        Pen(site, "gone").begin()("POST", "/publish")
        Pen(site, "gone")("DELETE")
        Pen(site, "idea").begin()
    with served(data, agents, io.StringIO()) as site:
        pen = Pen(site, "kept")
        assert pen.say("when do you open").json["reply"] == "We open at nine."
        assert pen("GET", "/rules/hours").json["then"] == "Later."
        listed = site.request("GET", "/v1/agents", token=pen.token).json["items"]
        assert {(one["id"], one["version"], one["source"]) for one in listed} >= {
            ("kept", 1, "api"), ("idea", 0, "api"), ("kiosk", 1, "folder")}
        assert "gone" not in {one["id"] for one in listed}


def test_another_tenants_draft_is_unknown(house: Served) -> None:
    Pen(house, "secret").begin()
    rival = Pen(house, "secret", "admin", tenant="rival")
    for method, path, body in (("GET", "/draft", None), ("GET", "/rules", None), ("PUT", "", HEAD),
                               ("POST", "/publish", {}), ("POST", "/rules", HOURS), ("DELETE", "", None)):
        assert rival(method, path, body).status == 404
    assert "secret" not in {one["id"] for one in house.request("GET", "/v1/agents", token=rival.token).json["items"]}


@pytest.mark.parametrize("id", ["a b", "../x", "a/b", "", "-a", "x" * 65])
def test_an_agents_id_is_a_plain_word(house: Served, id: str) -> None:
    made = house.request("POST", "/v1/agents", {"id": id, "agent": HEAD}, house.token("agent_author"))
    assert made.status == 422


def test_the_document_describes_what_authors_send(house: Served) -> None:
    document = house.request("GET", "/openapi.json").json
    body = document["paths"]["/v1/agents/{agent}/rules"]["post"]["requestBody"]["content"]["application/json"]
    assert body["schema"] == {"$ref": "#/components/schemas/Rule"}
    rule = document["components"]["schemas"]["Rule"]
    assert {"if", "then", "hard"} <= rule["properties"].keys()
    assert rule["additionalProperties"] is False
    named = {part["operationId"] for methods in document["paths"].values() for part in methods.values()}
    assert len(named) == sum(len(methods) for methods in document["paths"].values())
