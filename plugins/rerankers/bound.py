"""Runs of a few fixed shapes whose tensors stay where the model runs: what makes small batches quick on a GPU.

Inputs are padded up to the next shape and written in place; on CUDA each shape is captured once as a graph and
replayed, so that a run is one launch. The same code runs on the CPU, where it gains nothing and only tests use it.
"""

from __future__ import annotations

import importlib
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

PAIRS, LENGTHS = 24, (32, 64, 128)
"""Rows of every shape, and their tokens."""
WARM = 3
"""Runs of a shape: two before ONNX Runtime captures it, and the first replay."""
Ids = NDArray[np.int64]


class BoundShapes:
    """One thread at a time: the tensors are shared by all runs of a shape."""

    def __init__(self, session: Any, inputs: Collection[str], output: str, columns: int, device: str) -> None:
        """`device` is `cpu` or `cuda`; `columns` are the numbers that the model gives a pair."""
        self._runtime: Any = importlib.import_module("onnxruntime")
        self._session, self._output, self._device, self._inputs = session, output, device, sorted(inputs)
        self._shapes = {length: self._bind(self._inputs, columns, length) for length in LENGTHS}

    def warm(self) -> None:
        """Run every shape as often as it takes to be captured, so that no request pays for it."""
        for length in LENGTHS:
            for _ in range(WARM):
                self.run({name: np.ones((PAIRS, length), dtype=np.int64) for name in self._inputs})

    def fits(self, pairs: int, length: int) -> bool:
        return pairs <= PAIRS and length <= LENGTHS[-1]

    def run(self, feeds: Mapping[str, Ids]) -> NDArray[np.float32]:
        """Pairs x columns. Every feed is pairs x length, of at most the largest shape."""
        pairs, length = next(iter(feeds.values())).shape
        fixed = next(one for one in LENGTHS if length <= one)
        binding, values, result, options = self._shapes[fixed]
        for name, value in values.items():
            value.update_inplace(_filled(name, feeds[name], fixed))
        self._session.run_with_iobinding(binding, options)
        rows: NDArray[np.float32] = result.numpy()[:pairs].copy()
        return rows

    def outside(self) -> Any:
        """Options of a run of another shape: it takes part in no graph."""
        return self._options(-1)

    def _bind(self, inputs: Collection[str], columns: int, length: int) -> tuple[Any, dict[str, Any], Any, Any]:
        binding, value = self._session.io_binding(), self._runtime.OrtValue.ortvalue_from_numpy
        values = {name: value(np.ones((PAIRS, length), dtype=np.int64), self._device, 0) for name in inputs}
        for name, tensor in values.items():
            binding.bind_ortvalue_input(name, tensor)
        result = value(np.zeros((PAIRS, columns), dtype=np.float32), self._device, 0)
        binding.bind_ortvalue_output(self._output, result)
        return binding, values, result, self._options(length)

    def _options(self, graph: int) -> Any:
        options = self._runtime.RunOptions()
        if self._device == "cuda":
            options.add_run_config_entry("gpu_graph_id", str(graph))
        return options


def _filled(name: str, rows: Ids, length: int) -> Ids:
    """Padded to the whole shape. A row of padding alone attends to its first token, so that it stays finite."""
    whole = np.zeros((PAIRS, length), dtype=np.int64)
    whole[:rows.shape[0], :rows.shape[1]] = rows
    if name == "attention_mask":
        whole[rows.shape[0]:, 0] = 1
    return whole
