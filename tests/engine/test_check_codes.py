"""Every fault that the author's check knows: a tiny broken folder, and the file and line at which it is reported."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import NamedTuple

import pytest

import ruche.engine.authoring.load
from ruche.engine.authoring.load import load_folder
from ruche.engine.brain.compiled import CompiledAgent

AGENT = {"agent.yaml": "name: Tiny\n"}
FALLBACK = "- {id: f, mode: fallback, text: Sorry}\n"
RULE = "- id: r\n  if: Somebody asks\n  then: Answer\n"
TOOL = "- {id: t, python: 'tools.py:f'}\n"
SOURCE = "def f():\n    return {}\n"
JUDGED = "name: A\nmodels: {generator: openai, url: 'http://x/v1', model: m, judge: {}}\n"
STEPS = "entry: Somebody asks\nsteps:\n"


class Case(NamedTuple):
    """`at` is `file:line`, `says` a part of the message."""

    code: str
    at: str
    says: str
    files: dict[str, str]


def case(code: str, at: str, says: str, **files: str) -> Case:
    """Keyword `rules` is the file rules.yaml; `s` is the scenario s, `py` is tools.py."""
    names = {"s": "scenarios/s.yaml", "py": "tools.py"}
    return Case(code, at, says, {**AGENT, **{names.get(name, f"{name}.yaml"): text for name, text in files.items()}})


CASES = [
    case("E101", "rules.yaml:2", "not YAML", rules="- id: r\n if: x\n"),
    case("E101", "rules.yaml:1", "tabs", rules="\t- id: r\n"),
    case("E102", "rules.yaml:2", "anchors", rules=f"{RULE[:8]}  if: &a Somebody\n  then: x\n"),
    case("E103", "rules.yaml:2", "tags", rules="- id: r\n  if: !!python/name:os.system x\n"),
    case("E104", "rules.yaml:4", "id stands here twice", rules=RULE + "  id: q\n"),
    case("E105", "rules.yaml:2", "merge", rules="- id: r\n  <<: {if: x}\n"),
    case("E107", "rules.yaml:1", "nested deeper", rules="- " + "[" * 40 + "]" * 40 + "\n"),
    case("E108", "rules.yaml:1", "key", rules="- ? [a]\n  : b\n"),
    case("E109", "rules.yaml:4", "out of range", rules=RULE + "  priority: 1e999\n"),
    case("E110", "rules.yaml:1", "cannot be read", rules="- id: \x07\n"),
    case("E112", "rules.yaml:4", "second document", rules=RULE + "---\n" + RULE),
    case("E201", "agent.yaml:2", "did you mean languages?", agent="name: A\nlangages: [en]\n"),
    case("E201", "scenarios/s.yaml:4", "did you mean next?", s=STEPS + "  - id: a\n    nxt: b\n"),
    case("E202", "rules.yaml:1", "then is missing", rules="- id: r\n  if: x\n"),
    case("E202", "agent.yaml:1", "name is missing", agent="description: nobody\n"),
    case("E203", "agent.yaml:2", "write false", agent="name: A\npublic: no\n"),
    case("E203", "rules.yaml:5", "takes text, not the number 7", rules=RULE + "  examples:\n    - 7\n"),
    case("E204", "templates.yaml:3", "did you mean exclusive?", templates="- id: t\n  text: x\n  mode: exclusiv\n"),
    case("E204", "rules.yaml:4", "less than or equal to 100", rules=RULE + "  priority: 900\n"),
    case("E205", "rules.yaml:1", "is a list", rules="id: r\n"),
    case("E205", "agent.yaml:1", "keys and values", agent="- name\n"),
    case("E206", "rules.yaml:4", "id r is taken", rules=RULE + RULE),
    case("E206", "scenarios/s.yaml:4", "id a is taken", s=STEPS + "  - {id: a, say: x}\n  - {id: a, say: y}\n"),
    case("E207", "ruls.yaml:1", "did you mean rules.yaml?", ruls=RULE),
    case("E301", "scenarios/s.yaml:3", "did you mean phone?", s=STEPS + "  - {id: a, collects: phon}\n",
         fields="- {name: phone, type: phone}\n"),
    case("E301", "tools.yaml:1", "nothing gives t its x", py="def f(x):\n    return {}\n",
         tools="- {id: t, python: 'tools.py:f', parameters: {type: object, properties: {x: {}}, required: [x]}}\n"),
    case("E302", "rules.yaml:4", "there is no tool tt", rules=RULE + "  tools: tt\n",
         tools=TOOL, py=SOURCE),
    case("E302", "variables.yaml:1", "no tool clock", variables="- {name: v, tool: clock}\n"),
    case("E303", "rules.yaml:4", "did you mean greeting?", rules=RULE + "  templates: greting\n",
         templates="- {id: greeting, text: Hi}\n"),
    case("E303", "scenarios/s.yaml:3", "no template good_bye", s=STEPS + "  - {id: a, say: good_bye}\n"),
    case("E304", "rules.yaml:4", "no scenario refund", rules=RULE + "  scope: {scenario: refund}\n"),
    case("E305", "rules.yaml:4", "did you mean ask?", rules=RULE + "  scope: {scenario: s, step: aks}\n",
         s=STEPS + "  - {id: ask, say: x}\n"),
    case("E306", "relationships.yaml:1", "no rule or scenario q", rules=RULE,
         relationships="- {source: r, kind: excludes, target: q}\n"),
    case("E306", "relationships.yaml:1", "no rule or scenario s/a", rules=RULE, s=STEPS + "  - {id: a, say: x}\n",
         relationships="- {source: r, kind: excludes, target: s/a}\n"),
    case("E306", "relationships.yaml:1", "r is a rule and a scenario", rules=RULE,
         relationships="- {source: r, kind: excludes, target: r}\n",
         **{"scenarios/r": STEPS + "  - {id: a, say: x}\n"}),
    case("E307", "scenarios/s.yaml:5", "no intent leave",
         s=STEPS + "  - id: a\n    next:\n    - {to: b, intent: leave}\n  - {id: b, say: x}\n"),
    case("E308", "tools.yaml:1", "no function g", tools="- {id: t, python: 'tools.py:g'}\n", py=SOURCE),
    case("E308", "tools.yaml:1", "no file tool.py", tools="- {id: t, python: 'tool.py:f'}\n", py=SOURCE),
    case("E308", "tools.yaml:5", "f does not take x", py=SOURCE, fields="- {name: x}\n",
         tools="- id: t\n  python: tools.py:f\n  parameters:\n    type: object\n    properties: {x: {}}\n"),
    case("E309", "tools.py:2", "not Python", py="x = 1\ndef f(:\n", tools=TOOL),
    case("E310", "rules.yaml:5", "did you mean phrase?", rules=RULE + "  hard: true\n  enforce: {use: phase}\n",
         templates=FALLBACK),
    case("E310", "agent.yaml:2", "did you mean personal_data?", agent="name: A\nscreens: personal_dat\n"),
    case("E317", "agent.yaml:3", "no kind of personal data",
         agent="name: A\nscreens:\n- {use: personal_data, options: {kinds: [mail]}}\n"),
    case("E311", "agent.yaml:2", "did you mean Europe/Paris?", agent="name: A\ntimezone: Europe/Pariss\n"),
    case("E311", "agent.yaml:2", "not a time zone", agent="name: A\ntimezone: ../../etc/passwd\n"),
    case("E312", "agent.yaml:2", "english is not a language code", agent="name: A\nlanguages: [english]\n"),
    case("E312", "templates.yaml:1", "xx is not", templates="- {id: t, text: x, language: xx}\n"),
    case("E313", "fields.yaml:2", "pattern cannot be used", fields="- name: f\n  pattern: '[a-'\n"),
    case("E313", "fields.yaml:2", "pattern cannot be used", fields="- name: f\n  pattern: '(a)\\1'\n"),
    case("E314", "tools.yaml:1", "either python or http", tools="- {id: t}\n"),
    case("E314", "tools.yaml:1", "not an address", tools="- {id: t, http: 'file:///etc/passwd'}\n"),
    case("E315", "tools.yaml:3", "type is not object", py=SOURCE,
         tools="- id: t\n  python: tools.py:f\n  parameters: {type: array}\n"),
    case("E315", "tools.yaml:3", "JSON Schema", py=SOURCE,
         tools="- id: t\n  python: tools.py:f\n  parameters: {type: object, properties: [x]}\n"),
    case("E316", "rules.yaml:4", "does not say which", rules=RULE + "  scope: step\n"),
    case("E316", "rules.yaml:4", "GLOBAL rule has no scope_id", rules=RULE + "  scope_id: s\n"),
    case("E317", "rules.yaml:5", "has no option forbid",
         rules=RULE + "  hard: true\n  enforce: {use: phrase, options: {forbid: [x]}}\n", templates=FALLBACK),
    case("E318", "fields.yaml:2", "minimum 9 is above maximum 3", fields="- name: f\n  minimum: 9\n  maximum: 3\n"),
    case("E319", "tools.yaml:1", "what undoes it", tools="- {id: t, python: 'tools.py:f', policy: compensatable}\n",
         py=SOURCE),
    case("E320", "agent.yaml:2", "environment variable", agent="name: A\nmodels: {api_key: sk-0123456789}\n"),
    case("E320", "tools.yaml:3", "RUCHE_SECRET_NAME",
         tools="- id: t\n  http: https://example.org/x\n  headers: {Authorization: Bearer 0123456789}\n"),
    case("E321", "tools.yaml:1", "cannot be called", tools="- {id: t, http: 'https://{host}/x'}\n"),
    case("E321", "tools.yaml:1", "cannot be called", tools="- {id: t, http: 'https://me:secret@example.org/x'}\n"),
    case("E322", "agent.yaml:2", "there is no generator opnai (did you mean openai?)",
         agent="name: A\nmodels: {generator: opnai}\n"),
    case("E323", "agent.yaml:2", "needs model", agent="name: A\nmodels: {generator: openai, url: 'http://x/v1'}\n"),
    case("E323", "agent.yaml:4", "not an address",
         agent="name: A\nmodels:\n  generator: openai\n  url: localhost:9\n  model: m\n"),
    case("E302", "fields.yaml:1", "there is no tool chekc (did you mean check?)", py=SOURCE,
         fields="- {name: pin, verify: chekc}\n", tools="- {id: check, python: 'tools.py:f'}\n"),
    case("E301", "tools.yaml:1", "there is no field pim (did you mean pin?)", py=SOURCE, fields="- {name: pin}\n",
         tools="- {id: t, python: 'tools.py:f', verifies: pim}\n"),
    case("E324", "fields.yaml:1", "a value is verified unasked", fields="- {name: pin, verify: t}\n", py=SOURCE,
         tools="- {id: t, python: 'tools.py:f', policy: irreversible}\n"),
    case("E324", "variables.yaml:1", "t is IRREVERSIBLE", variables="- {name: v, tool: t}\n", py=SOURCE,
         tools="- {id: t, python: 'tools.py:f', policy: irreversible}\n"),
    case("E324", "variables.yaml:1", "t is COMPENSATABLE", variables="- {name: v, tool: t}\n", py=SOURCE,
         tools="- {id: t, python: 'tools.py:f', policy: compensatable, compensation: t}\n"),
    case("E325", "variables.yaml:1", "nothing gives the variable v a value", variables="- {name: v}\n"),
    case("E320", "agent.yaml:5", "environment variable",
         agent="name: A\nmodels:\n  judge:\n    url: http://x/v1\n    api_key: sk-0123\n    model: m\n"),
    case("E323", "agent.yaml:2", "the judge needs model", agent="name: A\nmodels: {judge: {url: 'http://x/v1'}}\n"),
    case("E323", "agent.yaml:3", "a fallback needs model", agent="name: A\nmodels:\n  fallbacks: {url: 'http://x/v1'}\n"),
    case("E320", "agent.yaml:4", "environment variable",
         agent="name: A\nmodels:\n  fallbacks:\n  - {url: 'http://x/v1', model: m, api_key: sk-0123456789}\n"),
    case("E323", "agent.yaml:4", "not an address",
         agent="name: A\nmodels:\n  judge:\n    url: localhost:9\n    model: m\n"),
    case("E317", "rules.yaml:4", "no kind of personal data", templates=FALLBACK,
         rules=RULE + "  enforce: {use: personal_data, options: {kinds: [mail]}}\n"),
    case("E317", "rules.yaml:4", "grounding cannot check dates", templates=FALLBACK,
         rules=RULE + "  enforce: {use: grounding, options: {check: dates}}\n"),
    case("E326", "rules.yaml:5", "amount is the name of something else", agent=JUDGED,
         rules=RULE + "  enforce: reply.amount < 3\n  extract: {amount: the sum}\n"),
    case("E326", "rules.yaml:5", "Days cannot be a name", agent=JUDGED,
         rules=RULE + "  enforce: Days < 3\n  extract: {Days: the days}\n"),
    case("E601", "rules.yaml:6", "nothing can read replies for the hard rule r", templates=FALLBACK,
         rules=RULE + "  hard: true\n  enforce: reply.days < 3\n  extract: {days: the days}\n"),
    case("W609", "rules.yaml:5", "looks for days but does not use it", agent=JUDGED,
         rules=RULE + "  enforce: reply.amount < 3\n  extract: {days: the days}\n"),
    case("E601", "rules.yaml:4", "nothing can judge the hard rule r", rules=RULE + "  hard: true\n",
         templates=FALLBACK,
         agent="name: A\nmodels: {generator: openai, url: 'http://x/v1', model: m}\n"),
    case("E401", "rules.yaml:4", "not an expression", rules=RULE + "  when: amount <\n"),
    case("E401", "rules.yaml:4", "nothing is called with a dot", rules=RULE + "  when: name.upper() == 'A'\n"),
    case("E402", "rules.yaml:4", "did you mean tier?", rules=RULE + "  when: teir == 'VIP'\n",
         fields="- {name: tier}\n"),
    case("E402", "rules.yaml:4", "only enforce reads the reply", rules=RULE + "  when: amount > 3\n"),
    case("E327", "fields.yaml:1", "every value is encrypted", fields="- {name: tier, encrypted: false}\n"),
    case("W405", "rules.yaml:4", "did you mean VIP?", rules=RULE + "  when: tier == 'VPI' or tier in ['basic']\n",
         fields="- {name: tier, allowed: [VIP, basic]}\n"),
    case("W405", "rules.yaml:4", "never 'gold'", rules=RULE + "  when: profile.tier in ('gold', 'VIP')\n",
         fields="- {name: tier, allowed: [VIP, basic]}\n"),
    case("W406", "rules.yaml:4", "age is a number, and '18' is a text", rules=RULE + "  when: age >= '18'\n",
         fields="- {name: age, type: number}\n"),
    case("W405", "rules.yaml:4", "part_of_day is never 'night'", rules=RULE + "  when: now.part_of_day == 'night'\n"),
    case("W406", "rules.yaml:4", "hour is a number", rules=RULE + "  when: now.hour > '9'\n"),
    case("W406", "rules.yaml:4", "1 is a number", rules=RULE + "  when: 1 == member\n",
         fields="- {name: member, type: boolean}\n"),
    case("E403", "templates.yaml:1", "placeholders", templates="- {id: t, text: 'Hi {{ name'}\n"),
    case("E404", "scenarios/s.yaml:3", "did you mean full_name?", s=STEPS + "  - {id: a, say: 'Hi {{ ful_name }}'}\n",
         fields="- {name: full_name}\n"),
    case("E404", "templates.yaml:1", "did you mean now.part_of_day?",
         templates="- {id: t, text: 'Good {{ now.part_of_dey }}'}\n"),
    case("E501", "scenarios/s.yaml:3", "a leads to c", s=STEPS + "  - {id: a, say: x, next: c}\n"),
    case("E502", "scenarios/s.yaml:4", "no way leads to step b",
         s=STEPS + "  - {id: a, say: x}\n  - {id: b, say: y}\n"),
    case("E503", "scenarios/s.yaml:4", "from b, c the scenario can never end",
         s=STEPS + "  - {id: a, ask: x, next: [b, d]}\n  - {id: b, ask: x, next: c}\n  - {id: c, ask: x, next: b}\n"
         "  - {id: d, say: x}\n"),
    case("E504", "scenarios/s.yaml:4", "did you mean begin?", s=STEPS + "  - {id: begin, say: x}\nstart: beginn\n"),
    case("E505", "scenarios/s.yaml:2", "has no steps", s="entry: x\nsteps: []\n"),
    case("W506", "scenarios/s.yaml:3", "says nothing", s=STEPS + "  - {id: a}\n"),
    case("W508", "scenarios/s.yaml:3", "no step of s collects tier", s=STEPS + "  - {id: a, say: x, requires: tier}\n",
         fields="- {name: tier}\n"),
    case("E301", "scenarios/s.yaml:5", "there is no field teir (did you mean tier?)", fields="- {name: tier}\n",
         s=STEPS + "  - id: a\n    collects: tier\n    next: {to: b, reopen: teir}\n  - {id: b, say: x}\n"),
    case("W508", "scenarios/s.yaml:4", "no step of s collects tier", fields="- {name: tier}\n",
         s=STEPS + "  - id: a\n    next: {to: b, reopen: tier}\n  - {id: b, say: x}\n"),
    case("W509", "scenarios/s.yaml:3", "no tool to confirm", s=STEPS + "  - {id: a, confirm: Sure?}\n"),
    case("W510", "scenarios/s.yaml:3", "cannot be undone", s=STEPS + "  - {id: a, tools: t}\n", py=SOURCE,
         tools="- {id: t, python: 'tools.py:f', policy: irreversible}\n"),
    case("E601", "rules.yaml:4", "nothing can judge the hard rule r", rules=RULE + "  hard: true\n",
         templates=FALLBACK),
    case("W602", "rules.yaml:4", "no fallback", rules=RULE + "  hard: true\n  enforce: amount < 5\n"),
    case("W603", "rules.yaml:5", "does not hold while member, tier have no value (give member, tier a default",
         rules=RULE + "  hard: true\n  enforce: member or tier == 'VIP' or not contains_amount\n", templates=FALLBACK,
         fields="- {name: tier}\n", tools="- {id: t, python: 'tools.py:f', outputs: {member: m}}\n", py=SOURCE),
    case("W603", "rules.yaml:5", "while member has no value", templates=FALLBACK, py=SOURCE,
         rules=RULE + "  hard: true\n  enforce: {use: expression, options: {expression: session.member}}\n",
         tools="- {id: t, python: 'tools.py:f', outputs: {member: m}}\n"),
    case("E604", "relationships.yaml:2", "r -> q -> r", rules=RULE + RULE.replace("id: r", "id: q"),
         relationships="- {source: r, kind: implies, target: q}\n- {source: q, kind: implies, target: r}\n"),
    case("E604", "relationships.yaml:2", "depends_on and implies go in a circle: r -> q -> r",
         rules=RULE + RULE.replace("id: r", "id: q"),
         relationships="- {source: r, kind: depends_on, target: q}\n- {source: q, kind: implies, target: r}\n"),
    case("W611", "rules.yaml:1", "q and r exclude each other", rules=RULE + RULE.replace("id: r", "id: q"),
         relationships="- {source: r, kind: excludes, target: q}\n- {source: q, kind: excludes, target: r}\n"),
    case("E511", "scenarios/s.yaml:3", "s goes through itself by way of t",
         s=STEPS + "  - {id: a, scenario: t}\n", **{"scenarios/t": STEPS + "  - {id: b, scenario: s}\n"}),
    case("E301", "scenarios/s.yaml:2", "there is no field mail",
         s="entry: x\nneeds: mail\nsteps:\n  - {id: a, say: A}\n"),
    case("E304", "scenarios/s.yaml:3", "there is no scenario nowhere", s=STEPS + "  - {id: a, scenario: nowhere}\n"),
    case("W605", "rules.yaml:4", "can never fire", rules=RULE + "  when: 1 > 2\n"),
    case("W605", "rules.yaml:4", "can never fire", fields="- {name: age, type: number}\n",
         rules=RULE + "  when: age > 50 and age < 20\n"),
    case("W605", "rules.yaml:4", "can never fire", fields="- {name: age, type: number, maximum: 120}\n",
         rules=RULE + "  when: profile.age >= 130 or now.hour > 23\n"),
    case("W605", "rules.yaml:4", "can never fire", fields="- {name: tier}\n",
         rules=RULE + "  when: tier in ['a', 'b'] and not (tier != 'c')\n"),
    case("W612", "rules.yaml:5", "no reply can keep rule r", templates=FALLBACK,
         rules=RULE + "  hard: true\n  enforce: amount > 50 and amount <= 50\n"),
    case("W613", "rules.yaml:10", "rules r and q cannot both be kept where amount has a value", templates=FALLBACK,
         rules=RULE + "  hard: true\n  enforce: amount <= 50\n" + RULE.replace("id: r", "id: q") +
         "  hard: true\n  enforce: amount > 60\n"),
    case("W614", "templates.yaml:1", "the fallback f breaks the hard rule r itself",
         templates="- {id: f, mode: fallback, text: 'Take 90 euros instead.'}\n",
         rules=RULE + "  hard: true\n  enforce: amount <= 50\n"),
    case("W614", "agent.yaml:2", "refusal breaks the hard rule r itself", templates=FALLBACK,
         agent="name: A\nrefusal: I cannot say that, sorry.\n",
         rules=RULE + "  hard: true\n  enforce: {use: phrase, options: {forbidden: [cannot say]}}\n"),
    case("W407", "rules.yaml:4", "lower() takes text, and this is a number", fields="- {name: age, type: number}\n",
         rules=RULE + "  when: lower(age) == 'x'\n"),
    case("W407", "rules.yaml:4", "text and a number cannot be added", fields="- {name: tier}\n",
         rules=RULE + "  when: len(tier + 1) > 3\n"),
    case("W407", "rules.yaml:4", "a number and text cannot be compared",
         fields="- {name: age, type: number}\n- {name: tier}\n", rules=RULE + "  when: age > tier\n"),
    case("W407", "rules.yaml:4", "only numbers are calculated with", fields="- {name: tier}\n",
         rules=RULE + "  when: tier - 1 > 3\n"),
    case("W408", "scenarios/s.yaml:3", "this is never true", fields="- {name: age, type: number}\n",
         s=STEPS + "  - {id: a, say: x, next: [{to: b, when: age < 1 and age > 2}]}\n  - {id: b, say: x}\n"),
    case("W408", "templates.yaml:1", "this is never true",
         templates="- {id: t, text: x, when: now.minute > 60}\n"),
    case("W605", "rules.yaml:4", "s is not enabled", rules=RULE + "  scope: {scenario: s}\n",
         s="enabled: false\n" + STEPS + "  - {id: a, say: x}\n"),
    case("E606", "relationships.yaml:2", "both needs and excludes", rules=RULE + RULE.replace("id: r", "id: q"),
         relationships="- {source: r, kind: implies, target: q}\n- {source: r, kind: excludes, target: q}\n"),
    case("E607", "relationships.yaml:1", "related to itself", rules=RULE,
         relationships="- {source: r, kind: related, target: r}\n"),
    case("W608", "rules.yaml:5", "one ANSWER, one REFUSE",
         rules=RULE + "- id: q\n  if: somebody  asks\n  then: Do not\n  effect: refuse\n"),
    case("W609", "rules.yaml:4", "enforces nothing", rules=RULE + "  requires: amount\n"),
]
ELSEWHERE = {"E106", "E111", "E113", "E114", "E115", "E701"}
"""Faults of files and folders, tested in test_authoring_files.py, and of conversations, in test_conversations.py."""


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8", newline="")
    return folder


@pytest.mark.parametrize("one", CASES, ids=lambda one: f"{one.code}-{one.says[:20]}")
def test_a_fault_is_reported_at_its_file_and_line(one: Case, tmp_path: Path) -> None:
    found = load_folder(write(tmp_path / "tiny", one.files))
    told = [f"{problem.file}:{problem.line} {problem.code} {problem}" for problem in found.problems]
    assert any(line.startswith(f"{one.at} {one.code} ") and one.says in line for line in told), told


@pytest.mark.parametrize("one", CASES, ids=lambda one: f"{one.code}-{one.says[:20]}")
def test_only_a_folder_without_errors_gives_a_bundle(one: Case, tmp_path: Path) -> None:
    found = load_folder(write(tmp_path / "tiny", one.files))
    assert (found.bundle is None) == any(problem.code.startswith("E") for problem in found.problems)


@pytest.mark.parametrize("one", CASES, ids=lambda one: f"{one.code}-{one.says[:20]}")
def test_the_caret_stands_inside_the_source_line(one: Case, tmp_path: Path) -> None:
    for problem in load_folder(write(tmp_path / "tiny", one.files)).problems:
        line, _, caret = problem.excerpt().partition("\n")
        assert caret.index("^") <= len(line) if caret else not problem.source.strip()


def test_every_code_in_the_source_has_a_case() -> None:
    home = Path(ruche.engine.authoring.load.__file__).parent
    written = {code for file in home.glob("*.py") for code in re.findall(r'"([EW]\d{3})"', file.read_text())}
    assert written == {one.code for one in CASES} | ELSEWHERE


def test_an_expression_is_marked_at_its_fault(tmp_path: Path) -> None:
    files = {**AGENT, "fields.yaml": "- {name: tier}\n", "rules.yaml": RULE + "  when: tier == 'VIP' and teir == 'x'\n"}
    (problem,) = load_folder(write(tmp_path / "tiny", files)).problems
    assert problem.source[problem.column - 1:].startswith("teir")


def test_a_quoted_expression_is_marked_at_its_fault(tmp_path: Path) -> None:
    files = {**AGENT, "fields.yaml": "- {name: tier}\n", "rules.yaml": RULE + '  when: "1 < 2 and teir > 1"\n'}
    (problem,) = load_folder(write(tmp_path / "tiny", files)).problems
    assert problem.source[problem.column - 1:].startswith("teir")


QUIET = {
    "a step may require a field, an output, how a tool ended, and a variable": {
        "s.yaml": STEPS + "  - {id: a, collects: tier, tools: t, next: b}\n"
                          "  - {id: b, say: x, requires: [tier, price, t_status, member]}\n"},
    "a condition may read how a tool ended": {
        "s.yaml": STEPS + "  - {id: a, collects: tier, tools: t, next: [{to: b, when: t_status == 'error'}, c]}\n"
                          "  - {id: b, say: x}\n  - {id: c, say: x}\n"},
    "a hard rule is certain with requires": {
        "rules.yaml": RULE + "  hard: true\n  enforce: price < 5\n  requires: session.price\n"},
    "a hard rule is certain with a default": {
        "rules.yaml": RULE + "  hard: true\n  enforce: member or not contains_amount\n"},
    "a hard rule that a judge reads needs no enforce": {
        "agent.yaml": "name: A\nmodels: {judge: {url: 'http://x/v1', model: m}}\n",
        "rules.yaml": RULE + "  hard: true\n"},
    "with a preset that has models the agent's own endpoint judges": {
        "agent.yaml": "name: A\npreset: balanced\nmodels: {generator: openai, url: 'http://x/v1', model: m}\n",
        "rules.yaml": RULE + "  hard: true\n"},
    "what may be true is not called impossible": {
        "rules.yaml": RULE + "  when: (price > 5 and price < 7) or tier == 'a' or tier != 'a'\n"
                             "  hard: true\n  enforce: amount >= 5 and amount <= 5 and lower(tier + 'x') != 'y'\n"
                             "  requires: [tier]\n"},
    "hard rules that can be kept together": {
        "rules.yaml": "".join(f"- {{id: {name}, if: Somebody asks, then: A, hard: true, enforce: {text}}}\n"
                              for name, text in (("a", "amount <= 5"), ("b", "amount >= 5"), ("c", "amount != 4"),
                                                 ("d", "amount < 3 or amount > 4"), ("e", "not contains_link")))},
    "a hard rule need not require what a reply names": {
        "rules.yaml": RULE + "  hard: true\n  enforce: amount <= 5 and reply.percent < 3\n"},
}


@pytest.mark.parametrize("what", QUIET)
def test_what_is_right_is_not_reported_and_can_be_compiled(what: str, tmp_path: Path) -> None:
    files = {name.replace("s.yaml", "scenarios/s.yaml") if name == "s.yaml" else name: text
             for name, text in QUIET[what].items()}
    shared = {"fields.yaml": "- {name: tier}\n", "templates.yaml": FALLBACK, "tools.py": SOURCE,
              "tools.yaml": "- {id: t, python: 'tools.py:f', outputs: {price: p}}\n",
              "variables.yaml": "- {name: member, default: false}\n"}
    found = load_folder(write(tmp_path / "tiny", {**AGENT, **shared, **files}))
    assert [str(problem) for problem in found.problems] == []
    assert CompiledAgent(found.require(), 1).defaults == {"member": False}


def test_all_faults_of_a_folder_are_reported_in_one_go(tmp_path: Path) -> None:
    files = {**AGENT, "rules.yaml": RULE + "  when: teir > 1\n  templates: nowhere_at_all\n  scope: {scenario: s}\n"}
    codes = [problem.code for problem in load_folder(write(tmp_path / "tiny", files)).problems]
    assert codes == ["E402", "E303", "E304"]


def test_a_thousand_rules_are_checked_within_a_second(tmp_path: Path) -> None:
    rules = "".join(f"- id: r{i}\n  if: Somebody asks about {i}\n  then: Tell {i}\n  examples: [of {i}, and {i}]\n"
                    f"  when: age > {i} and tier != 'x'\n  hard: true\n  enforce: amount <= {i}\n"
                    for i in range(1_000))
    files = {**AGENT, "rules.yaml": rules, "templates.yaml": FALLBACK,
             "fields.yaml": "- {name: age, type: number}\n- {name: tier}\n"}
    folder = write(tmp_path / "tiny", files)
    began = time.process_time()
    found = load_folder(folder)
    assert time.process_time() - began < 1.0
    assert found.problems == ()
