"""Opens ONNX sessions: from bytes, quiet, without spinning threads, and truthful about the device they run on."""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import io
import logging
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ruche.plugins.errors import ConfigurationError

log = logging.getLogger(__name__)

CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"
DEVICES = ("cpu", "cuda", "auto")
"""What may be written for a device, beside the full name of any provider of ONNX Runtime."""

NOWHERE = os.path.join(os.devnull, "nowhere")
"""Where a model may look for data outside itself: a folder that cannot exist, because a model names its own files."""

_QUIET = 4


def open_session(model: bytes, *, device: str = "cpu", threads: int = 1,
                 weights: Mapping[str, NDArray[np.float32]] | None = None, graphs: bool = False) -> Any:
    """An `onnxruntime.InferenceSession` over a serialised model.

    `weights` fills the model's external initialisers; keep it alive unless `owns_weights` says that it may go.
    `device` is `cpu`, `cuda`, the full name of another provider (both refused when the session ends up elsewhere), or
    `auto` (CUDA where a driver is there). `graphs` lets runs of one shape be captured and replayed on CUDA. Raises
    ConfigurationError.
    """
    onnxruntime: Any = importlib.import_module("onnxruntime")  # 0.15 s, paid by those who open a session
    onnxruntime.set_default_logger_severity(_QUIET)
    options = _options(onnxruntime, threads)
    if weights:
        options.add_external_initializers(
            list(weights), [onnxruntime.OrtValue.ortvalue_from_numpy(array) for array in weights.values()])
    try:
        session = onnxruntime.InferenceSession(model, options, providers=_providers(onnxruntime, device, graphs))
    except Exception as error:  # onnxruntime's own exceptions share no public base
        raise ConfigurationError(f"the ONNX model cannot be loaded: {_first_line(error)}") from None
    if demanded(device) not in (None, provider_of(session)):
        raise ConfigurationError(f"device {device} was asked for, but ONNX Runtime runs on {provider_of(session)}; "
                                 "install that device's libraries or set device to cpu")
    return session


class Movable:
    """A session that goes on on the CPU when the device that it ran on is gone, for as long as the process lives."""

    def __init__(self, opened: Callable[[str], Any], device: str) -> None:
        """`opened` makes the session for a device."""
        self._opened = opened
        self.session = opened(device)

    @property
    def provider(self) -> str:
        """Where the session runs now, as it says itself."""
        return provider_of(self.session)

    def run(self, output: str, feeds: Mapping[str, NDArray[np.int64]]) -> Any:
        """One output. Raises what the runtime raises, once there is nowhere left to go."""
        session = self.session
        try:
            return session.run([output], feeds)[0]
        except Exception as error:  # onnxruntime's own exceptions share no public base
            if not self.move(error, session):
                raise
            return self.session.run([output], feeds)[0]

    def move(self, error: Exception, failed: Any) -> bool:
        """Open the session that failed anew on the CPU, once; False where that is where it ran."""
        if self.session is not failed:
            return True  # another thread was here first
        if self.provider == CPU:
            return False
        log.warning("a model failed on %s (%s) and goes on on the CPU", self.provider, type(error).__name__)
        self.session = self._opened("cpu")
        return True


def provider_of(session: Any) -> str:
    """Where a session really runs; what a package was built with says nothing about that."""
    return str(session.get_providers()[0])


def demanded(device: str) -> str | None:
    """The provider that a device stands for, None where any will do."""
    return {"auto": None, "cpu": CPU, "cuda": CUDA}.get(device, device)


def owns_weights(weights: Mapping[str, NDArray[np.float32]], run: Callable[[], NDArray[np.float32]]) -> bool:
    """True when a session has copied `weights`, so that the arrays may be let go (for MiniLM 90 MB).

    Whether it copies is up to the runtime's version, hence the trial: the first entries become NaN, `run` (which must
    reach them) is called again, and the entries are put back. A NaN in the answer means that the arrays are in use.
    """
    kept = {name: array[:1].copy() for name, array in weights.items()}
    for array in weights.values():
        array[:1] = np.nan
    untouched = bool(np.isfinite(run()).all())
    for name, array in weights.items():
        array[:1] = kept[name]
    return untouched


def _options(onnxruntime: Any, threads: int) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = _QUIET
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", NOWHERE)
    return options


def _providers(onnxruntime: Any, device: str, graphs: bool) -> list[Any]:
    available, wanted = onnxruntime.get_available_providers(), demanded(device)
    if device not in DEVICES and device not in available:
        raise ConfigurationError(f"there is no device {device}; write {', '.join(DEVICES)}, or a provider that ONNX "
                                 f"Runtime has here: {', '.join(available)}")
    if wanted not in (None, CUDA, CPU):
        return [wanted, CPU]
    if wanted == CPU or CUDA not in available or not _driver_present():
        return [CPU]
    with contextlib.redirect_stdout(io.StringIO()):  # it prints what it lacks
        onnxruntime.preload_dlls()
    return [(CUDA, {"enable_cuda_graph": "1"}) if graphs else CUDA, CPU]


def _driver_present() -> bool:
    library = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:300] if str(error).strip() else type(error).__name__
