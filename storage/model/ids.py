"""Identifiers that sort by time."""

from __future__ import annotations

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford base 32, lower case
_PAIRS = [first + second for first in _ALPHABET for second in _ALPHABET]


def make_id(time_ms: int, entropy: bytes) -> str:
    """26 characters: 48 bits of milliseconds since 1970 UTC, then 80 bits of entropy (the ULID layout).

    Raises ValueError unless `entropy` has exactly 10 bytes and the time fits 48 bits.
    """
    if len(entropy) != 10 or not 0 <= time_ms < 1 << 48:
        raise ValueError("an id takes a 48 bit time and 10 bytes of entropy")
    number = (time_ms << 80) | int.from_bytes(entropy, "big")
    return "".join([_PAIRS[(number >> shift) & 1023] for shift in range(120, -1, -10)])
