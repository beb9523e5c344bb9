"""Any embedding model in a folder: pinned, calibrated, and refused with the reason when it is not fit."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from bench.tinybert import SMALL, tokenizer
from ruche.actors.retriever import Retriever
from ruche.actors.system import ActorSystem
from ruche.engine.config import ModelSettings
from ruche.plugins.embedders import FolderEmbedder, HashingEmbedder, MiniLmEmbedder, open_embedder
from ruche.plugins.embedders.calibration import LEAST, MOST, SPREADS, calibrated_threshold
from ruche.plugins.errors import ConfigurationError
from ruche.storage.model.bundle import AgentBundle

SIZE = 8


def model(ids: str = "input_ids", *, pooled: bool = False, fill: float | None = None) -> onnx.ModelProto:
    """A table of word vectors: tokens in, one vector a token out, or one a text."""
    table = np.random.default_rng(7).standard_normal((SMALL.vocabulary, SIZE)).astype(np.float32)
    if fill is not None:
        table[:] = fill
    nodes = [helper.make_node("Gather", ["table", ids], ["tokens"])]
    if pooled:
        nodes.append(helper.make_node("ReduceMean", ["tokens", "axis"], ["text"], keepdims=0))
    inputs = [helper.make_tensor_value_info(ids, TensorProto.INT64, ["batch", "length"])]
    shape = ["batch", SIZE] if pooled else ["batch", "length", SIZE]
    outputs = [helper.make_tensor_value_info("text" if pooled else "tokens", TensorProto.FLOAT, shape)]
    axis = numpy_helper.from_array(np.array([1], dtype=np.int64), "axis")
    constants = [numpy_helper.from_array(table, "table"), axis]
    return helper.make_model(helper.make_graph(nodes, "embedder", inputs, outputs, constants), ir_version=10,
                             opset_imports=[helper.make_opsetid("", 20)])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "model"
    place.mkdir()
    (place / "model.onnx").write_bytes(model().SerializeToString(deterministic=True))
    tokenizer(SMALL).save(str(place / "tokenizer.json"))
    return place


def settings(folder: Path, **more: object) -> ModelSettings:
    return ModelSettings.model_validate({"embedder": "folder", "embedder_path": folder, **more})


def test_a_folder_is_an_embedder_by_configuration(folder: Path) -> None:
    embedder, notice = open_embedder(settings(folder, embedder_threshold=0.7))
    rows = embedder.encode(["abc", "abd", ""])
    assert (notice, embedder.rule_threshold, rows.shape, rows.dtype) == (None, 0.7, (3, SIZE), np.float32)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1.0, atol=1e-6)
    assert embedder.name == f"folder-{hashlib.sha256((folder / 'model.onnx').read_bytes()).hexdigest()[:12]}"


def test_a_vector_does_not_depend_on_the_texts_beside_it(folder: Path) -> None:
    embedder = FolderEmbedder(folder)
    together = embedder.encode(["abc", "a long text of many words", "x"])
    alone = np.vstack([embedder.encode([text]) for text in ("abc", "a long text of many words", "x")])
    assert together.tobytes() == alone.tobytes()


def test_a_model_that_pools_itself_gives_the_mean_too(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "pooled"
    shutil.copytree(folder, other)
    (other / "model.onnx").write_bytes(model(pooled=True).SerializeToString())
    np.testing.assert_allclose(FolderEmbedder(other).encode(["a b c"]), FolderEmbedder(folder).encode(["a b c"]),
                               atol=1e-6)


def test_pooling_by_the_first_token_is_read_from_the_folder(folder: Path) -> None:
    mean = FolderEmbedder(folder).encode(["a b", "c d"])
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode_cls_token": True}))
    first = FolderEmbedder(folder).encode(["a b", "c d"])
    assert not np.allclose(mean, first)
    np.testing.assert_allclose(first[0], first[1])


def test_a_prefix_stands_before_every_text(folder: Path) -> None:
    with_prefix = FolderEmbedder(folder, prefix="ab ").encode(["c"])
    np.testing.assert_allclose(with_prefix, FolderEmbedder(folder).encode(["ab c"]))


@pytest.mark.parametrize("text", [
    "", "\U0001f642", "x" * 1_000_000, "\x00\x01\x1b[31m", "\ud800 half", " ".join(map(chr, range(0x100, 0x3000, 64)))])
def test_any_text_has_a_unit_vector(folder: Path, text: str) -> None:
    assert np.linalg.norm(FolderEmbedder(folder).encode([text])[0]) == pytest.approx(1.0, abs=1e-5)


def without(name: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).unlink()


def with_model(content: bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / "model.onnx").write_bytes(content)


def flat() -> bytes:
    """A model that gives no vectors at all."""
    ids = helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["batch", "length"])
    out = helper.make_tensor_value_info("flat", TensorProto.FLOAT, ["length"])
    nodes = [helper.make_node("Cast", ["input_ids"], ["wide"], to=TensorProto.FLOAT),
             helper.make_node("Squeeze", ["wide", "axis"], ["flat"])]
    axis = numpy_helper.from_array(np.array([0], dtype=np.int64), "axis")
    made: bytes = helper.make_model(helper.make_graph(nodes, "flat", [ids], [out], [axis]), ir_version=10,
                                    opset_imports=[helper.make_opsetid("", 20)]).SerializeToString()
    return made


@pytest.mark.parametrize(("spoil", "said"), [
    (without("model.onnx"), r"no model\.onnx"),
    (without("tokenizer.json"), r"no tokenizer\.json"),
    (lambda folder: (folder / "tokenizer.json").write_text("{}"), "cannot be read"),
    (lambda folder: (folder / "config.json").write_text("{"), "not JSON"),
    (with_model(b"not a model"), "cannot be loaded"),
    (with_model(model("token_numbers").SerializeToString()), "takes token_numbers"),
    (with_model(model(fill=float("nan")).SerializeToString()), "not finite"),
    (with_model(model(fill=0.0).SerializeToString()), "not finite"),
    (with_model(flat()), "shape"),
])
def test_a_bad_folder_is_refused_with_the_reason(folder: Path, spoil: Callable[[Path], object], said: str) -> None:
    spoil(folder)
    with pytest.raises(ConfigurationError, match=said):
        open_embedder(settings(folder))


def test_a_model_of_another_hash_is_refused(folder: Path) -> None:
    digest = hashlib.sha256((folder / "model.onnx").read_bytes()).hexdigest()
    assert open_embedder(settings(folder, embedder_sha256=digest))[0].dimensions == SIZE
    with pytest.raises(ConfigurationError, match=f"{digest}, expected 0000"):
        open_embedder(settings(folder, embedder_sha256="0" * 64))


def test_a_folder_has_to_be_named() -> None:
    with pytest.raises(ConfigurationError, match="embedder_path"):
        open_embedder(ModelSettings(embedder="folder"))


def test_calibration_finds_the_threshold_that_was_measured_for_minilm(minilm: MiniLmEmbedder) -> None:
    assert calibrated_threshold(minilm.encode) == minilm.rule_threshold


def test_calibration_follows_the_scale_of_the_embedder() -> None:
    def crowded(texts: object) -> np.ndarray:
        rows = HashingEmbedder().encode(texts) + 0.4  # type: ignore[arg-type]
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    apart = calibrated_threshold(HashingEmbedder().encode)
    assert LEAST <= apart < calibrated_threshold(crowded) <= MOST
    assert SPREADS > 1.0


@pytest.mark.anyio
async def test_heads_and_vectors_of_another_model_are_never_mixed(folder: Path) -> None:
    bundle = AgentBundle.model_validate({"id": "desk", "agent": {"name": "Desk"}, "rules": [
        {"id": name, "if": f"it is about {name}", "then": "so", "examples": [f"{name} one", f"{name} two"]}
        for name in ("abc", "xyz")]})
    async with ActorSystem() as system:
        taught = await Retriever(HashingEmbedder(), system).prepare(bundle, 1)
        fresh = Retriever(FolderEmbedder(folder), system)
        other = await fresh.prepare(bundle, 1)
        again = await Retriever(FolderEmbedder(folder), system).prepare(bundle, 1, taught=taught)
    assert taught != other == again
