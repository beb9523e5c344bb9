"""The tree on disk is the tree of its leaves, whatever was appended and cut."""

from __future__ import annotations

import random
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from ruche.storage import merkle
from ruche.storage.log import tenant_name, tenant_tag
from ruche.storage.platform import Disk
from ruche.storage.treefile import TreeFile, leaves_of


@given(st.lists(st.integers(0, 40), max_size=8), st.randoms(use_true_random=False))
def test_a_tree_file_is_the_tree_after_any_growing_and_cutting(steps: list[int], choice: random.Random) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path, leaves = Path(folder, "a.tree"), list[bytes]()
        tree = TreeFile(path, 0, Disk())
        for step in steps:
            fresh = [merkle.leaf_hash(choice.randbytes(4)) for _ in range(step)]
            tree.append(fresh)
            leaves += fresh
            if choice.random() < 0.4:
                leaves = leaves[:choice.randint(0, len(leaves))]
                tree.cut(len(leaves))
            if choice.random() < 0.4:
                tree.close()
                tree = TreeFile(path, len(leaves), Disk())
            assert (tree.size, tree.root()) == (len(leaves), merkle.root_of(leaves))
            assert merkle.root(tree.node, len(leaves)) == tree.root()
            assert leaves_of(path.read_bytes()) == leaves
        tree.close()


@given(st.integers(-(1 << 63), (1 << 63) - 1))
def test_a_tenants_tag_and_its_name_in_files_are_one_to_one(tag: int) -> None:
    assert tenant_tag(tenant_name(tag)) == tag
    assert len(tenant_name(tag)) == 16
