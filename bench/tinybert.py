"""Makes cross-encoder folders of random weights on the spot (needs `onnx`): the shape is real, the answers are not."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

try:
    from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper
except ImportError:
    raise SystemExit("models are made with onnx, which the test environment has: scripts/setup --tests") from None

Array = NDArray[np.float32]

LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")


@dataclass(frozen=True, slots=True)
class Shape:
    """Sizes of a BERT cross-encoder; the default is TinyBERT-L2-H128. `seed` fixes the weights."""

    vocabulary: int = 30_522
    hidden: int = 128
    inner: int = 512
    heads: int = 2
    layers: int = 2
    positions: int = 512
    logits: int = 1
    seed: int = 7


SMALL = Shape(vocabulary=200, hidden=16, inner=32, heads=2, layers=1, positions=128)


def write_folder(folder: Path, shape: Shape | None = None, *, ids: str = "input_ids") -> Path:
    """model.onnx, tokenizer.json and config.json of a random cross-encoder; `ids` renames the first input."""
    shape = shape or Shape()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(cross_encoder(shape, ids).SerializeToString(deterministic=True))
    tokenizer(shape).save(str(folder / "tokenizer.json"))
    configuration = {"model_type": "bert", "pad_token_id": 0, "max_position_embeddings": shape.positions}
    (folder / "config.json").write_text(json.dumps(configuration), encoding="utf-8")
    return folder


def tokenizer(shape: Shape) -> Tokenizer:
    """Word pieces of letters and digits, and made-up words up to the vocabulary's size."""
    pieces = [*SPECIAL, *LETTERS, *(f"##{letter}" for letter in LETTERS)]
    pieces += [f"word{number}" for number in range(shape.vocabulary - len(pieces))]
    made = Tokenizer(models.WordPiece({piece: number for number, piece in enumerate(pieces)}, unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer()
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", pieces.index("[CLS]")), ("[SEP]", pieces.index("[SEP]"))])
    return made


def cross_encoder(shape: Shape, ids: str = "input_ids") -> ModelProto:
    """A BERT encoder with pooler and classifier, attention fused as ONNX Runtime runs it."""
    graph = _Graph(shape)
    x = _embeddings(graph, ids)
    mask = graph.node("Cast", "attention_mask", to=TensorProto.INT32)
    for _ in range(shape.layers):
        x = _layer(graph, x, mask)
    first = graph.node("Gather", x, graph.constant(np.array(0, dtype=np.int64)), axis=1)
    pooled = graph.node("Tanh", graph.linear(first, shape.hidden, shape.hidden))
    graph.node("Identity", graph.linear(pooled, shape.hidden, shape.logits), output="logits")
    inputs = [helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "length"])
              for name in (ids, "attention_mask", "token_type_ids")]
    outputs = [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", shape.logits])]
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(helper.make_graph(graph.nodes, "cross", inputs, outputs, graph.initializers),
                             opset_imports=opsets, ir_version=10)


class _Graph:
    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self.nodes: list[NodeProto] = []
        self.initializers: list[TensorProto] = []
        self._random = np.random.default_rng(shape.seed)

    def constant(self, value: NDArray[np.generic]) -> str:
        name = f"constant_{len(self.initializers)}"
        self.initializers.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def weight(self, *sizes: int, scale: float = 0.06) -> str:
        return self.constant(self._random.standard_normal(sizes, dtype=np.float32) * np.float32(scale))

    def node(self, kind: str, *inputs: str, output: str | None = None, domain: str = "", **attributes: Any) -> str:
        name = output or f"{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], name=name, domain=domain, **attributes))
        return name

    def linear(self, x: str, rows: int, columns: int) -> str:
        return self.node("Add", self.node("MatMul", x, self.weight(rows, columns)), self.weight(columns))

    def norm(self, x: str) -> str:
        ones = self.constant(np.ones(self.shape.hidden, dtype=np.float32))
        return self.node("LayerNormalization", x, ones, self.weight(self.shape.hidden), axis=-1, epsilon=1e-12)


def _embeddings(graph: _Graph, ids: str) -> str:
    hidden, zero = graph.shape.hidden, graph.constant(np.array([0], dtype=np.int64))
    length = graph.node("Gather", graph.node("Shape", ids), graph.constant(np.array([1], dtype=np.int64)))
    positions = graph.node("Slice", graph.weight(graph.shape.positions, hidden), zero, length, zero)
    words = graph.node("Gather", graph.weight(graph.shape.vocabulary, hidden), ids)
    types = graph.node("Gather", graph.weight(2, hidden), "token_type_ids")
    return graph.norm(graph.node("Add", graph.node("Add", words, positions), types))


def _layer(graph: _Graph, x: str, mask: str) -> str:
    hidden, inner = graph.shape.hidden, graph.shape.inner
    attended = graph.node("Attention", x, graph.weight(hidden, 3 * hidden), graph.weight(3 * hidden), mask,
                          domain="com.microsoft", num_heads=graph.shape.heads)
    x = graph.norm(graph.node("Add", graph.linear(attended, hidden, hidden), x))
    expanded = graph.node("Gelu", graph.linear(x, hidden, inner), approximate="none")
    return graph.norm(graph.node("Add", graph.linear(expanded, inner, hidden), x))
