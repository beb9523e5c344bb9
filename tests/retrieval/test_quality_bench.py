"""The quality benchmark reads any folder of its formats and asks nothing of the rows it learnt from."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.suites import documents, many, rules
from ruche.plugins.errors import ConfigurationError

ROOT = Path(__file__).resolve().parents[2]


def measured(*arguments: str) -> dict[str, Any]:
    run = subprocess.run([sys.executable, "-m", "bench.quality", *arguments, "--quick", "--json"], cwd=ROOT,
                         capture_output=True, text=True, check=True)
    answer: dict[str, Any] = json.loads(run.stdout)
    return answer


def table(*rows: tuple[str, str]) -> str:
    return "text,category\n" + "".join(f"{text},{category}\n" for text, category in rows)


def test_rules_are_measured_from_their_names_and_from_examples(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text(table(("the box never came", "parcel_lost"), ("I want my money", "refund_me"),
                                              ("opening times", "open_hours")))
    (tmp_path / "test.csv").write_text(table(("refund me please", "refund_me"), ("my parcel is lost", "parcel_lost"),
                                             ("the box never came at all", "parcel_lost")))
    result = measured("rules", "--data", str(tmp_path))
    assert result["n"] == 3
    assert result["metrics"]["name_only_r1"] == pytest.approx(66.7)
    assert result["metrics"]["full_accuracy"] == 100.0
    assert 0.0 <= result["metrics"]["shot1_exact"] <= result["metrics"]["shot1_accuracy"]
    assert "oos_recall" not in result["metrics"]


def test_rows_out_of_scope_are_measured_where_the_folder_has_them(tmp_path: Path) -> None:
    (tmp_path / "all.json").write_text(json.dumps({
        "train": [["where is my parcel", "parcel"], ["I want a refund", "refund"]] * 5,
        "val": [["where is the parcel", "parcel"], ["a refund now", "refund"]],
        "oos_train": [["how tall is the tower"]], "oos_val": [["who won the match"], ["sing a song"]]}))
    metrics = measured("rules", "--data", str(tmp_path))["metrics"]
    assert metrics["oos_auroc"] == 1.0
    assert metrics["oos_recall"] == 100.0
    assert 0.0 < metrics["threshold"] <= 1.0


def test_documents_are_ranked_by_their_best_passage(tmp_path: Path) -> None:
    texts = {"1": "Block the card at once.", "2": "Fees abroad are two percent.", "3": "Bring an identity document."}
    (tmp_path / "documents.jsonl").write_text("\n".join(json.dumps({"id": key, "title": "", "text": text})
                                                        for key, text in texts.items()))
    (tmp_path / "queries.jsonl").write_text(json.dumps({"id": "a", "text": "fees abroad"}))
    (tmp_path / "qrels.tsv").write_text("a\t2\t3\n")
    result = measured("documents", "--data", str(tmp_path))
    assert result["metrics"] == {"ndcg_at_10": 100.0, "recall_at_10": 100.0}


def test_without_test_rows_a_part_of_the_training_rows_is_set_aside_and_never_learnt(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text(table(*[(f"text {number}", f"c{number % 3}") for number in range(50)]))
    rows = rules.read(tmp_path, None, 7)
    assert (len(rows.train), len(rows.test)) == (40, 10)
    assert not {row.text for row in rows.train} & {row.text for row in rows.test}
    assert rows == rules.read(tmp_path, None, 7) != rules.read(tmp_path, None, 8)


def test_a_folder_of_another_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"train\.csv"):
        rules.read(tmp_path, None, 7)
    with pytest.raises(ConfigurationError, match=r"documents\.jsonl"):
        documents.read(tmp_path)
    with pytest.raises(ConfigurationError, match=r"ontology\.json"):
        many.read(tmp_path)


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=80), st.integers(0, 9))
def test_misspelling_changes_letters_not_words_and_is_the_same_every_time(text: str, seed: int) -> None:
    spoilt = rules.misspelt(text, seed)
    assert spoilt == rules.misspelt(text, seed)
    assert len(spoilt.split()) == len(text.split())


def test_several_rules_at_once_are_measured_with_no_example_one_fold_and_all(tmp_path: Path) -> None:
    (tmp_path / "shop").mkdir()
    (tmp_path / "ontology.json").write_text(json.dumps({"intents": {
        "refund": {"description": "is it about a refund?", "domain": ["shop"]},
        "parcel": {"description": "is it about a parcel?", "domain": ["general"]},
        "song": {"description": "is it about a song?", "domain": ["music"]}}}))
    rows = [{"text": "it never came, give me my money", "intents": ["refund", "parcel"]},
            {"text": "it never came", "intents": ["parcel"]}, {"text": "give me my money", "intents": ["refund"]},
            {"text": "sing", "intents": []}]
    for fold in range(4):
        (tmp_path / "shop" / f"fold{fold}.json").write_text(json.dumps(rows))
    domain = many.read(tmp_path)[0]
    assert (domain.intents.keys(), [len(fold) for fold in domain.folds]) == ({"refund", "parcel"}, [4] * 4)
    result = measured("many", "--data", str(tmp_path))
    assert result["n"] == 4
    assert result["metrics"]["all_folds_micro_f1"] > 70.0 > 20.0 > result["metrics"]["zero_micro_f1"]
    assert result["metrics"]["all_folds_empty_set_accuracy"] == 100.0


@pytest.mark.parametrize("more", [[], ["--bound"]])
def test_the_time_of_a_reranking_is_measured_in_every_shape(more: list[str], cross_folder: Path) -> None:
    run = subprocess.run([sys.executable, "-m", "bench.rerank", "--quick", "--json", "--model", str(cross_folder),
                          *more], cwd=ROOT, capture_output=True, text=True, check=True)
    found = json.loads(run.stdout)
    assert found["provider"] == "CPUExecutionProvider"
    assert found["bound"] is bool(more)
    assert [one["tokens"] for one in found["lengths"]] == [32, 128]
    assert found["parity"] < 1e-4
    assert 0.0 < found["p50_ms"] <= found["p95_ms"] <= found["p99_ms"]
    assert found["together"]["sessions"] == 4


def test_a_gpu_that_is_not_there_is_not_measured(cross_folder: Path) -> None:
    run = subprocess.run([sys.executable, "-m", "bench.rerank", "--provider", "cuda", "--model", str(cross_folder)],
                         cwd=ROOT, capture_output=True, text=True, env={**os.environ, "CUDA_VISIBLE_DEVICES": ""})
    assert run.returncode == 2
    assert "CPUExecutionProvider" in run.stderr


def test_the_time_of_a_match_is_measured_over_as_many_rules_as_are_asked_for() -> None:
    run = subprocess.run([sys.executable, "-m", "bench.match", "--quick", "--rules", "30", "--examples", "2",
                          "--messages", "20", "--json"], cwd=ROOT, capture_output=True, text=True, check=True)
    found = json.loads(run.stdout)
    assert (found["rules"], found["examples"], found["n"]) == (30, 2, 20)
    assert found["publish_s"] > 0.0 < found["publish_cpu_s"]
    assert found["heads_kib"] > 0
    assert 0.0 < found["p50_ms"] <= found["p95_ms"] <= found["p99_ms"]
