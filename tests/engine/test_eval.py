"""`ruche eval` measures an agent on its author's own messages and says what would help."""

from __future__ import annotations

import json
import re
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ruche.engine.cli.main import main
from ruche.engine.evaluation.asking import Answer
from ruche.engine.evaluation.page import page
from ruche.engine.evaluation.report import NOTHING, Confusion, Report, advised, report
from ruche.engine.evaluation.rows import Row, read_rows
from ruche.plugins.errors import ConfigurationError

RULES = """
- {id: hours, if: the user asks when we are open, then: From nine to five., examples: [when do you open]}
- {id: parking, if: the user asks where to park the car, then: Behind the house., examples: [where can I park]}
- {id: wifi, if: the user asks about the wireless network, then: It is free.}
"""
MESSAGES = """text,rule
when do you open,hours
where can I park,parking
where do I leave the vehicle,parking
is there a wireless network,wifi
what rhymes with orange,
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ruche.toml").write_text('[models]\nembedder = "hashing"\n')
    folder = tmp_path / "agents" / "desk"
    folder.mkdir(parents=True)
    (folder / "agent.yaml").write_text("name: Desk <b>\n")
    (folder / "rules.yaml").write_text(RULES)
    (tmp_path / "messages.csv").write_text(MESSAGES)
    return folder


def evaluated(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    with pytest.raises(SystemExit) as end:
        main(["eval", *words])
    return int(end.value.code or 0), capsys.readouterr().out


def test_an_agent_is_measured_and_what_would_help_is_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out = evaluated(capsys, "agents/desk", "--data", "messages.csv", "--json")
    found: dict[str, Any] = json.loads(out)
    assert code == 0
    assert (found["n"], found["in_scope"], found["out_of_scope"], found["refused"]) == (5, 4, 1, 1.0)
    assert found["first_right"] == 0.75
    assert found["confusions"] == [["parking", NOTHING, 1, ["where do I leave the vehicle"]]]
    assert found["advised_threshold"] is None
    assert found["suggestions"] == [["parking", 1, ["where do I leave the vehicle"]]]
    assert found["never_matched"] == found["never_right"] == []
    assert found["taught"] == 2
    assert not (folder.parents[1] / "data").exists()


def test_the_table_says_the_same_to_people(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, out = evaluated(capsys, "agents/desk", "--data", "messages.csv")
    assert "5 messages, 4 in scope, 1 out of scope" in out
    assert "best match was meant        75.0 %" in out
    assert "the agent's own examples    2 (" in out
    assert f"matched {NOTHING}, once: where do I leave the vehicle" in out


class Links(HTMLParser):
    """Everything on a page that would be fetched, and the text."""

    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.fetched += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "data")]


def test_the_page_stands_alone_and_shows_no_markup_of_the_agents(
        folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    evaluated(capsys, "agents/desk", "--data", "messages.csv", "--html", "page.html")
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    links = Links()
    links.feed(text)
    assert links.fetched == []
    assert not {"script", "link", "img", "b2", "iframe"} & set(links.tags)
    assert "Desk &lt;b&gt;" in text
    assert "url(" not in text
    assert links.tags.count("svg") == 2
    assert text.count("<u style=") == 3


@pytest.mark.browser
def test_a_browser_draws_the_page(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    evaluated(capsys, "agents/desk", "--data", "messages.csv", "--html", "page.html")
    subprocess.run(["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--window-size=1080,1600",
                    f"--screenshot={tmp_path / 'page.png'}", (tmp_path / "page.html").as_uri()], check=True,
                   capture_output=True, timeout=60)
    assert (tmp_path / "page.png").stat().st_size > 20_000


@pytest.mark.parametrize(("name", "content", "message"), [
    ("a.csv", "text,rule\nhello,nothing-like-it\n", "no rule or scenario called nothing-like-it"),
    ("a.csv", "words,rule\nhello,hours\n", r"a\.csv:2: there is no text"),
    ("a.csv", "text,topic\nhello,hours\n", r"a\.csv:2: it is not said what is meant"),
    ("a.csv", "text,rule\n", "holds no rows"),
    ("a.jsonl", "{\"text\": \"hi\", \"rule\": 3}\n", r"a\.jsonl:1: what is meant is an id"),
    ("a.jsonl", "{nonsense\n", r"a\.jsonl:1: this is no JSON"),
    ("a.jsonl", "[1]\n", r"a\.jsonl:1: a row is an object"),
    ("a.jsonl", "\xff", "not UTF-8"),
])
def test_a_file_that_cannot_be_used_is_refused_with_the_line(
        folder: Path, name: str, content: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path(name).write_bytes(content.encode("latin-1"))
    with pytest.raises(SystemExit) as end:
        main(["eval", "agents/desk", "--data", name])
    assert end.value.code == 2
    assert re.search(message, capsys.readouterr().err)


def test_several_agents_at_once_and_a_missing_file_are_refused(
        folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = folder.parent / "other"
    other.mkdir()
    (other / "agent.yaml").write_text("name: Other\n")
    for words in (["agents", "--data", "messages.csv"], ["agents/desk", "--data", "nowhere.csv"]):
        with pytest.raises(SystemExit) as end:
            main(["eval", *words])
        assert end.value.code == 2
    assert "nowhere.csv cannot be read" in capsys.readouterr().err


def test_every_form_of_a_row_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "a", "rules": ["x", "y"]}\n\n{"text": "b", "label": "oos"}\n')
    (tmp_path / "a.json").write_text('[{"text": "a", "intents": ["x"]}, {"text": "b", "rule": "x|y"}]')
    assert read_rows(tmp_path / "a.jsonl") == [Row("a", frozenset("xy")), Row("b", frozenset())]
    assert read_rows(tmp_path / "a.json") == [Row("a", frozenset("x")), Row("b", frozenset("xy"))]


def answer(wanted: str, fired: str, **scores: float) -> Answer:
    return Answer(Row(f"{wanted} {fired}", frozenset(wanted)), tuple(fired), scores, 1.0)


def test_rules_that_take_each_others_messages_are_named_together() -> None:
    found = report([answer("a", "b"), answer("a", "b"), answer("b", "a"), answer("c", "c")], frozenset("abcd"))
    assert found.thefts[0] == ("a", "b", 1, 2)
    assert found.never_right == ("a", "b")
    assert found.never_matched == ("d",)
    assert found.not_measured == ("d",)
    assert (found.items[0].id, found.items[0].recall) == ("a", 0.0)


def test_a_threshold_is_tried_on_the_best_score() -> None:
    found = report([answer("a", "a", a=0.8), answer("", "a", a=0.5)], frozenset("a"))
    by = {one.at: one for one in found.thresholds}
    assert (by[0.6].in_scope, by[0.6].out_of_scope) == (1.0, 1.0)
    assert (by[0.4].in_scope, by[0.4].out_of_scope) == (1.0, 0.0)
    assert (by[0.9].in_scope, by[0.9].out_of_scope) == (0.0, 1.0)


def test_hard_rules_hold_anyway_and_are_named_only_where_a_message_meant_them() -> None:
    found = report([answer("a", "a"), answer("h", "")], frozenset("abhk"), hard=frozenset("hk"))
    assert found.never_matched == found.not_measured == ("b",)
    assert found.never_right == ("h",)


def test_a_confusion_shows_the_first_of_its_messages() -> None:
    rows = [Answer(Row(f"text {number}", frozenset("a")), ("b",), {}, 1.0) for number in range(5)]
    assert report(rows, frozenset("ab")).confusions == (Confusion("a", "b", 5, ("text 0", "text 1", "text 2")),)


@pytest.mark.parametrize(("outside", "score", "now", "better"), [
    (6, 0.2, 0.6, 0.4), (6, 0.2, 0.4, None), (4, 0.2, 0.6, None), (6, 0.55, 0.6, None)])
def test_another_threshold_is_advised_where_a_file_can_tell_and_it_helps(
        outside: int, score: float, now: float, better: float | None) -> None:
    """Messages in scope score 0.5: of 0.6 nothing is left of them, of 0.4 everything."""
    found = report([answer("a", "a", a=0.5)] * 20 + [answer("", "", a=score)] * outside, frozenset("a"))
    one = advised(found, now)
    assert (one is None) == (better is None)
    assert one is None or (score < one.at <= 0.5 and (one.in_scope, one.out_of_scope) == (1.0, 1.0))


ids = st.frozensets(st.sampled_from("abcd"), max_size=3)


texts = st.sampled_from(["", "one", "<script>", "two words", "\U0001f642", "x" * 300])


def plain(wanted: frozenset[str], fired: frozenset[str], text: str) -> Answer:
    return Answer(Row(text, wanted), tuple(sorted(fired)), {}, 0.5)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.builds(plain, ids, ids, texts), min_size=1, max_size=12))
def test_any_answers_make_a_whole_report_and_a_page(answers: list[Answer]) -> None:
    found: Report = report(answers, frozenset("abcd"))
    assert bool(found.confusions) == any(not one.row.wanted <= set(one.fired) or bool(one.fired and not one.row.wanted)
                                         for one in answers)
    assert sum(item.right for item in found.items) == sum(len(set(one.fired) & one.row.wanted) for one in answers)
    assert all(0.0 <= share <= 1.0 for share in (found.first_right, found.exact, found.f1, found.precision))
    assert page(found, "<script>", "0" * 64, "hashing", 0.35).count("<script>") == 0


def test_a_page_that_cannot_be_written_is_an_error(folder: Path) -> None:
    from ruche.engine.cli.eval import _write

    with pytest.raises(ConfigurationError, match="cannot be written"):
        _write(folder / "nowhere" / "page.html", "")
