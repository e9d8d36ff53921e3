"""Manifests: every field bounded, no path that leaves its folder, nothing without a main."""

from firmware.manifest import (
    FILE_BYTES_MAX,
    FILES_MAX,
    MALFORMED,
    MANIFEST_BYTES_MAX,
    UpdateError,
    folders,
    parse,
    twin,
)
from wire.cbor import encode

DIGEST = bytes(32)
MAIN = ["firmware/main.mpy", 10, DIGEST]


def _fields(**changes):
    fields = {"format": 1, "sequence": 5, "vendor": "v", "class_id": "c", "entries": [MAIN]}
    fields.update(changes)
    names = ("format", "sequence", "vendor", "class_id", "entries")
    return {number: fields[name] for number, name in enumerate(names)}


def _refused(value, what=""):
    data = value if isinstance(value, bytes) else encode(value)
    try:
        parse(data)
    except UpdateError as error:
        assert error.code == MALFORMED
        assert what in str(error), str(error)
        return
    raise AssertionError("taken: %r" % (value,))


def test_a_manifest_is_read():
    manifest = parse(encode(_fields(entries=[MAIN, ["wire/a_b-1.py", 0, DIGEST]])))
    assert (manifest.sequence, manifest.vendor_id, manifest.class_id) == (5, "v", "c")
    assert manifest.entries[0] == MAIN


def test_wrong_fields_are_refused():
    for name, values in (
        ("format", (0, 2, True, None)),
        ("sequence", (0, -1, 1 << 32, "1", True, 1.5)),
        ("vendor", ("", b"v", 3, "v" * 65)),
        ("class_id", ("", None, "c" * 65)),
        ("entries", ([], {}, None, "x", [[]], [None], [["a.py", 1]], [MAIN, MAIN])),
    ):
        for value in values:
            changed = {name: value}
            _refused(_fields(**changed))
    _refused({0: 1, 1: 5, 2: "v", 3: "c"})
    _refused({0: 1, 1: 5, 2: "v", 3: "c", 4: [MAIN], 5: 0})
    _refused([1, 5])


def test_no_path_leaves_its_folder():
    for path in (
        "",
        "/main.py",
        "../main.py",
        "wire/../../x.py",
        "wire//x.py",
        "./x.py",
        ".hidden.py",
        "wire/.py",
        ".mpy",
        "a/b/c/d/e.py",
        "x" * 62 + ".py",
        "main.txt",
        "main",
        "x\\y.py",
        "x\x00.py",
        "\u00fc.py",
        "x y.py",
        b"x.py",
        7,
    ):
        _refused(_fields(entries=[MAIN, [path, 1, DIGEST]]), "path")


def test_sizes_and_digests_are_bounded():
    for size in (-1, FILE_BYTES_MAX + 1, None, True, "1"):
        _refused(_fields(entries=[MAIN, ["x.py", size, DIGEST]]), "size")
    for digest in (b"", bytes(31), bytes(33), "x" * 32, None):
        _refused(_fields(entries=[MAIN, ["x.py", 1, digest]]), "SHA-256")
    large = [["x%d.py" % index, FILE_BYTES_MAX, DIGEST] for index in range(9)]
    _refused(_fields(entries=[MAIN] + large), "in all")


def test_there_is_a_bound_on_everything():
    many = [["x%d.py" % index, 1, DIGEST] for index in range(FILES_MAX + 1)]
    _refused(_fields(entries=many))
    _refused(bytes(MANIFEST_BYTES_MAX + 1), "at most")


def test_one_module_cannot_come_twice():
    _refused(_fields(entries=[MAIN, ["x.py", 1, DIGEST], ["x.mpy", 1, DIGEST]]), "module")


def test_a_set_without_a_main_is_refused():
    for path in ("main.py", "firmware/main.txt", "firmware/mains.py", "wire/main.py"):
        _refused(_fields(entries=[[path, 1, DIGEST]]))


def test_every_cut_of_a_manifest_is_refused():
    whole = encode(_fields())
    for length in range(len(whole)):
        _refused(whole[:length])


def test_folders_come_parents_first():
    entries = [["a/b/c.py", 1, DIGEST], ["x.py", 1, DIGEST], ["a/d.py", 1, DIGEST]]
    assert folders(entries) == ["a", "a/b"]


def test_a_twin_is_the_same_module():
    assert twin("wire/cbor.mpy") == "wire/cbor.py"
    assert twin("hal.py") == "hal.mpy"
