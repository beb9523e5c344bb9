"""How large what is kept may be, and hashing what is too large to be written out at once."""

from __future__ import annotations

import hashlib
import json
from typing import Any, ClassVar, Final

from ruche.storage.errors import RucheError

RUN_BYTES: Final = 16 * 1024 * 1024
"""Of a run's canonical form. A frame could hold 256 MiB; a run of that size would stall every reader of its day."""
EPISODE_BYTES: Final = 1024 * 1024
"""Of one episode (specification A9: 1 MB payload)."""
SOURCE_BYTES: Final = 64 * 1024 * 1024
"""Of a file that is imported."""

_pieces = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).iterencode


class PayloadTooLarge(RucheError):
    """What was to be kept is larger than one record may be."""

    code: ClassVar[str] = "PAYLOAD_TOO_LARGE"
    status: ClassVar[int] = 413


def check_size(size: int, limit: int, what: str) -> None:
    """Raises PayloadTooLarge; `what` names the kind of thing, never its content."""
    if size > limit:
        raise PayloadTooLarge(f"{what} has {size} bytes, at most {limit} are kept; leave large parts out, or refer to "
                              "them by their hash", size=size, limit=limit)


def stream_digest(value: Any) -> str:
    """SHA-256 (hexadecimal) over the JSON of a plain value, keys sorted, without spaces, piece by piece.

    Memory stays flat however large the value is. Raises ValueError for NaN and infinities, TypeError for what JSON
    lacks. Plain values whose floats are short hash as `digest` does.
    """
    found = hashlib.sha256()
    for piece in _pieces(value):
        found.update(piece.encode())
    return found.hexdigest()
