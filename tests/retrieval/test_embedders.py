"""MiniLM against an independent computation, pinned bytes, odd texts, and what serves without weights."""

from __future__ import annotations

import json
import math
import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from ruche.engine.config import ModelSettings
from ruche.plugins.contracts import Embedder
from ruche.plugins.embedders import NOTICE, HashingEmbedder, MiniLmEmbedder, open_embedder
from ruche.plugins.embedders.cache import VectorCache
from ruche.plugins.embedders.weights import PINNED, find_weights, graph_weights, read_safetensors
from ruche.plugins.errors import ConfigurationError, RucheError
from ruche.plugins.inference import owns_weights

ROOT = Path(__file__).resolve().parents[2]
ODD_TEXTS = {"empty": "", "emoji": "🙂", "megabyte": "word " * 200_000, "one long word": "x" * 1_000_000,
             "control characters": "\x00\x01\x02\x07\x1b", "half a surrogate pair": "hi \ud83d there",
             "many scripts": "привет 你好 مرحبا שלום नमस्ते こんにちは 안녕 Γειά"}


def reference(tensors: dict[str, np.ndarray], ids: list[int]) -> np.ndarray:
    """BERT with mean pooling in float64, written from the papers: what the shipped graph must compute."""
    t = {name: array.astype(np.float64) for name, array in tensors.items()}

    def norm(x: np.ndarray, name: str) -> np.ndarray:
        mean, variance = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
        return (x - mean) / np.sqrt(variance + 1e-12) * t[f"{name}.weight"] + t[f"{name}.bias"]

    def linear(x: np.ndarray, name: str) -> np.ndarray:
        return x @ t[f"{name}.weight"].T + t[f"{name}.bias"]

    x = (t["embeddings.word_embeddings.weight"][ids] + t["embeddings.position_embeddings.weight"][:len(ids)]
         + t["embeddings.token_type_embeddings.weight"][0])
    x = norm(x, "embeddings.LayerNorm")
    for number in range(6):
        here = f"encoder.layer.{number}"
        q, k, v = (linear(x, f"{here}.attention.self.{part}").reshape(len(ids), 12, 32).transpose(1, 0, 2)
                   for part in ("query", "key", "value"))
        weights = np.exp(q @ k.transpose(0, 2, 1) / math.sqrt(32))
        mixed = (weights / weights.sum(-1, keepdims=True) @ v).transpose(1, 0, 2).reshape(len(ids), 384)
        x = norm(x + linear(mixed, f"{here}.attention.output.dense"), f"{here}.attention.output.LayerNorm")
        inner = linear(x, f"{here}.intermediate.dense")
        inner = inner * 0.5 * (1 + np.vectorize(math.erf)(inner / math.sqrt(2)))
        x = norm(x + linear(inner, f"{here}.output.dense"), f"{here}.output.LayerNorm")
    pooled = x.mean(0)
    return pooled / np.linalg.norm(pooled)


# --- MiniLM


def test_minilm_computes_what_an_independent_bert_computes(minilm: MiniLmEmbedder, minilm_folder: Path) -> None:
    tensors = read_safetensors((minilm_folder / "model.safetensors").read_bytes())
    tokenizer = Tokenizer.from_file(str(minilm_folder / "tokenizer.json"))
    tokenizer.no_padding()
    for text in ("Where is my parcel?", "Je voudrais un remboursement, s'il vous plaît.", "你好"):
        expected = reference(tensors, tokenizer.encode(text).ids)
        assert float(np.abs(minilm.encode([text])[0] - expected).max()) < 1e-6


def test_minilm_gives_the_similarities_that_its_makers_publish(minilm: MiniLmEmbedder) -> None:
    rows = minilm.encode(["The weather is lovely today.", "It's so sunny outside!", "He drove to the stadium."])
    assert np.round(rows @ rows.T, 4)[0].tolist() == pytest.approx([1.0, 0.6660, 0.1046], abs=1e-4)


def test_a_vector_does_not_depend_on_the_texts_beside_it(minilm_folder: Path) -> None:
    texts = ["refund", "a much longer text about parcels " * 30, "", "card blocked"]
    together = MiniLmEmbedder(minilm_folder).encode(texts)
    alone = MiniLmEmbedder(minilm_folder)
    assert all(np.array_equal(alone.encode([text])[0], row) for text, row in zip(texts, together, strict=True))


def test_minilm_gives_the_same_bytes_in_a_fresh_process(minilm: MiniLmEmbedder) -> None:
    """Replay needs it: the vectors of another process must be the recorded ones."""
    script = ("import sys; from ruche.plugins.embedders import MiniLmEmbedder; "
              "sys.stdout.write(MiniLmEmbedder().encode(['Where is my order?', '🙂']).tobytes().hex())")
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert answer.stdout == minilm.encode(["Where is my order?", "🙂"]).tobytes().hex()


@pytest.mark.parametrize("text", ODD_TEXTS.values(), ids=ODD_TEXTS.keys())
def test_minilm_takes_any_text(minilm: MiniLmEmbedder, text: str) -> None:
    row = minilm.encode([text])
    assert row.shape == (1, 384)
    assert float(np.linalg.norm(row)) == pytest.approx(1.0, abs=1e-5)


def test_long_texts_are_read_up_to_256_tokens_and_not_padded(minilm: MiniLmEmbedder) -> None:
    first, longer = "parcel " * 254, "parcel " * 400
    assert np.array_equal(minilm.encode([first]), minilm.encode([longer]))
    assert not np.array_equal(minilm.encode(["parcel " * 120]), minilm.encode([first]))


def test_minilm_says_where_it_really_runs(minilm: MiniLmEmbedder) -> None:
    assert minilm.provider == "CPUExecutionProvider"
    assert isinstance(minilm, Embedder)
    assert PINNED["model.safetensors"][:12] in minilm.name


def test_asking_for_a_gpu_that_is_not_there_is_refused(minilm_folder: Path) -> None:
    if Path("/dev/nvidia0").exists():
        assert MiniLmEmbedder(minilm_folder, device="cuda").provider == "CUDAExecutionProvider"
        return
    with pytest.raises(ConfigurationError, match="cuda was asked for"):
        MiniLmEmbedder(minilm_folder, device="cuda")


def test_minilm_goes_on_on_the_cpu_when_its_device_is_gone(minilm_folder: Path) -> None:
    class Gone:
        def run(self, *_: object) -> object:
            raise RuntimeError("device lost")

        def get_providers(self) -> list[str]:
            return ["CUDAExecutionProvider"]

    embedder = MiniLmEmbedder(minilm_folder)
    before = embedder.encode(["a sentence"])
    embedder._session.session = Gone()
    assert (embedder.encode(["a sentence"]) == before).all()
    assert embedder.provider == "CPUExecutionProvider"


def test_weights_are_let_go_only_when_the_session_has_its_own_copy(minilm: MiniLmEmbedder) -> None:
    weights = {"w": np.arange(6, dtype=np.float32).reshape(3, 2)}
    assert owns_weights(weights, lambda: np.ones(2, dtype=np.float32))
    assert not owns_weights(weights, lambda: weights["w"].sum(axis=0))
    assert weights["w"].tolist() == [[0, 1], [2, 3], [4, 5]]
    assert np.isfinite(minilm.encode(["after the weights were let go"])).all()


# --- pinned weights


def copied(folder: Path, target: Path) -> Path:
    target.mkdir()
    for name in PINNED:
        shutil.copyfile(folder / name, target / name)
    return target


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json"])
def test_a_flipped_byte_in_the_weights_is_refused(minilm_folder: Path, tmp_path: Path, name: str) -> None:
    """Security item 24: model files are pinned by SHA-256, and the bytes that were checked are those that are used."""
    folder = copied(minilm_folder, tmp_path / "model")
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(content)
    with pytest.raises(ConfigurationError, match="SHA-256"):
        MiniLmEmbedder(folder)
    with pytest.raises(ConfigurationError, match="SHA-256"):
        open_embedder(ModelSettings(embedder_path=folder))


def test_a_folder_that_lacks_a_file_is_refused_by_name(minilm_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ConfigurationError, match=r"model\.safetensors, tokenizer\.json"):
        open_embedder(ModelSettings(embedder_path=tmp_path))


def safetensors(header: object, body: bytes = b"") -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


def test_safetensors_are_read_by_name_and_shape() -> None:
    content = safetensors({"__metadata__": {"format": "pt"},
                           "w": {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]},
                           "ids": {"dtype": "I64", "shape": [1], "data_offsets": [16, 24]}},
                          np.arange(4, dtype="<f4").tobytes() + bytes(8))
    tensors = read_safetensors(content)
    assert list(tensors) == ["w"]
    assert tensors["w"].tolist() == [[0, 1], [2, 3]]


@pytest.mark.parametrize("content", [
    b"", b"\xff" * 8, b"\x02\0\0\0\0\0\0\0[]", safetensors({"w": {}}),
    safetensors({"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}, b"1234")])
def test_a_file_that_is_no_safetensors_is_refused(content: bytes) -> None:
    with pytest.raises(ConfigurationError, match="safetensors"):
        read_safetensors(content)


def test_weights_of_another_model_are_refused_by_the_tensor_that_lacks() -> None:
    with pytest.raises(ConfigurationError, match="word_embeddings"):
        graph_weights({"something": np.zeros(3, dtype=np.float32)})


def test_the_shipped_graph_is_what_the_script_makes(tmp_path: Path) -> None:
    made = tmp_path / "made.onnx"
    subprocess.run([sys.executable, str(ROOT / "scripts" / "make-minilm-graph"), str(made)], check=True,
                   capture_output=True)
    shipped = (ROOT / "plugins" / "embedders" / "minilm.onnx").read_bytes()
    assert made.read_bytes() == shipped
    assert len(shipped) < 20_000


# --- choosing


def test_auto_takes_minilm_where_the_weights_are(minilm_folder: Path) -> None:
    embedder, notice = open_embedder(ModelSettings())
    assert (type(embedder), notice) == (MiniLmEmbedder, None)
    assert find_weights() is not None


@pytest.mark.usefixtures("no_weights")
def test_without_weights_hashing_serves_and_says_so() -> None:
    embedder, notice = open_embedder(ModelSettings())
    assert (type(embedder), notice) == (HashingEmbedder, NOTICE)
    assert "ruche model install" in NOTICE


@pytest.mark.usefixtures("no_weights")
def test_minilm_by_name_without_weights_is_an_error_that_says_what_to_do() -> None:
    with pytest.raises(ConfigurationError, match="ruche model install"):
        open_embedder(ModelSettings(embedder="minilm"))


def test_hashing_by_name_gives_no_notice() -> None:
    assert open_embedder(ModelSettings(embedder="hashing"))[1] is None


def test_an_unknown_embedder_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigurationError, match="no embedder called bert; write one of auto, minilm, hashing, folder"):
        open_embedder(ModelSettings(embedder="bert"))


# --- hashing


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=200))
def test_hashing_gives_a_unit_vector_for_any_text(text: str) -> None:
    row = HashingEmbedder().encode([text])
    assert row.shape == (1, 512)
    assert float(np.linalg.norm(row)) == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize("text", ODD_TEXTS.values(), ids=ODD_TEXTS.keys())
def test_hashing_takes_any_text(text: str) -> None:
    assert float(np.linalg.norm(HashingEmbedder().encode([text]))) == pytest.approx(1.0, abs=1e-5)


def test_hashing_finds_the_text_with_the_same_words_and_forgives_endings() -> None:
    rows = HashingEmbedder().encode(["my parcels are late", "the parcel is late", "cancel my subscription"])
    assert float(rows[0] @ rows[1]) > 0.5 > 0.2 > float(rows[0] @ rows[2])


def test_hashing_is_the_same_in_a_fresh_process_with_another_hash_seed() -> None:
    script = ("import sys; from ruche.plugins.embedders import HashingEmbedder; "
              "sys.stdout.write(HashingEmbedder().encode(['Where is my order?']).tobytes().hex())")
    found = {subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True,
                            env={**os.environ, "PYTHONHASHSEED": seed}).stdout for seed in ("1", "2")}
    assert found == {HashingEmbedder().encode(["Where is my order?"]).tobytes().hex()}


# --- the cache


def test_a_text_is_encoded_once_in_a_space_and_the_oldest_is_forgotten() -> None:
    asked: list[str] = []

    def encode(text: str) -> np.ndarray:
        asked.append(text)
        return np.ones(2, dtype=np.float32)

    cache = VectorCache(2)
    for text in ("a", "b", "a", "c", "a", "b"):
        cache.row("tenant", text, encode)
    assert asked == ["a", "b", "c", "b"]


def test_a_failed_text_is_not_remembered() -> None:
    cache = VectorCache(2)

    def fail(text: str) -> np.ndarray:
        raise RucheError("no")

    with pytest.raises(RucheError):
        cache.row("tenant", "a", fail)
    assert cache.row("tenant", "a", lambda text: np.ones(2, dtype=np.float32)).tolist() == [1.0, 1.0]
