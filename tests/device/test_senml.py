"""SenML packs on any interpreter: what a node sends, and how a foreign pack is resolved."""

from wire.cbor import Tagged, encode
from wire.errors import SenmlError
from wire.senml import Packer, Record, pack, unpack

READINGS = (
    ("vibration-1", "m/s2", 1.5, -0.5),
    ("temperature", "Cel", 23.456, -0.45),
    ("state", "", -2.0, 0),
)
PACKED = (
    "83"
    "a5006b766962726174696f6e2d3101646d2f733202f93e0006f9b800216770756d702d613a"
    "a4006b74656d7065726174757265016343656c02fa41bba5e306fabee66666"
    "a30065737461746502f9c00006f90000"
)


def _refuses(entries) -> bool:
    try:
        unpack(encode(entries))
    except SenmlError:
        return True
    return False


def test_a_pack_has_the_same_bytes_everywhere():
    assert pack("pump-a:", READINGS).hex() == PACKED


def test_a_packer_gives_the_same_as_pack():
    packer = Packer("pump-a:", [(name, unit) for name, unit, _, _ in READINGS])
    values = [reading[2] for reading in READINGS]
    times_s = [reading[3] for reading in READINGS]
    assert packer.pack([7.25, 0.1, 0.0], [-1.0, -1.0, -1.0]) != bytes.fromhex(PACKED)
    assert packer.pack(values, times_s).hex() == PACKED


def test_a_pack_comes_back_resolved():
    records = unpack(bytes.fromhex(PACKED))
    assert [record.name for record in records] == [
        "pump-a:vibration-1",
        "pump-a:temperature",
        "pump-a:state",
    ]
    assert [record.unit for record in records] == ["m/s2", "Cel", ""]
    assert [record.time_s for record in records[::2]] == [-0.5, 0.0]
    assert records[0].value == 1.5 and records[2].value == -2.0
    assert abs(records[1].value - 23.456) < 2e-6


def test_without_a_base_name():
    assert pack("", [("a", "V", 1.0, -1.0)]).hex() == "81a400616101615602f93c0006f9bc00"


def test_what_cannot_be_packed_is_refused():
    infinity = float("inf")
    for value, time_s in ((infinity, 0), (-infinity, 0), (infinity - infinity, 0), (1.0, 0.5)):
        try:
            pack("", [("a", "V", 1.0, -1.0), ("b", "V", value, time_s)])
        except SenmlError as error:
            assert "record b" in str(error)
            continue
        raise AssertionError((value, time_s))
    for arguments in (([1.0], [0, 0]), ([1.0, 2.0], [0])):
        try:
            Packer("", [("a", "V"), ("b", "V")]).pack(*arguments)
        except SenmlError:
            continue
        raise AssertionError(arguments)


def test_base_fields_act_until_they_appear_again():
    records = unpack(
        encode(
            [
                {-2: "p:", -3: 300000000, -4: "A", -5: 10, -6: 100, 0: "x", 2: 1},
                {0: "y", 1: "V", 2: 2.5, 5: 7, 6: 1},
                {-2: "q:", -5: 0, 0: "z", 6: 2, 7: 60},
            ]
        )
    )
    assert records == [
        Record("p:x", "A", 11.0, 300000000, None, 100),
        Record("p:y", "V", 12.5, 300000001, None, 107),
        Record("q:z", "A", 0.0, 300000002, 60, 100),
    ]


def test_each_kind_of_value():
    records = unpack(
        encode([{0: "a", 3: "on"}, {0: "b", 4: False}, {0: "c", 8: b"\x01"}, {0: "d", 5: 4}])
    )
    assert [record.value for record in records] == ["on", False, b"\x01", None]
    assert records[3].value_sum == 4


def test_a_decimal_fraction_is_a_number():
    for exponent, mantissa, value in ((-2, 27315, 273.15), (2, 3, 300.0), (0, -1, -1.0)):
        found = unpack(encode([{0: "a", 2: Tagged(4, [exponent, mantissa])}]))[0].value
        assert abs(found - value) <= abs(value) * 1e-6


def test_records_come_in_the_order_of_time():
    records = unpack(encode([{-2: "a", 2: 1, 6: -1}, {2: 2, 6: -3}, {2: 3, 6: -1}, {2: 4, 6: -2}]))
    assert [record.value for record in records] == [2.0, 4.0, 1.0, 3.0]


def test_unknown_labels_are_ignored_unless_they_must_be_understood():
    assert not _refuses([{0: "a", 2: 1, "l": "link", 99: 1}])
    assert _refuses([{0: "a", 2: 1, "l_": "link"}])


def test_broken_packs_are_refused():
    for entries in (
        [],
        {},
        [1],
        [{0: "a"}],
        [{0: "a", 2: 1, 3: "x"}],
        [{0: "a", 2: "1"}],
        [{0: "a", 2: True}],
        [{0: "a", 3: 1}],
        [{0: "a", 4: 1}],
        [{0: "a", 8: "x"}],
        [{0: 1, 2: 1}],
        [{0: "a", 1: 5, 2: 1}],
        [{0: "a", 2: 1, 6: "now"}],
        [{2: 1}],
        [{0: "-a", 2: 1}],
        [{0: "a b", 2: 1}],
        [{-1: 11, 0: "a", 2: 1}],
        [{-1: 26, 0: "a", 2: 1}],
        [{0: "a", 2: 1}, {-1: 5, 0: "b", 2: 1}],
        [{0: "a", 2: float("inf")}],
        [{0: "a", 2: Tagged(4, [1])}],
        [{0: "a", 2: Tagged(4, [100000, 1])}],
        [{0: "a", 2: Tagged(5, [1, 1])}],
    ):
        assert _refuses(entries), entries


def test_a_value_that_is_none_leaves_its_record_out():
    channels = [("a", "V"), ("b", ""), ("c", "Cel")]
    packer = Packer("n:", channels)
    for present in ((0, 1, 2), (1,), (1, 2), (2,), (0, 2)):
        values = [float(index) if index in present else None for index in range(3)]
        rows = [(channels[index][0], channels[index][1], float(index), -1.0) for index in present]
        assert packer.pack(values, [-1.0] * 3) == pack("n:", rows), present
    assert packer.pack([None] * 3, [-1.0] * 3) is None
