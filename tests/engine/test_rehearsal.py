"""`ruche test`: conversations are really played, what differs is told with its place, and the world is the test's."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import xml.etree.ElementTree as Tree
from pathlib import Path
from typing import Any

import pytest

from ruche.engine.authoring.samples import sample_folder, sample_names
from ruche.engine.cli.main import main

pytest_plugins = ["pytester"]

AGENT = {
    "agent.yaml": "name: Tiny\ntimezone: Europe/Paris\ngreeting: 'Good {{ now.part_of_day }}!'\n",
    "rules.yaml": """
- {id: hours, if: Somebody asks when we open, then: We open at nine., examples: [when do you open]}
- {id: weather, if: Somebody asks about the weather, then: 'It is {{ sky }}.', examples: [how is the weather],
   tools: sky}
- {id: price, if: Somebody asks what it costs, then: It costs 90 dollars., examples: [what does it cost]}
- {id: cheap, if: always, then: Nothing above 50, hard: true, enforce: amount <= 50}
""",
    "templates.yaml": "- {id: sorry, mode: fallback, text: I cannot say that.}\n",
    "variables.yaml": "[]\n",
    "tools.yaml": """
- {id: sky, python: 'tools.py:sky', outputs: {sky: colour}}
- {id: far, http: 'https://example.org/far'}
""",
    "tools.py": "def sky():\n    return {'colour': 'blue'}\n",
}


def write(folder: Path, tests: str, **more: str) -> Path:
    for name, text in {**AGENT, "tests/talk.yaml": tests, **more}.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    return folder


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUCHE_MODELS__EMBEDDER", "hashing")


def play(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, Any]:
    """Exit code and the JSON document."""
    with pytest.raises(SystemExit) as end:
        main(["test", *words, "--json"])
    return int(end.value.code or 0), json.loads(capsys.readouterr().out)


def misses(capsys: pytest.CaptureFixture[str], folder: Path) -> list[tuple[int, str, str]]:
    """Line, what was expected, what came, of every miss of one folder."""
    _, shown = play(capsys, str(folder))
    return [(one["line"], one["expected"], one["got"])
            for conversation in shown["agents"][0]["conversations"] for one in conversation["failures"]]


@pytest.mark.parametrize("name", sample_names())
def test_the_conversations_of_a_sample_come_out_as_they_say(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, shown = play(capsys, str(sample_folder(name)))
    assert code == 0
    assert all(one["ok"] and one["turns"] for one in shown["agents"][0]["conversations"])


def test_everything_that_can_be_expected_is_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write(tmp_path / "tiny", """
- name: right
  at: '2026-03-01T09:00:00+01:00'
  turns:
    - {say: when do you open?, rules: hours, not_rules: [weather], contains: [good morning, NINE], lacks: ten,
       status: complete, response_type: answer, risk: green, language: en}
    - {say: how is the weather?, reply: It is blue., rules: weather, tools: sky, not_tools: far}
    - {say: what does it cost?, status: blocked, response_type: refuse, risk: red, verdicts: {cheap: fail},
       reply: I cannot say that.}
- name: wrong
  turns:
    - say: when do you open?
      rules: [weather]
      not_rules: hours
      tools: [sky]
      contains: [ten]
      lacks: [nine]
      reply: Nothing.
      status: blocked
      response_type: ask
      risk: red
      verdicts: {cheap: fail}
      language: fr
""")
    found = misses(capsys, folder)
    assert [line for line, _, _ in found] == [13, 14, 15, 18, 16, 17, 22, 21, 19, 20, 23]
    told = {line: f"{expected}, {got}" for line, expected, got in found}
    assert told[13].startswith("rule weather to be applied, ")
    assert "scored" in told[14]
    assert told[15] == "tool sky to be called, no call"
    assert told[16].startswith('a reply with "ten", "Good morning')
    assert told[21] == "risk RED, GREEN"
    assert told[23] == "language fr, en"


def test_places_in_scenarios_are_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scenario = """
entry: Somebody wants to book a taxi
examples: [I need a taxi, book me a taxi]
steps:
  - {id: where, collects: [place], ask: Where shall it pick you up?, next: done}
  - {id: done, say: It is on its way.}
"""
    folder = write(tmp_path / "tiny", """
- name: a taxi
  turns:
    - {say: I need a taxi, scenario: taxi, step: where}
    - {say: Main Street 5, scenario: taxi, step: where}
    - {say: when do you open?, scenario: taxi}
""", **{"scenarios/taxi.yaml": scenario, "fields.yaml": "- {name: place, scope: CASE}\n"})
    assert misses(capsys, folder) == [(5, "step where", "taxi/done"), (6, "scenario taxi", "no scenario")]


def test_the_clock_is_the_conversations(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write(tmp_path / "tiny", """
- name: later the same day
  at: '2026-03-01T22:00:00+01:00'
  turns:
    - {say: when do you open?, contains: good evening}
- name: at no special time
  turns:
    - {say: when do you open?, contains: 'Monday 11:00'}
    - {say: when do you open?, contains: 'Monday 11:00'}
    - {say: when do you open?, at: '2026-01-06T12:00:00Z', contains: 'Tuesday 13:00'}
""", **{"rules.yaml": "- {id: hours, if: Somebody asks when we open, examples: [when do you open],\n"
                     "   then: 'Nine. {{ now.weekday | capitalize }} {{ now.time }}'}\n"})
    assert misses(capsys, folder) == []


def test_tools_give_what_the_test_says_and_nothing_goes_over_the_network(tmp_path: Path,
                                                                         capsys: pytest.CaptureFixture[str]) -> None:
    rules = "- {id: far, if: Somebody asks about far away, then: 'So {{ word }}', examples: [far away], tools: far}\n"
    folder = write(tmp_path / "tiny", """
- name: given
  results: {sky: {colour: green}, far: {word: good}}
  turns:
    - {say: how is the weather?, tools: sky, reply: Good morning! It is green.}
    - {say: far away, tools: far}
- name: failing
  fails: sky
  turns: {say: how is the weather?, lacks: [blue]}
- name: forgotten
  turns:
    - say: far away
""", **{"rules.yaml": AGENT["rules.yaml"] + rules,
        "tools.yaml": AGENT["tools.yaml"].replace("/far'}", "/far', outputs: {word: word}}")})
    assert misses(capsys, folder) == [(12, "a result for the HTTP tool far", "none")]


def test_a_model_says_what_the_test_says_each_time_it_is_asked(tmp_path: Path,
                                                               capsys: pytest.CaptureFixture[str]) -> None:
    folder = write(tmp_path / "tiny", """
- name: as scripted
  turns:
    - {say: when do you open?, model: We open at nine o'clock., reply: We open at nine o'clock.}
    - {say: what does it cost?, model: [It costs 90 dollars., It costs 40 dollars.], reply: It costs 40 dollars.,
       risk: yellow}
- name: silent
  turns:
    - say: when do you open?
- name: talkative
  turns:
    - say: when do you open?
      model: [We open at nine., And at ten.]
""", **{"agent.yaml": "name: Tiny\nmodels: {generator: openai, url: 'http://127.0.0.1:9', model: m}\n"})
    assert misses(capsys, folder) == [(9, "0 calls of the model", "1 call"), (13, "2 calls of the model", "1 call")]


def test_a_judge_says_what_the_test_says_after_what_it_says_as_the_model_that_speaks(
        tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    passes = '{"kind": {"verdict": "pass", "reason": ""}}'
    folder = write(tmp_path / "tiny", f"""
- name: judged
  turns:
    - {{say: tell me, model: [Hello., '{passes}'], reply: Hello., risk: green, verdicts: {{kind: pass}}}}
    - {{say: tell me, model: [Fool., nonsense, Fool., nonsense], reply: I cannot say that., risk: unknown}}
""", **{"agent.yaml": "name: Tiny\n"
        "models: {generator: openai, url: 'http://127.0.0.1:9', model: m, judge: {}}\n",
        "rules.yaml": "- {id: kind, if: always, then: Never be rude., hard: true}\n"})
    assert misses(capsys, folder) == []


def test_conversations_do_not_know_of_each_other(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = "- {{name: {0}, turns: {{say: when do you open?, contains: good morning}}}}\n"
    folder = write(tmp_path / "tiny", one.format("first") + one.format("second"))
    assert misses(capsys, folder) == []


def test_an_agent_of_another_tenant_is_played_as_its_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write(tmp_path / "@acme" / "tiny", "- {name: n, turns: {say: when do you open?, rules: hours}}\n")
    assert misses(capsys, folder) == []


def test_a_message_that_is_refused_ends_its_conversation(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write(tmp_path / "tiny", "- name: n\n  turns:\n    - say: '   '\n    - {say: hello, reply: x}\n")
    ((line, expected, got),) = misses(capsys, folder)
    assert (line, expected) == (3, "an answer")
    assert got.startswith("VALIDATION_ERROR: message")


def test_people_read_the_place_and_the_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write(tmp_path / "tiny", "- name: n\n  turns:\n    - say: when do you open?\n      contains: [ten]\n")
    with pytest.raises(SystemExit) as end:
        main(["test", str(folder)])
    assert end.value.code == 1
    shown = capsys.readouterr()
    assert shown.out == (
        f"FAIL  tiny/tests/talk.yaml: n\n{folder}/tests/talk.yaml:4:18 turn 1: expected a reply with \"ten\", got "
        '"Good morning! We open at nine."\n          contains: [ten]\n                     ^\n')
    assert shown.err == "1 conversation: 0 passed, 1 failed\n"


def test_a_folder_with_errors_is_not_played(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write(tmp_path / "tiny", "- name: n\n  turns: {say: x, rules: hour}\n")
    code, shown = play(capsys, str(folder))
    assert code == 1
    (agent,) = shown["agents"]
    assert [one["code"] for one in agent["problems"]] == ["E306"]
    assert agent["conversations"] == []


def test_only_the_named_conversations_are_played(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = "- {{name: {0}, turns: {{say: when do you open?}}}}\n"
    _, shown = play(capsys, str(write(tmp_path / "tiny", one.format("first") + one.format("second"))), "-k", "SEC")
    assert [each["name"] for each in shown["agents"][0]["conversations"]] == ["second"]


def test_the_report_is_junit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write(tmp_path / "tiny", "- {name: good, turns: {say: when do you open?}}\n"
                                      "- {name: 'bad <&>', turns: {say: when do you open?, contains: ten}}\n")
    report = tmp_path / "report.xml"
    code, _ = play(capsys, str(folder), "--junit", str(report))
    assert code == 1
    suite = Tree.fromstring(report.read_bytes()).find("testsuite")
    assert suite is not None
    assert (suite.get("name"), suite.get("tests"), suite.get("failures")) == ("tiny", "2", "1")
    cases = suite.findall("testcase")
    assert [(case.get("name"), case.get("line")) for case in cases] == [("good", "1"), ("bad <&>", "2")]
    (failure,) = cases[1].findall("failure")
    assert "tests/talk.yaml:2:" in (failure.text or "")
    assert failure.get("message", "").startswith('turn 1: expected a reply with "ten"')


def test_a_report_that_cannot_be_written_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write(tmp_path / "tiny", "- {name: n, turns: {say: x}}\n")
    code, shown = play(capsys, str(folder), "--junit", str(tmp_path / "no" / "report.xml"))
    assert code == 2
    assert "cannot be written" in shown["error"]["message"]


def test_no_folder_is_not_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, shown = play(capsys, str(tmp_path))
    assert (code, shown["error"]["code"]) == (3, "NOT_FOUND")


def test_a_test_leaves_nothing_behind(tmp_path: Path) -> None:
    """Also where the settings name a data directory and a key of the operator's."""
    folder = write(tmp_path / "tiny", "- {name: n, turns: {say: when do you open?}}\n")
    environment = {**os.environ, "RUCHE_DATA": str(tmp_path / "data"), "RUCHE_STORAGE__KEY_SOURCE": "env",
                   "TMPDIR": str(tmp_path / "tmp")}
    (tmp_path / "tmp").mkdir()
    done = subprocess.run([sys.executable, "-m", "ruche.engine.cli.main", "test", str(folder)], env=environment,
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert list((tmp_path / "tmp").iterdir()) == []
    assert not (tmp_path / "data").exists()


# --- as a pytest plugin ---------------------------------------------------------------------------------------------

PLUGIN = ("-p", "ruche.engine.rehearsal.pytest_plugin", "-p", "no:cacheprovider")


def test_pytest_collects_each_conversation_as_a_test(pytester: pytest.Pytester) -> None:
    write(pytester.path / "agents" / "tiny", "- {name: good, turns: {say: when do you open?, rules: hours}}\n"
                                             "- name: bad\n  turns:\n    - say: when do you open?\n      lacks: nine\n")
    result = pytester.runpytest_subprocess(*PLUGIN, "agents")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["> when do you open?", "< Good morning! We open at nine.",
                                 "*agents/tiny/tests/talk.yaml:5:14 turn 1: expected a reply without \"nine\"*"])
    assert "Traceback" not in result.stdout.str()


def test_pytest_shows_the_errors_of_a_folder(pytester: pytest.Pytester) -> None:
    write(pytester.path / "agents" / "tiny", "- {name: n, turns: {say: x, rules: hour}}\n")
    result = pytester.runpytest_subprocess(*PLUGIN, "agents")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*tests/talk.yaml:1:* E306 there is no rule hour (did you mean hours?)"])


def test_pytest_collects_nothing_of_ours_unless_it_is_asked_to(pytester: pytest.Pytester) -> None:
    write(pytester.path / "agents" / "tiny", "- {name: n, turns: {say: x}}\n")
    pytester.makepyfile("def test_own(): pass")
    (pytester.path / "tests").mkdir()
    (pytester.path / "tests" / "data.yaml").write_text("- not a conversation\n")
    pytester.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(passed=1)
    pytester.runpytest_subprocess(*PLUGIN, "-k", "test_own").assert_outcomes(passed=1, deselected=1)
