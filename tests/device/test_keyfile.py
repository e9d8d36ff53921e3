"""The node's keys: the newest whole file counts, and nothing else is believed."""

from firmware.errors import KeyFileError
from firmware.keyfile import KEY_FILES, Identity, encode, load, previous, store


class Files:
    def __init__(self, files=None):
        self.files = files or {}
        self.is_full = False
        self.is_late = False
        """Whether an error comes after everything was written."""
        self.is_deaf = False
        """Whether nothing is written, and no error comes."""
        self.is_unreadable = False

    def read_file(self, name):
        if self.is_unreadable:
            raise OSError(5)
        if name not in self.files:
            raise OSError(2)
        return self.files[name]

    def write_file(self, name, content):
        if self.is_full:
            self.files[name] = content[: len(content) // 2]
            raise OSError(28)
        if not self.is_deaf:
            self.files[name] = content
        if self.is_late:
            raise OSError(5)


def _identity(epoch=0):
    return Identity("pump-a", bytes([epoch]) * 32, bytes(range(32)), epoch)


def _refusal(files):
    try:
        load(files)
    except KeyFileError as error:
        return str(error)
    raise AssertionError("accepted")


def test_what_was_provisioned_is_loaded():
    assert load(Files({KEY_FILES[0]: encode(_identity())})) == _identity()


def test_a_rotated_key_counts_and_the_next_goes_into_the_other_file():
    files = Files({KEY_FILES[0]: encode(_identity())})
    for epoch in range(1, 5):
        store(files, _identity(epoch))
        assert load(files) == _identity(epoch)
        assert sorted(files.files) == sorted(KEY_FILES)


def test_a_torn_write_leaves_the_key_before():
    files = Files({KEY_FILES[0]: encode(_identity())})
    store(files, _identity(1))
    files.is_full = True
    try:
        store(files, _identity(2))
    except OSError:
        assert load(files) == _identity(1)
        return
    raise AssertionError("no error")


def test_every_damaged_byte_is_found():
    whole = encode(_identity())
    for index in range(0, len(whole), 7):
        damaged = bytearray(whole)
        damaged[index] ^= 1
        try:
            found = load(Files({KEY_FILES[0]: bytes(damaged)}))
        except KeyFileError as error:
            assert "missing or damaged" in str(error)
            continue
        # A JSON parser may let a damaged space pass, or a comma; what it says is as it was.
        assert found == _identity(), index
    assert "provision" in _refusal(Files({KEY_FILES[0]: whole[:-20]}))
    assert "provision" in _refusal(Files({KEY_FILES[0]: b"[]"}))
    assert "provision" in _refusal(Files())


def test_a_refusal_does_not_repeat_the_key():
    damaged = encode(_identity(7)).replace(b"pump-a", b"pump-b")
    assert "0707" not in _refusal(Files({KEY_FILES[0]: damaged}))


def test_a_key_of_the_wrong_length_is_refused_though_its_check_is_right():
    short = Identity("pump-a", bytes(31), bytes(32), 0)
    assert "provision" in _refusal(Files({KEY_FILES[0]: encode(short)}))


def test_a_key_that_is_there_in_spite_of_an_error_is_kept():
    files = Files({KEY_FILES[0]: encode(_identity())})
    files.is_late = True
    store(files, _identity(1))
    assert load(files) == _identity(1)


def test_a_key_that_is_not_there_without_an_error_is_not_kept():
    files = Files({KEY_FILES[0]: encode(_identity())})
    files.is_deaf = True
    try:
        store(files, _identity(1))
    except OSError:
        assert load(files) == _identity()
        return
    raise AssertionError("no error")


def test_the_key_before_is_that_of_the_other_file():
    files = Files({KEY_FILES[0]: encode(_identity())})
    assert previous(files, _identity()) is None
    for epoch in range(1, 4):
        store(files, _identity(epoch))
        assert previous(files, load(files)) == _identity(epoch - 1)
    del files.files[KEY_FILES[0]]
    assert previous(files, _identity(3)) is None


def test_no_other_key_is_the_key_before():
    other = Identity("pump-b", bytes(32), bytes(32), 4)
    for stale in (_identity(3), _identity(5), _identity(6), other):
        files = Files({KEY_FILES[0]: encode(_identity(5)), KEY_FILES[1]: encode(stale)})
        assert previous(files, _identity(5)) is None
    assert previous(Files({KEY_FILES[0]: b"torn"}), _identity(5)) is None
    files.is_unreadable = True
    assert previous(files, _identity(5)) is None
