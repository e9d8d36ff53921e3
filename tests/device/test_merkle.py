"""The RFC 6962 tree on any interpreter: heads of one to eight leaves, ranges, audit paths."""

from wire.errors import WireError
from wire.merkle import Tree, bits_set, inclusion_root, leaf_hash, node_hash, root_of

# The leaves and some heads of the reference tests of Certificate Transparency.
LEAVES = (
    b"",
    b"\x00",
    b"\x10",
    b"\x20\x21",
    b"\x30\x31",
    b"\x40\x41\x42\x43",
    b"\x50\x51\x52\x53\x54\x55\x56\x57",
    bytes(range(0x60, 0x70)),
)
ROOTS = {
    0: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    1: "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    3: "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    7: "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    8: "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
}


def grown(count):
    """Return a tree of the first `count` leaves."""
    tree = Tree()
    for leaf in LEAVES[:count]:
        tree.append(leaf_hash(leaf))
    return tree


def test_heads_of_the_reference():
    for size, root in ROOTS.items():
        assert grown(size).root().hex() == root, size


def test_a_range_has_a_hash_for_each_bit_of_the_size():
    for size in range(9):
        tree = grown(size)
        assert tree.size == size and len(tree.hashes) == bits_set(size)
        assert root_of(tree.hashes) == tree.root()


def test_a_tree_goes_on_from_its_range():
    for size in range(9):
        half = grown(size)
        tree = Tree(size, tuple(half.hashes))
        for leaf in LEAVES[size:]:
            tree.append(leaf_hash(leaf))
        assert tree.root().hex() == ROOTS[8]
        assert half.size == size, "the copy grows alone"


def test_leaf_and_node_are_told_apart():
    left, right = leaf_hash(b"a"), leaf_hash(b"b")
    assert node_hash(left, right) != leaf_hash(left + right)
    assert node_hash(left, right) != node_hash(right, left)


def test_audit_paths():
    # The tree of seven leaves of RFC 6962, 2.1.3.
    a, b, c, d, e, f, j = [leaf_hash(leaf) for leaf in LEAVES[:7]]
    g, h, i = node_hash(a, b), node_hash(c, d), node_hash(e, f)
    k, l_ = node_hash(g, h), node_hash(i, j)
    for index, leaf, path in ((0, a, [b, h, l_]), (3, d, [c, g, l_]), (4, e, [f, j, k])):
        assert inclusion_root(index, 7, leaf, path).hex() == ROOTS[7]
    assert inclusion_root(6, 7, j, [i, k]).hex() == ROOTS[7]
    assert inclusion_root(0, 7, a, [b, h, k]).hex() != ROOTS[7]


def test_what_is_no_range_or_path_is_refused():
    leaf = leaf_hash(b"")
    for make in (
        lambda: Tree(1),
        lambda: Tree(3, (leaf,)),
        lambda: Tree(-1),
        lambda: Tree(1, (b"short",)),
        lambda: inclusion_root(1, 1, leaf, []),
        lambda: inclusion_root(-1, 1, leaf, []),
        lambda: inclusion_root(0, 1, leaf, [leaf]),
        lambda: inclusion_root(0, 2, leaf, []),
    ):
        try:
            make()
        except WireError:
            continue
        raise AssertionError
