"""The Merkle tree of RFC 9162, section 2.1: hashes, proofs and their verification. Pure; knows hashes, nothing else.

A tree is read through `Nodes`: hash `index` of level `level` covers the leaves index * 2^level and the 2^level - 1
after it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence

Nodes = Callable[[int, int], bytes]
"""(level, index) to the 32 byte hash of a full subtree."""

EMPTY = hashlib.sha256(b"").digest()


def leaf_hash(entry: bytes) -> bytes:
    """RFC 9162 2.1.1: leaves and nodes are told apart by their first byte, so that no node passes for a leaf."""
    return hashlib.sha256(b"\0" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\1" + left + right).digest()


# --- making ----------------------------------------------------------------------------------------------------------


def root(nodes: Nodes, size: int) -> bytes:
    """The hash of the first `size` leaves, from at most log2(size) + 1 nodes."""
    return _span(nodes, 0, size) if size else EMPTY


def root_of(leaves: Sequence[bytes]) -> bytes:
    """The same from leaf hashes alone, in one pass."""
    peaks: list[tuple[int, bytes]] = []
    for leaf in leaves:
        level = 0
        while peaks and peaks[-1][0] == level:
            leaf = node_hash(peaks.pop()[1], leaf)
            level += 1
        peaks.append((level, leaf))
    return _folded([peak for _, peak in peaks])


def roots_of(leaves: Iterable[bytes], sizes: Iterable[int]) -> dict[int, bytes]:
    """The roots of several prefixes, in one pass; a size beyond the leaves is left out."""
    wanted, found, peaks = set(sizes), dict[int, bytes](), list[tuple[int, bytes]]()
    if 0 in wanted:
        found[0] = EMPTY
    for number, leaf in enumerate(leaves, 1):
        level = 0
        while peaks and peaks[-1][0] == level:
            leaf = node_hash(peaks.pop()[1], leaf)
            level += 1
        peaks.append((level, leaf))
        if number in wanted:
            found[number] = _folded([peak for _, peak in peaks])
    return found


def inclusion_proof(nodes: Nodes, index: int, size: int) -> list[bytes]:
    """RFC 9162 2.1.3.1. Raises ValueError unless 0 <= index < size."""
    if not 0 <= index < size:
        raise ValueError("no such leaf in a tree of this size")
    return list(_path(nodes, index, 0, size))


def consistency_proof(nodes: Nodes, first: int, second: int) -> list[bytes]:
    """RFC 9162 2.1.4.1. Raises ValueError unless 0 < first <= second."""
    if not 0 < first <= second:
        raise ValueError("consistency is proved from a tree that is not empty to one that is not smaller")
    return list(_subproof(nodes, first, 0, second, True))


def _path(nodes: Nodes, index: int, start: int, end: int) -> Iterator[bytes]:
    if end - start == 1:
        return
    middle = start + _split(end - start)
    if index < middle:
        yield from _path(nodes, index, start, middle)
        yield _span(nodes, middle, end)
    else:
        yield from _path(nodes, index, middle, end)
        yield _span(nodes, start, middle)


def _subproof(nodes: Nodes, size: int, start: int, end: int, whole: bool) -> Iterator[bytes]:
    if size == end:
        if not whole:
            yield _span(nodes, start, end)
        return
    middle = start + _split(end - start)
    if size <= middle:
        yield from _subproof(nodes, size, start, middle, whole)
        yield _span(nodes, middle, end)
    else:
        yield from _subproof(nodes, size, middle, end, False)
        yield _span(nodes, start, middle)


def _span(nodes: Nodes, start: int, end: int) -> bytes:
    """The hash over leaves start..end-1, where `start` is a multiple of a power of two that is not below the length."""
    peaks, at = [], start
    while at < end:
        level = (end - at).bit_length() - 1
        peaks.append(nodes(level, at >> level))
        at += 1 << level
    return _folded(peaks)


def _folded(peaks: Sequence[bytes]) -> bytes:
    if not peaks:
        return EMPTY
    found = peaks[-1]
    for peak in reversed(peaks[:-1]):
        found = node_hash(peak, found)
    return found


def _split(length: int) -> int:
    """The largest power of two below `length`."""
    return 1 << ((length - 1).bit_length() - 1)


# --- verifying -------------------------------------------------------------------------------------------------------


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], expected: bytes) -> bool:
    """RFC 9162 2.1.3.2: whether `leaf` is leaf number `index` of the tree of `size` leaves with this root."""
    if not 0 <= index < size:
        return False
    number, last, found = index, size - 1, leaf
    for one in proof:
        if last == 0:
            return False
        if number & 1 or number == last:
            found = node_hash(one, found)
            while number and not number & 1:
                number, last = number >> 1, last >> 1
        else:
            found = node_hash(found, one)
        number, last = number >> 1, last >> 1
    return last == 0 and found == expected


def verify_consistency(first: int, second: int, first_root: bytes, second_root: bytes,
                       proof: Sequence[bytes]) -> bool:
    """RFC 9162 2.1.4.2: whether the tree of `first` leaves is the beginning of that of `second`."""
    if not 0 < first <= second:
        return False
    if first == second:
        return not proof and first_root == second_root
    path = list(proof)
    if first & (first - 1) == 0:
        path.insert(0, first_root)
    if not path:
        return False
    number, last = first - 1, second - 1
    while number & 1:
        number, last = number >> 1, last >> 1
    old = new = path[0]
    for one in path[1:]:
        if last == 0:
            return False
        if number & 1 or number == last:
            old, new = node_hash(one, old), node_hash(one, new)
            while number and not number & 1:
                number, last = number >> 1, last >> 1
        else:
            new = node_hash(new, one)
        number, last = number >> 1, last >> 1
    return last == 0 and old == first_root and new == second_root
