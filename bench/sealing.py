"""How fast the vault seals and opens, beside the bare cipher; a part of `bench.storage`."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ruche.storage.vault import Column, DataKey


def per_second(work: Callable[[], None], times: int) -> float:
    """By the thread's CPU time: what else runs on the machine meanwhile takes no part in it."""
    began = time.thread_time()
    work()
    return times / (time.thread_time() - began)


def sealing(times: int, rounds: int) -> dict[str, float]:
    """Per second of CPU, medians of interleaved rounds: the vault and the bare cipher at 64 B, 1 KB and 8 KB."""
    raw, place = os.urandom(32), Column.of("runs", "body", 1)
    key = DataKey(os.urandom(8), raw, os.urandom(32), os.urandom(32))
    cipher, aad = AESGCM(raw), os.urandom(100)
    found: dict[str, dict[str, float]] = {}
    for name, size in (("64", 64), ("1k", 1024), ("8k", 8192)):
        data = os.urandom(size)
        blob = key.seal(data, place, b"row")
        found[name] = _rounds(rounds, times, {
            "seal": partial(_seals, key, data, place, times), "raw": partial(_raws, cipher, data, aad, times),
            "raw_batch": partial(_raw_batches, cipher, data, aad, times),
            "seal_batch": partial(_seal_batches, key, data, place, times),
            "open": partial(_opens, key, blob, place, times)})
    made: dict[str, float] = {
        f"{kind}_{name}_per_s": round(rate) for name, rates in found.items() for kind, rate in rates.items()}
    for name, rates in found.items():
        made[f"seal_{name}_of_raw"] = round(rates["seal"] / rates["raw"], 3)
        made[f"seal_{name}_batch_of_raw"] = round(rates["seal_batch"] / rates["raw_batch"], 3)
    return made


def _seals(key: DataKey, data: bytes, place: Column, times: int) -> None:
    seal = key.seal
    for _ in range(times):
        seal(data, place, b"row")


def _seal_batches(key: DataKey, data: bytes, place: Column, times: int) -> None:
    rows = [(data, b"row")] * 64
    for _ in range(times // 64):
        key.seal_batch(rows, place)


def _opens(key: DataKey, blob: bytes, place: Column, times: int) -> None:
    for _ in range(times):
        key.open(blob, place, b"row")


def _raws(cipher: AESGCM, data: bytes, aad: bytes, times: int) -> None:
    """As one would by hand: a nonce from the system for each, the blob joined."""
    for _ in range(times):
        nonce = os.urandom(12)
        nonce + cipher.encrypt(nonce, data, aad)


def _raw_batches(cipher: AESGCM, data: bytes, aad: bytes, times: int) -> None:
    for _ in range(times // 64):
        drawn = os.urandom(12 * 64)
        made = []
        for at in range(0, 768, 12):
            nonce = drawn[at:at + 12]
            made.append(nonce + cipher.encrypt(nonce, data, aad))


def _rounds(rounds: int, times: int, works: dict[str, Callable[[], Any]]) -> dict[str, float]:
    rates: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            rates[name].append(per_second(work, times))
    return {name: statistics.median(found) for name, found in rates.items()}
