"""Cross-encoder folders, good and bad, and the reranker that needs no weights."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer

from bench.tinybert import SMALL, write_folder
from ruche.engine.config import ModelSettings
from ruche.plugins.contracts import Reranker
from ruche.plugins.embedders import HashingEmbedder, MiniLmEmbedder
from ruche.plugins.embedders.cache import VectorCache
from ruche.plugins.errors import ConfigurationError
from ruche.plugins.rerankers import CrossEncoder, SentenceReranker, open_reranker

PASSAGES = ["refund", "the parcel is late and nobody answers", "", "word5 word6 word7", "a b c d e f g h i j k l", "🙂",
            "invoice " * 400, "card", "late parcel"]


def test_a_cross_encoder_folder_scores_pairs_and_tells_its_provider(cross_folder: Path) -> None:
    model = CrossEncoder(cross_folder, device="cpu")
    scores = model.score("where is my parcel", PASSAGES)
    assert len(scores) == len(PASSAGES)
    assert len(set(scores)) > 5
    assert model.provider == "CPUExecutionProvider"
    assert isinstance(model, Reranker)


def test_buckets_of_similar_length_change_no_score(cross_folder: Path) -> None:
    model = CrossEncoder(cross_folder, device="cpu")
    together = model.score("where is my parcel", PASSAGES * 3)
    alone = [model.score("where is my parcel", [passage])[0] for passage in PASSAGES * 3]
    assert np.abs(np.array(together) - np.array(alone)).max() < 1e-5


def test_no_passage_gives_no_score(cross_folder: Path) -> None:
    assert CrossEncoder(cross_folder, device="cpu").score("a", []) == []


def test_a_query_longer_than_the_model_and_odd_texts_are_cut_not_refused(cross_folder: Path) -> None:
    model = CrossEncoder(cross_folder, device="cpu")
    scores = model.score("word " * 100_000, ["x" * 1_000_000, "\x00\x01", "half \ud83d pair"])
    assert np.isfinite(scores).all()


def test_two_logits_mean_relevant_minus_irrelevant(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "two", replace(SMALL, logits=2))
    encoding = Tokenizer.from_file(str(folder / "tokenizer.json")).encode("a", "b c")
    session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    logits = session.run(None, {"input_ids": [encoding.ids], "attention_mask": [encoding.attention_mask],
                                "token_type_ids": [encoding.type_ids]})[0][0]
    assert CrossEncoder(folder, device="cpu").score("a", ["b c"]) == pytest.approx([logits[1] - logits[0]], abs=1e-6)


def test_the_model_may_lie_in_a_folder_called_onnx(cross_folder: Path, tmp_path: Path) -> None:
    folder = copy(cross_folder, tmp_path)
    (folder / "onnx").mkdir()
    (folder / "model.onnx").rename(folder / "onnx" / "model.onnx")
    assert (CrossEncoder(folder, device="cpu").score("a", ["b"])
            == CrossEncoder(cross_folder, device="cpu").score("a", ["b"]))


# --- folders that cannot be used


def copy(folder: Path, target: Path) -> Path:
    return Path(shutil.copytree(folder, target / "copy"))


def without(name: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).unlink()


def with_text(name: str, text: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_text(text)


def with_nan(folder: Path) -> None:
    model = onnx.load(folder / "model.onnx")
    for tensor in model.graph.initializer:
        if tensor.data_type == TensorProto.FLOAT:
            tensor.CopyFrom(numpy_helper.from_array(np.full(tensor.dims, np.nan, dtype=np.float32), tensor.name))
    onnx.save(model, folder / "model.onnx")


def with_other_output(folder: Path) -> None:
    ids = helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["batch", "length"])
    out = helper.make_tensor_value_info("states", TensorProto.FLOAT, ["batch", "length"])
    node = helper.make_node("Cast", ["input_ids"], ["states"], to=TensorProto.FLOAT)
    model = helper.make_model(helper.make_graph([node], "other", [ids], [out]), ir_version=10,
                              opset_imports=[helper.make_opsetid("", 20)])
    onnx.save(model, folder / "model.onnx")


@pytest.mark.parametrize(("spoil", "said"), [
    (without("model.onnx"), r"no model\.onnx"),
    (without("tokenizer.json"), r"no tokenizer\.json"),
    (with_text("tokenizer.json", "{}"), "cannot be read"),
    (with_text("config.json", "{"), "not JSON"),
    (with_text("model.onnx", "not a model"), "cannot be loaded"),
    (lambda folder: write_folder(folder, SMALL, ids="token_numbers"), "token_numbers"),
    (with_nan, "not a finite number"),
    (with_other_output, "shape"),
])
def test_a_bad_model_folder_is_refused_with_the_reason(
        cross_folder: Path, tmp_path: Path, spoil: Callable[[Path], object], said: str) -> None:
    folder = copy(cross_folder, tmp_path)
    spoil(folder)
    with pytest.raises(ConfigurationError, match=said):
        CrossEncoder(folder, device="cpu")


def test_a_pinned_model_with_another_hash_is_refused(cross_folder: Path) -> None:
    """Security item 24: model files can be pinned by SHA-256 and are loaded from the bytes that were checked."""
    with pytest.raises(ConfigurationError, match="SHA-256"):
        CrossEncoder(cross_folder, device="cpu", sha256="0" * 64)


def test_a_model_that_keeps_data_outside_itself_is_refused(
        cross_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Security item 24: no external data, even where the file that the model names is there to be read."""
    folder = copy(cross_folder, tmp_path)
    onnx.save(onnx.load(folder / "model.onnx"), folder / "model.onnx", save_as_external_data=True,
              location="weights.bin", size_threshold=500)
    monkeypatch.chdir(folder)
    with pytest.raises(ConfigurationError, match="cannot be loaded"):
        CrossEncoder(folder, device="cpu")


def test_an_unknown_device_is_refused_with_those_that_are_there(cross_folder: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"cpu, cuda, auto, or a provider .*CPUExecutionProvider"):
        CrossEncoder(cross_folder, device="tpu")


def test_any_provider_of_the_runtime_may_be_named(cross_folder: Path) -> None:
    named = CrossEncoder(cross_folder, device="CPUExecutionProvider")
    assert named.provider == "CPUExecutionProvider"
    assert named.score("where", PASSAGES) == CrossEncoder(cross_folder, device="cpu").score("where", PASSAGES)


def test_a_provider_that_does_not_take_the_session_is_refused(
        cross_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The runtime falls back to the CPU without an error; only the session tells."""
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["AbsentExecutionProvider"])
    monkeypatch.setattr(onnxruntime, "InferenceSession", partial(_on_the_cpu, onnxruntime.InferenceSession))
    with pytest.raises(ConfigurationError, match="AbsentExecutionProvider was asked for, but ONNX Runtime runs on CPU"):
        CrossEncoder(cross_folder, device="AbsentExecutionProvider")


def _on_the_cpu(session: Any, model: bytes, options: Any, providers: Any) -> Any:
    assert providers == ["AbsentExecutionProvider", "CPUExecutionProvider"]
    return session(model, options, providers=["CPUExecutionProvider"])


# --- without weights


def test_the_best_sentence_decides_not_the_whole_passage() -> None:
    scores = SentenceReranker(HashingEmbedder()).score(
        "cancel my subscription",
        ["Nice weather. Parcels arrive on Monday. You can cancel the subscription at any time. Lunch is at noon.",
         "Subscriptions are lovely things that everybody wants and which we sell in many colours.", ""])
    assert scores[0] > scores[1] > scores[2]


def test_no_passages_and_passages_without_sentences_are_fine() -> None:
    model = SentenceReranker(HashingEmbedder())
    assert model.score("a", []) == []
    assert len(model.score("a", ["", " \n "])) == 2
    assert isinstance(model, Reranker)


def test_a_remembered_passage_gets_the_same_score() -> None:
    embedder = HashingEmbedder()
    remembering = SentenceReranker(embedder, VectorCache())
    for query in ("parcel", "late"):
        assert remembering.score(query, PASSAGES) == SentenceReranker(embedder).score(query, PASSAGES)


def test_sentences_by_meaning_with_minilm(minilm: MiniLmEmbedder) -> None:
    scores = SentenceReranker(minilm).score("How do I get my money back?", [
        "Our shop opens at nine. We sell shoes.", "Welcome. Refunds are paid within ten days. Goodbye."])
    assert scores[1] > scores[0]


def test_settings_choose_the_reranker(cross_folder: Path) -> None:
    embedder = HashingEmbedder()
    assert isinstance(open_reranker(ModelSettings(), embedder), SentenceReranker)
    assert isinstance(open_reranker(ModelSettings(reranker_path=cross_folder), embedder), CrossEncoder)


TEXTS = [("a question", [f"passage {'word ' * number}" for number in range(30)]), ("another", ["one", "two three"]),
         ("a long one", ["w " * 300, "short"]), ("nothing", [])]


def test_bound_shapes_give_the_scores_of_free_ones(cross_folder: Path) -> None:
    free, bound = CrossEncoder(cross_folder, device="cpu"), CrossEncoder(cross_folder, device="cpu", bound=True)
    assert (free.batches, bound.batches) == (False, True)
    for query, passages in TEXTS:
        assert bound.score(query, passages) == pytest.approx(free.score(query, passages), abs=1e-5)


def test_requests_in_one_batch_get_the_scores_that_they_get_alone(cross_folder: Path) -> None:
    model = CrossEncoder(cross_folder, device="cpu", bound=True)
    together = model.score_many(TEXTS)
    assert [len(scores) for scores in together] == [30, 2, 2, 0]
    for (query, passages), scores in zip(TEXTS, together, strict=True):
        assert scores == pytest.approx(model.score(query, passages), abs=1e-5)


def test_bound_shapes_whose_device_is_gone_give_way_to_runs_on_the_cpu(cross_folder: Path) -> None:
    class Gone:
        def run_with_iobinding(self, *_: object) -> object:
            raise RuntimeError("device lost")

        def get_providers(self) -> list[str]:
            return ["CUDAExecutionProvider"]

    model = CrossEncoder(cross_folder, device="cpu", bound=True)
    before = model.score("a question", ["one", "two words"])
    model._session.session = model._bound._session = Gone()  # type: ignore[union-attr]
    assert model.score("a question", ["one", "two words"]) == pytest.approx(before, abs=1e-6)
    assert not model.batches
    assert model.provider == "CPUExecutionProvider"


def test_away_from_the_cpu_a_request_is_one_batch(cross_folder: Path) -> None:
    class Elsewhere:
        def __init__(self, session: Any) -> None:
            self.session, self.sizes = session, list[int]()

        def run(self, names: Any, feeds: dict[str, Any]) -> Any:
            self.sizes.append(len(feeds["input_ids"]))
            return self.session.run(names, feeds)

        def get_providers(self) -> list[str]:
            return ["CUDAExecutionProvider"]

    model = CrossEncoder(cross_folder, device="cpu", threads=2)
    before = model.score("late", PASSAGES * 3)
    elsewhere = model._session.session = Elsewhere(model._session.session)
    assert model.score("late", PASSAGES * 3) == pytest.approx(before, abs=1e-5)
    assert elsewhere.sizes == [24, 3]


def test_two_logits_are_bound_as_well(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "two", replace(SMALL, logits=2))
    free, bound = CrossEncoder(folder, device="cpu"), CrossEncoder(folder, device="cpu", bound=True)
    assert bound.score(*TEXTS[1]) == pytest.approx(free.score(*TEXTS[1]), abs=1e-5)
