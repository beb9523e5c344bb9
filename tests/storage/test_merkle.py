"""The Merkle tree against the published vectors of Certificate Transparency, against RFC 9162's own definition, and
against forgers."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ruche.storage import merkle

INPUTS = [bytes.fromhex(text) for text in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657",
                                           "606162636465666768696a6b6c6d6e6f")]
ROOTS = ["e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
         "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
         "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
         "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
         "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
         "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
         "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
         "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
         "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"]
L1, L4, L6 = ("96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
              "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
              "b08693ec2e721597130641e8211e7eedccb4c26413963eee6c1e2ed16ffb1a5f")
N23, N45, N67 = ("5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                 "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
                 "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0")
N4567 = "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4"
INCLUSION = [(0, 1, []), (0, 8, [L1, N23, N4567]), (5, 8, [L4, N67, ROOTS[4]]), (2, 3, [ROOTS[2]]),
             (1, 5, [ROOTS[1], N23, L4])]
CONSISTENCY = [(1, 1, []), (1, 8, [L1, N23, N4567]), (6, 8, [N45, N67, ROOTS[4]]), (2, 5, [N23, L4]),
               (6, 7, [N45, L6, ROOTS[4]])]


def leaves(count: int) -> list[bytes]:
    return [merkle.leaf_hash(b"%d" % number) for number in range(count)]


def nodes_of(hashes: Sequence[bytes]) -> merkle.Nodes:
    """Full subtrees, computed as RFC 9162 2.1.1 says."""
    return lambda level, index: defined(hashes[index << level:(index + 1) << level])


def defined(hashes: Sequence[bytes]) -> bytes:
    """MTH of RFC 9162 2.1.1, word for word, over leaf hashes."""
    if len(hashes) <= 1:
        return hashes[0] if hashes else hashlib.sha256(b"").digest()
    split = 1
    while split * 2 < len(hashes):
        split *= 2
    return hashlib.sha256(b"\1" + defined(hashes[:split]) + defined(hashes[split:])).digest()


def test_the_roots_are_the_published_ones() -> None:
    hashes = [merkle.leaf_hash(one) for one in INPUTS]
    assert [merkle.root_of(hashes[:size]).hex() for size in range(9)] == ROOTS
    assert [merkle.root(nodes_of(hashes), size).hex() for size in range(9)] == ROOTS
    assert merkle.roots_of(hashes, range(12)) == {size: bytes.fromhex(text) for size, text in enumerate(ROOTS)}


@pytest.mark.parametrize(("index", "size", "proof"), INCLUSION)
def test_inclusion_proofs_are_the_published_ones(index: int, size: int, proof: list[str]) -> None:
    hashes = [merkle.leaf_hash(one) for one in INPUTS]
    made = merkle.inclusion_proof(nodes_of(hashes), index, size)
    assert [one.hex() for one in made] == proof
    assert merkle.verify_inclusion(hashes[index], index, size, made, bytes.fromhex(ROOTS[size]))


@pytest.mark.parametrize(("first", "second", "proof"), CONSISTENCY)
def test_consistency_proofs_are_the_published_ones(first: int, second: int, proof: list[str]) -> None:
    hashes = [merkle.leaf_hash(one) for one in INPUTS]
    made = merkle.consistency_proof(nodes_of(hashes), first, second)
    assert [one.hex() for one in made] == proof
    assert merkle.verify_consistency(first, second, bytes.fromhex(ROOTS[first]), bytes.fromhex(ROOTS[second]), made)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8, 13, 32, 33])
def test_every_leaf_of_a_tree_proves_itself_and_no_other(size: int) -> None:
    hashes = leaves(size)
    nodes, top = nodes_of(hashes), defined(hashes)
    for index in range(size):
        proof = merkle.inclusion_proof(nodes, index, size)
        for other in range(size):
            assert merkle.verify_inclusion(hashes[other], index, size, proof, top) == (other == index)
            assert merkle.verify_inclusion(hashes[index], other, size, proof, top) == (other == index)


def test_every_earlier_tree_is_proved_to_be_the_beginning_of_every_later_one() -> None:
    hashes = leaves(20)
    for second in range(1, 21):
        for first in range(1, second + 1):
            proof = merkle.consistency_proof(nodes_of(hashes), first, second)
            old, new = defined(hashes[:first]), defined(hashes[:second])
            assert merkle.verify_consistency(first, second, old, new, proof)
            assert first == second or not merkle.verify_consistency(first, second, new, new, proof)


def wrong(proof: list[bytes]) -> list[list[bytes]]:
    """Proofs that a forger might send instead."""
    junk = hashlib.sha256(b"junk").digest()
    made = [[*proof, junk], [junk, *proof], [*proof, b""], [*proof, hashlib.sha256(b"").digest()]]
    made += [proof[:at] + proof[at + 1:] for at in range(len(proof))]
    made += [[*proof[:at], junk, *proof[at + 1:]] for at in range(len(proof))]
    made += [[*proof[:at], proof[at][:-1] + bytes([proof[at][-1] ^ 1]), *proof[at + 1:]] for at in range(len(proof))]
    made += [[*proof[:-1], proof[-1] + proof[-1]]] if proof else []
    return made + ([proof[::-1]] if proof[::-1] != proof else [])


@given(st.integers(1, 200), st.data())
def test_a_forged_inclusion_proof_proves_nothing(size: int, data: st.DataObject) -> None:
    hashes = leaves(size)
    index = data.draw(st.integers(0, size - 1))
    proof, top = merkle.inclusion_proof(nodes_of(hashes), index, size), merkle.root_of(hashes)
    for forged in wrong(proof):
        assert not merkle.verify_inclusion(hashes[index], index, size, forged, top)
    for place, length in ((-1, size), (size, size), (index, 0), (index, size * 2 + 2), (size + index, size)):
        assert not merkle.verify_inclusion(hashes[index], place, length, proof, top)
    assert not merkle.verify_inclusion(hashes[index], index, size, proof, hashlib.sha256(top).digest())


@given(st.integers(2, 200), st.data())
def test_a_forged_consistency_proof_proves_nothing(second: int, data: st.DataObject) -> None:
    hashes = leaves(second)
    first = data.draw(st.integers(1, second - 1))
    proof = merkle.consistency_proof(nodes_of(hashes), first, second)
    old, new = merkle.root_of(hashes[:first]), merkle.root_of(hashes)
    assert merkle.verify_consistency(first, second, old, new, proof)
    for forged in wrong(proof):
        assert not merkle.verify_consistency(first, second, old, new, forged)
    rewritten = merkle.root_of([hashes[1], *hashes[1:first]]) if first > 1 else hashes[1]
    assert not merkle.verify_consistency(first, second, rewritten, new, proof)
    for one, other in ((0, second), (second, first), (first, first), (-1, second), (first, 0)):
        assert not merkle.verify_consistency(one, other, old, new, proof)
    assert not merkle.verify_consistency(second, second, old, new, [])
    assert not merkle.verify_consistency(second, second, new, new, [new])


def test_a_node_is_never_taken_for_a_leaf() -> None:
    """Second preimages: the two inner hashes of a tree, offered as one entry of a smaller tree."""
    hashes = leaves(4)
    top = merkle.root_of(hashes)
    entry = merkle.node_hash(hashes[0], hashes[1]) + merkle.node_hash(hashes[2], hashes[3])
    assert merkle.leaf_hash(entry) != top
    assert merkle.leaf_hash(b"\1" + entry) != top


@given(st.integers(0, 300))
def test_a_root_needs_few_nodes_and_is_the_defined_one(size: int) -> None:
    hashes, asked = leaves(size), list[tuple[int, int]]()

    def nodes(level: int, index: int) -> bytes:
        asked.append((level, index))
        return nodes_of(hashes)(level, index)

    assert merkle.root(nodes, size) == defined(hashes) == merkle.root_of(hashes)
    assert len(asked) == size.bit_count()


@pytest.mark.parametrize(("index", "size"), [(0, 0), (1, 1), (-1, 3), (3, 3)])
def test_there_is_no_proof_of_a_leaf_that_is_not_there(index: int, size: int) -> None:
    with pytest.raises(ValueError, match="no such leaf"):
        merkle.inclusion_proof(nodes_of(leaves(8)), index, size)


@pytest.mark.parametrize(("first", "second"), [(0, 3), (4, 3), (-1, 2)])
def test_there_is_no_proof_from_a_tree_that_is_later_or_empty(first: int, second: int) -> None:
    with pytest.raises(ValueError, match="consistency"):
        merkle.consistency_proof(nodes_of(leaves(8)), first, second)
