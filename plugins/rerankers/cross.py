"""Any cross-encoder folder: model.onnx (or onnx/model.onnx) and tokenizer.json, on CPU or CUDA."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ruche.plugins.errors import ConfigurationError, ProviderFailed
from ruche.plugins.folders import clean, configuration, model_bytes, positions, tokenizer_of
from ruche.plugins.inference import CPU, CUDA, Movable, demanded, open_session
from ruche.plugins.rerankers.bound import PAIRS, BoundShapes
from ruche.plugins.rerankers.lanes import Lanes

TOKENS, CHARACTERS, QUERY_CHARACTERS = 256, 2_048, 512
BUCKET = 4
"""Pairs of similar length that run together: 24 mixed pairs take 5.7 ms of CPU so, 11.2 in one padded batch."""

_INPUTS = frozenset({"input_ids", "attention_mask", "token_type_ids"})


class CrossEncoder:
    """Reads query and passage together. One logit, or two of which the second says "relevant".

    Everything that can be wrong with a folder is found when it is opened: a missing file, unknown inputs, a wrong
    shape, NaN. Raises ConfigurationError then, ProviderFailed later.
    """

    def __init__(self, folder: Path, *, device: str = "auto", threads: int = 1, tokens: int = TOKENS,
                 sha256: str | None = None, bound: bool | None = None) -> None:
        """`sha256` pins model.onnx; without it any model is accepted. `bound` keeps tensors of a few shapes where the
        model runs, and lets requests share a batch; None: on a GPU, where that pays. On a CPU as many batches of a
        request run at once as there are `threads`, each on one core.
        """
        model = model_bytes(folder, sha256)
        found = configuration(folder)
        self._name = f"cross-encoder-{hashlib.sha256(model).hexdigest()[:12]}"
        self._padding = int(found.get("pad_token_id") or 0)
        self._tokenizer = tokenizer_of(folder, min(tokens, positions(found)))
        self._bound: BoundShapes | None = None
        self._lanes = Lanes(threads)
        try:
            self._open(folder, model, device, bound)
        except ConfigurationError:
            if bound is not None or device == "cpu":
                raise
            self._bound = None  # not every model can be captured: without graphs it may serve all the same
            self._open(folder, model, device, False)

    @property
    def name(self) -> str:
        return self._name

    @property
    def provider(self) -> str:
        """Where the session runs, as it says itself."""
        return self._session.provider

    def score(self, query: str, passages: Sequence[str]) -> list[float]:
        """One score a passage, in the order given, higher is better. Long texts are cut."""
        return self.score_many([(query, passages)])[0]

    @property
    def batches(self) -> bool:
        """True where several requests in one batch take less time than one after the other: on a GPU."""
        return self._bound is not None

    def score_many(self, jobs: Sequence[tuple[str, Sequence[str]]]) -> list[list[float]]:
        """`score` of several requests at once."""
        pairs = [(clean(query, QUERY_CHARACTERS), clean(passage, CHARACTERS))
                 for query, passages in jobs for passage in passages]
        values = self._values(pairs) if pairs else []
        ends = np.cumsum([len(passages) for _, passages in jobs]).tolist()
        return [values[end - len(passages):end] for end, (_, passages) in zip(ends, jobs, strict=True)]

    def _values(self, pairs: list[tuple[str, str]]) -> list[float]:
        """Longest first: what is run last, while another lane is done, takes the least."""
        encodings = self._tokenizer.encode_batch_fast(pairs)
        order = sorted(range(len(pairs)), key=lambda place: -len(encodings[place].ids))
        scores = np.zeros(len(pairs), dtype=np.float64)

        def run(places: list[int]) -> None:
            scores[places] = self._run([encodings[place] for place in places])

        if self._bound is None and self.provider == CPU:
            self._lanes.each(run, [order[start:start + BUCKET] for start in range(0, len(order), BUCKET)])
        else:  # a device takes as long for few pairs as for many, and tensors that stay there are shared by all runs
            for start in range(0, len(order), PAIRS):
                run(order[start:start + PAIRS])
        values: list[float] = scores.tolist()
        return values

    def _open(self, folder: Path, model: bytes, device: str, bound: bool | None) -> None:
        def opened(on: str) -> Any:
            self._bound = None  # its tensors lie where the session before ran
            return open_session(model, device=on, graphs=bound is not False)

        self._session = Movable(opened, device)
        self._inputs = self._checked_inputs(folder)
        self._output = self._session.session.get_outputs()[0].name
        if bound or (bound is None and self.provider == CUDA):
            self._bound = self._shapes(folder)
        began = self.provider
        self._try(folder)
        if self.provider != began and (demanded(device) is not None or bound is not False):
            raise ConfigurationError(f"{folder}: the model cannot run on {began}")

    def _run(self, encodings: Sequence[Any]) -> NDArray[np.floating]:
        length = max(len(encoding.ids) for encoding in encodings)
        rows = {"input_ids": [encoding.ids for encoding in encodings],
                "attention_mask": [encoding.attention_mask for encoding in encodings],
                "token_type_ids": [encoding.type_ids for encoding in encodings]}
        feeds = {name: _padded(rows[name], length, self._padding if name == "input_ids" else 0)
                 for name in self._inputs}
        try:
            logits = self._logits(feeds, len(encodings), length)
        except Exception as error:  # onnxruntime's own exceptions share no public base
            raise ProviderFailed(f"the reranker failed on {self.provider}: {type(error).__name__}") from None
        return _relevance(logits, len(encodings))

    def _logits(self, feeds: dict[str, NDArray[np.int64]], pairs: int, length: int) -> Any:
        if self._bound is None:
            return self._session.run(self._output, feeds)
        session = self._session.session
        try:
            if self._bound.fits(pairs, length):
                return self._bound.run(feeds)
            return session.run([self._output], feeds, self._bound.outside())[0]
        except Exception as error:  # onnxruntime's own exceptions share no public base
            if not self._session.move(error, session):
                raise
            return self._session.run(self._output, feeds)

    def _shapes(self, folder: Path) -> BoundShapes:
        """Raises ConfigurationError for an output whose width the model does not tell."""
        shape = self._session.session.get_outputs()[0].shape
        if len(shape) != 2 or not isinstance(shape[1], int):
            raise ConfigurationError(f"{folder}: the model does not tell how many numbers it gives a pair; export it "
                                     "with a fixed last dimension")
        return BoundShapes(self._session.session, self._inputs, self._output, shape[1],
                           "cuda" if self.provider == CUDA else "cpu")

    def _checked_inputs(self, folder: Path) -> frozenset[str]:
        inputs = frozenset(entry.name for entry in self._session.session.get_inputs())
        if "input_ids" not in inputs or inputs - _INPUTS:
            raise ConfigurationError(f"{folder}: the model takes {', '.join(sorted(inputs))}; a cross-encoder takes "
                                     f"input_ids and, if it wants, attention_mask and token_type_ids")
        return inputs

    def _try(self, folder: Path) -> None:
        try:
            if self._bound is not None:
                self._warm(self._bound)
            self.score("a question", ["an answer", "another answer that is somewhat longer"])
        except ProviderFailed as error:
            raise ConfigurationError(f"{folder}: {error.message}") from None

    def _warm(self, bound: BoundShapes) -> None:
        try:
            bound.warm()
        except Exception as error:  # onnxruntime's own exceptions share no public base
            raise ProviderFailed(f"the reranker failed on {self.provider}: {type(error).__name__}") from None


def _relevance(logits: Any, count: int) -> NDArray[np.floating]:
    values = np.asarray(logits)
    if values.size not in (count, 2 * count) or values.shape[:1] != (count,):
        raise ProviderFailed(f"the reranker gave an output of shape {values.shape} for {count} pairs; "
                             "one or two numbers a pair are needed")
    columns = values.reshape(count, -1)
    scores: NDArray[np.floating] = columns[:, 0] if columns.shape[1] == 1 else columns[:, 1] - columns[:, 0]
    if not bool(np.isfinite(scores).all()):
        raise ProviderFailed("the reranker gave a score that is not a finite number; check the model folder")
    return scores


def _padded(rows: Sequence[Sequence[int]], length: int, fill: int) -> NDArray[np.int64]:
    result = np.full((len(rows), length), fill, dtype=np.int64)
    for place, row in enumerate(rows):
        result[place, :len(row)] = row
    return result
