"""Heads as they are kept with a published agent: what they were fitted to, and the numbers, in half precision."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence

import msgspec
import numpy as np

from ruche.storage.index.head import Head

FITTED = 4
"""Counts how heads are fitted: one that was fitted in another way is fitted anew."""


class KeptHead(msgspec.Struct, frozen=True, kw_only=True):
    """A head with the SHA-256 of everything that it was fitted to."""

    data: str
    dimensions: int
    weights: bytes
    intercepts: tuple[float, ...] | None
    counts: tuple[int, ...]
    share: float
    own: float
    line: float
    threshold: float


_encode = msgspec.msgpack.Encoder(order="deterministic").encode
_decode = msgspec.msgpack.Decoder(dict[str, KeptHead]).decode


def data_hash(embedder: str, kind: str, texts: Sequence[tuple[str, str]], several: bool | None,
              threshold: float) -> str:
    """What a head depends on: the embedder, each item's texts in order, and how they are told apart."""
    content = json.dumps([FITTED, embedder, kind, list(texts), several, threshold], ensure_ascii=True)
    return hashlib.sha256(content.encode()).hexdigest()


def halved(head: Head) -> Head:
    """The head with weights that half precision holds exactly: the same before and after it is kept."""
    return dataclasses.replace(head, weights=head.weights.astype("<f2").astype(np.float32))


def kept_heads(heads: Mapping[str, tuple[str, Head]]) -> bytes:
    """Kind to (data hash, head), as bytes: about 0.8 KB an item with 384 dimensions. Empty for none."""
    return _encode({kind: _kept(data, head) for kind, (data, head) in heads.items()}) if heads else b""


def read_heads(content: bytes) -> dict[str, KeptHead]:
    """Kind to what was kept; nothing for bytes that cannot be read, so that heads are fitted anew."""
    try:
        return _decode(content) if content else {}
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {}


def restored(kept: KeptHead | None, data: str, items: int) -> Head | None:
    """The head, when it was fitted to this very data."""
    if kept is None or kept.data != data or len(kept.counts) != items:
        return None
    weights = np.frombuffer(kept.weights, dtype="<f2")
    if weights.size != items * kept.dimensions:
        return None
    return Head(weights=weights.reshape(items, kept.dimensions).astype(np.float32),
                intercepts=None if kept.intercepts is None else np.array(kept.intercepts, dtype=np.float64),
                counts=np.array(kept.counts, dtype=np.intp), share=kept.share, own=kept.own, line=kept.line,
                threshold=kept.threshold)


def _kept(data: str, head: Head) -> KeptHead:
    return KeptHead(data=data, dimensions=head.weights.shape[1], weights=head.weights.astype("<f2").tobytes(),
                    intercepts=None if head.intercepts is None else tuple(head.intercepts.tolist()),
                    counts=tuple(head.counts.tolist()), share=head.share, own=head.own, line=head.line,
                    threshold=head.threshold)
