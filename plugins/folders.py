"""Reads model folders: a graph whose bytes can be pinned, its configuration, and its tokenizer."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from ruche.plugins.errors import ConfigurationError


def model_bytes(folder: Path, pinned: str | None) -> bytes:
    """model.onnx, or onnx/model.onnx, checked against its SHA-256 where one is given. Raises ConfigurationError."""
    for path in (folder / "model.onnx", folder / "onnx" / "model.onnx"):
        if path.is_file():
            content = path.read_bytes()
            found = hashlib.sha256(content).hexdigest()
            if pinned is not None and found != pinned:
                raise ConfigurationError(f"{path} has SHA-256 {found}, expected {pinned}; the file is damaged or "
                                         "another model")
            return content
    raise ConfigurationError(f"{folder} has no model.onnx and no onnx/model.onnx; export the model to ONNX")


def configuration(folder: Path, name: str = "config.json") -> dict[str, Any]:
    """A JSON object beside the model; empty where there is no such file. Raises ConfigurationError."""
    path = folder / name
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_bytes())
    except ValueError as error:
        raise ConfigurationError(f"{path} is not JSON: {error}") from None
    return content if isinstance(content, dict) else {}


def positions(found: dict[str, Any]) -> int:
    """Tokens a model can take; RoBERTa's count two positions that no token can have."""
    count = int(found.get("max_position_embeddings") or 512)
    return count - 2 if "roberta" in str(found.get("model_type", "")) else count


def tokenizer_of(folder: Path, tokens: int) -> Any:
    """The fast tokenizer, without padding and cut to `tokens`. Raises ConfigurationError."""
    from tokenizers import Tokenizer

    path = folder / "tokenizer.json"
    if not path.is_file():
        raise ConfigurationError(f"{folder} has no tokenizer.json; save the fast tokenizer beside the model")
    try:
        tokenizer = Tokenizer.from_str(path.read_text(encoding="utf-8"))
    except Exception as error:  # the library raises bare Exception
        raise ConfigurationError(f"{path} cannot be read: {error}") from None
    tokenizer.no_padding()
    tokenizer.enable_truncation(tokens, strategy="longest_first")
    return tokenizer


def clean(text: str, characters: int) -> str:
    """Cut, and without what UTF-8 cannot carry."""
    return text[:characters].encode("utf-8", "replace").decode()
