"""A good folder becomes a bundle: short forms, tenants, canonical bytes, versions."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ruche.engine.authoring.document import read_document
from ruche.engine.authoring.load import find_folders, load_folder
from ruche.engine.authoring.publish import bundle_hash, next_version
from ruche.plugins.errors import ConfigurationError
from ruche.storage.model.bundle import AgentBundle, canonical_bundle

GOOD = {
    "agent.yaml": "name: Good\nlanguages: en\ntimezone: Europe/Berlin\npreset: balanced\n",
    "rules.yaml": """
- id: ask_refund
  if: Somebody wants the money back
  then: Explain the refund
  examples: give me my money back
  scope: {scenario: refund, step: ask}
  tools: look_up
  templates: refunds
- id: limit
  if: Money is promised
  then: Never more than fifty
  scope: {scenario: refund}
  hard: true
  enforce: amount <= 50 or profile.tier == 'VIP'
  requires: profile.tier
- id: polite
  if: Anything
  then: Be polite
  hard: true
  enforce: {use: phrase, options: {forbidden: [damn]}}
""",
    "relationships.yaml": "- {source: ask_refund, kind: depends_on, target: polite}\n",
    "templates.yaml": "- {id: refunds, mode: exclusive, text: 'Refunds for {{ tier }}.'}\n"
                      "- {id: sorry, mode: fallback, text: Sorry.}\n",
    "fields.yaml": "- {name: tier, allowed: [VIP, basic], scope: business}\n- {name: order, scope: case}\n",
    "intents.yaml": "- {id: leave, examples: [stop, enough]}\n",
    "glossary.yaml": "- {term: order, definition: A purchase, aliases: purchase}\n",
    "tools.yaml": "- {id: look_up, python: 'tools.py:look_up', outputs: {state: state}, policy: idempotent}\n",
    "tools.py": "def look_up():\n    return {'state': 'open'}\n",
    "scenarios/refund.yaml": """
entry: Somebody wants a refund
steps:
  - id: ask
    collects: order
    next: [{to: found, when: state == 'open'}, lost]
  - id: found
    say: Found it.
    next: {to: lost, intent: leave}
  - {id: lost, say: Lost it.}
""",
    "knowledge/faq.md": "# Refunds\n\nThey take a week.\n",
    "tests/first.yaml": "- anything: goes\n",
    "README.md": "Not part of the agent.\n",
}


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return folder


@pytest.fixture
def good(tmp_path: Path) -> AgentBundle:
    found = load_folder(write(tmp_path / "good", GOOD))
    assert found.problems == ()
    return found.require()


def test_a_good_folder_becomes_a_bundle(good: AgentBundle) -> None:
    assert (good.id, good.tenant, good.agent.name) == ("good", "default", "Good")
    assert [len(part) for part in (good.rules, good.templates, good.fields, good.tools)] == [3, 2, 2, 1]
    assert good.knowledge == {"faq.md": GOOD["knowledge/faq.md"]}
    assert good.sources == {"tools.py": GOOD["tools.py"]}


def test_short_forms_mean_what_they_say(good: AgentBundle) -> None:
    rule, limit, _ = good.rules
    assert (rule.scope, rule.scope_id, rule.examples) == ("STEP", "refund/ask", ("give me my money back",))
    assert [binding.tool for binding in rule.tools] == ["look_up"]
    assert rule.templates == ("refunds",)
    assert (limit.scope, limit.scope_id) == ("SCENARIO", "refund")
    assert [template.mode for template in good.templates] == ["EXCLUSIVE", "FALLBACK"]
    assert good.tools[0].policy == "IDEMPOTENT"
    assert good.agent.languages == ("en",)
    ask, found, _ = good.scenarios[0].steps
    assert [move.to for move in ask.next] == ["found", "lost"]
    assert [(move.to, move.intent) for move in found.next] == [("lost", "leave")]


def test_a_scenario_without_an_id_is_called_after_its_file(good: AgentBundle) -> None:
    assert good.scenarios[0].id == "refund"


def test_a_tenants_folder_belongs_to_the_tenant(tmp_path: Path) -> None:
    write(tmp_path / "@acme" / "good", GOOD)
    assert load_folder(tmp_path / "@acme" / "good").require().tenant == "acme"


def test_all_agents_of_all_tenants_are_found(tmp_path: Path) -> None:
    for name in ("b", "a", "@acme/c", ".hidden", "_draft"):
        write(tmp_path / name, {"agent.yaml": "name: A\n"})
    write(tmp_path / "notes", {"README.md": "no agent"})
    names = [folder.relative_to(tmp_path).as_posix() for folder in find_folders(tmp_path)]
    assert names == ["@acme/c", "a", "b"]
    assert find_folders(tmp_path / "a") == [tmp_path / "a"]
    assert find_folders(tmp_path / "nowhere") == []


def test_a_folder_that_lost_its_head_is_found_so_that_it_can_be_refused(tmp_path: Path) -> None:
    write(tmp_path / "broken", {"rules.yaml": "[]\n"})
    (folder,) = find_folders(tmp_path)
    with pytest.raises(ConfigurationError, match=r"broken/agent\.yaml:1:1 E114 agent\.yaml is missing"):
        load_folder(folder).require()


def test_the_same_content_has_the_same_bytes_in_any_order_of_keys(good: AgentBundle, tmp_path: Path) -> None:
    turned = {**GOOD, "fields.yaml": "- {scope: business, allowed: [VIP, basic], name: tier}\n"
                                     "# a remark\n- name: order\n  scope: CASE\n"}
    other = load_folder(write(tmp_path / "other" / "good", turned)).require()
    assert canonical_bundle(other) == canonical_bundle(good)
    assert bundle_hash(other) == bundle_hash(good)


@pytest.mark.parametrize("file", ["tools.py", "knowledge/faq.md", "templates.yaml"])
def test_any_change_of_content_changes_the_hash(good: AgentBundle, tmp_path: Path, file: str) -> None:
    changed = GOOD[file].replace("Sorry.", "So sorry.") if file == "templates.yaml" else GOOD[file] + "\n# more\n"
    other = load_folder(write(tmp_path / "other" / "good", {**GOOD, file: changed})).require()
    assert bundle_hash(other) != bundle_hash(good)


def test_the_hash_is_the_same_in_another_process_with_another_seed(good: AgentBundle, tmp_path: Path) -> None:
    code = ("import sys; from ruche.engine.authoring.load import load_folder\n"
            "from ruche.engine.authoring.publish import bundle_hash\n"
            "print(bundle_hash(load_folder(sys.argv[1]).bundle))")
    made = subprocess.run([sys.executable, "-c", code, str(tmp_path / "good")], capture_output=True, text=True,
                          check=True, env={"PYTHONHASHSEED": "7", "TZ": "Asia/Tokyo"})
    assert made.stdout.strip() == bundle_hash(good)


def test_a_bundle_read_back_from_its_bytes_is_the_bundle(good: AgentBundle) -> None:
    again = AgentBundle.model_validate(json.loads(canonical_bundle(good)))
    assert canonical_bundle(again) == canonical_bundle(good)


def test_versions_count_up_and_equal_content_is_not_published_again(good: AgentBundle) -> None:
    first = next_version(good, None, 1_000)
    assert first is not None
    assert (first.tenant, first.agent, first.version, first.hash) == ("default", "good", 1, bundle_hash(good))
    assert next_version(good, first, 2_000) is None
    changed = good.model_copy(update={"agent": good.agent.model_copy(update={"name": "Better"})})
    second = next_version(changed, first, 2_000)
    assert second is not None
    assert (second.version, second.at_ms) == (2, 2_000)


VALUES = st.sampled_from([None, True, 7, -1.5, "", "x", "r", "a/b", "{{ x", "a <", "[", "\x00", [], {}, [[]], ["x"],
                          {"x": 1}, [{}], {"use": "phrase"}, {"use": "pattern", "options": {"forbidden": "(a"}},
                          "x" * 3_000, "(((((((((((", "[[a]", "../../x", "Europe", "http://[",
                          {"type": "object", "properties": 3},
                          {"type": "object", "required": 3}, {"type": "object", "properties": {"x": 3}}])


def places(data: object, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    inner = list(data.items()) if isinstance(data, dict) else list(enumerate(data)) if isinstance(data, list) else []
    return [path, *(place for key, value in inner for place in places(value, (*path, key)))]


@given(st.data())
@settings(max_examples=400, deadline=None)
def test_no_wrong_value_anywhere_makes_loading_fail(tmp_path_factory: pytest.TempPathFactory,
                                                    data: st.DataObject) -> None:
    name = data.draw(st.sampled_from([name for name in GOOD if name.endswith(".yaml") and "tests" not in name]))
    read = read_document(name, GOOD[name])[0].data
    path = data.draw(st.sampled_from(places(read)))
    folder = write(tmp_path_factory.mktemp("broken") / "good", GOOD)
    (folder / name).write_text(json.dumps(put(read, path, data.draw(VALUES))), encoding="utf-8")
    found = load_folder(folder)
    assert (found.bundle is None) == bool(found.errors)


def put(data: object, path: tuple[str | int, ...], value: object) -> object:
    if not path:
        return value
    if isinstance(data, dict):
        return {**data, path[0]: put(data[path[0]], path[1:], value)}
    assert isinstance(data, list)
    return [put(item, path[1:], value) if index == path[0] else item for index, item in enumerate(data)]
