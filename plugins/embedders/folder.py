"""Any sentence-embedding model as an ONNX folder: other languages, other sizes, by configuration alone."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ruche.plugins.embedders.calibration import calibrated_threshold
from ruche.plugins.errors import ConfigurationError, ProviderFailed
from ruche.plugins.folders import clean, configuration, model_bytes, positions, tokenizer_of
from ruche.plugins.inference import Movable, open_session

TOKENS, CHARACTERS = 256, 4_096
_INPUTS = frozenset({"input_ids", "attention_mask", "token_type_ids"})
_POOLING = "1_Pooling/config.json"


class FolderEmbedder:
    """model.onnx (or onnx/model.onnx) and tokenizer.json. The first output holds one vector a token, which are pooled
    as `1_Pooling/config.json` says (mean by default, or the first token's), or one vector a text.

    One text per run, fp32, so that a vector never depends on other texts. Everything that can be wrong with a folder is
    found when it is opened: a missing file, another hash, unknown inputs, a wrong shape, NaN. Raises ConfigurationError
    then, ProviderFailed later.
    """

    parallel = True

    def __init__(self, folder: Path, *, device: str = "cpu", threads: int = 1, sha256: str | None = None,
                 threshold: float | None = None, prefix: str = "") -> None:
        """`sha256` pins model.onnx. `threshold` is where a rule matches; without it, what calibration finds. `prefix`
        stands in front of every text, for models that were trained so ("query: ")."""
        model = model_bytes(folder, sha256)
        found = configuration(folder)
        self._prefix = prefix
        self._first = bool(configuration(folder, _POOLING).get("pooling_mode_cls_token"))
        self._tokenizer = tokenizer_of(folder, min(TOKENS, positions(found)))
        self.words = frozenset(piece.lstrip("▁Ġ").lower() for piece in self._tokenizer.get_vocab()
                               if piece.lstrip("▁Ġ").isalpha() and not piece.startswith("##"))
        """Pieces that may be whole words: they are never taken for slips."""
        self._session = Movable(
            lambda on: open_session(model_bytes(folder, sha256), device=on, threads=threads), device)
        self._inputs = self._checked_inputs(folder)
        self._output = self._session.session.get_outputs()[0].name
        self._name = f"folder-{hashlib.sha256(model).hexdigest()[:12]}"
        self._dimensions = self._tried(folder)
        self._threshold = calibrated_threshold(self.encode) if threshold is None else threshold

    @property
    def name(self) -> str:
        return self._name

    @property
    def dimensions(self) -> int:
        return self._dimensions

    @property
    def rule_threshold(self) -> float:
        return self._threshold

    @property
    def provider(self) -> str:
        """Where the session runs, as it says itself."""
        return self._session.provider

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """len(texts) x dimensions, rows of length 1. Any text is fine: empty, a megabyte, control characters."""
        rows = np.empty((len(texts), self._dimensions), dtype=np.float32)
        for place, text in enumerate(texts):
            rows[place] = self._encode(text)
        return rows

    def _encode(self, text: str) -> NDArray[np.float32]:
        ids = self._tokenizer.encode(self._prefix + clean(text, CHARACTERS)).ids or [0]
        values = self._run(ids)
        row = values[0] if values.ndim == 2 else values[0, 0] if self._first else values[0].mean(axis=0)
        length = float(np.linalg.norm(row))
        if not np.isfinite(length) or length == 0.0:
            raise ProviderFailed("the embedder gave a vector that is not finite; check the model folder")
        unit: NDArray[np.float32] = (row / length).astype(np.float32)
        return unit

    def _run(self, ids: Sequence[int]) -> NDArray[np.float32]:
        whole = np.array([ids], dtype=np.int64)
        feeds = {"input_ids": whole, "attention_mask": np.ones_like(whole), "token_type_ids": np.zeros_like(whole)}
        try:
            values = self._session.run(self._output, {name: feeds[name] for name in self._inputs})
        except Exception as error:  # onnxruntime's own exceptions share no public base
            raise ProviderFailed(f"the embedder failed on {self.provider}: {type(error).__name__}") from None
        found: NDArray[np.float32] = np.asarray(values, dtype=np.float32)
        if found.ndim not in (2, 3) or found.shape[0] != 1 or (found.ndim == 3 and found.shape[1] != len(ids)):
            raise ProviderFailed(f"the embedder gave an output of shape {found.shape} for {len(ids)} tokens; one "
                                 "vector a token or one a text is needed")
        return found

    def _checked_inputs(self, folder: Path) -> frozenset[str]:
        inputs = frozenset(entry.name for entry in self._session.session.get_inputs())
        if "input_ids" not in inputs or inputs - _INPUTS:
            raise ConfigurationError(f"{folder}: the model takes {', '.join(sorted(inputs))}; an embedder takes "
                                     "input_ids and, if it wants, attention_mask and token_type_ids")
        return inputs

    def _tried(self, folder: Path) -> int:
        """The number of dimensions."""
        try:
            values: Any = self._run(self._tokenizer.encode("a sentence").ids or [0])
            self._dimensions = int(values.shape[-1])
            self._encode("a sentence")
        except ProviderFailed as error:
            raise ConfigurationError(f"{folder}: {error.message}") from None
        return self._dimensions
