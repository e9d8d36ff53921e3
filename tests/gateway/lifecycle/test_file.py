"""A model on the disk: the same bits back, and nothing read that was not written."""

import io
import json
import zipfile
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from gateway.lifecycle import file as model_file
from gateway.lifecycle.codec import CodecError, decode, encode
from gateway.lifecycle.file import ARRAYS_NAME, JSON_NAME, ModelFileError, load, save
from gateway.lifecycle.shapes import check
from tests.gateway.lifecycle.models_on_disk import model, origin


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save(tmp_path / "m", model(), origin())
    return tmp_path / "m"


def refused(folder: Path) -> ModelFileError:
    with pytest.raises(ModelFileError) as caught:
        load(folder)
    return caught.value


def edit(folder: Path, change: Any, *, signed: bool) -> None:
    """Change model.json; `signed` gives it the hash of what it says then."""
    body = json.loads((folder / JSON_NAME).read_text())
    change(body)
    if signed:
        body["sha256"] = model_file._digest(body)
    (folder / JSON_NAME).write_text(json.dumps(body))


# --- there and back -------------------------------------------------------------------------------


def test_every_number_comes_back_bit_for_bit(folder: Path) -> None:
    written, read = model(), load(folder).model
    arrays: dict[str, NDArray[Any]] = {}
    again: dict[str, NDArray[Any]] = {}
    assert encode(written, "", arrays) == encode(read, "", again)
    assert arrays.keys() == again.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(array, again[name])
    assert read.state_space.noise.dtype == np.float64
    assert read.scaling.used.dtype == np.bool_


def test_the_same_model_is_the_same_bytes(tmp_path: Path) -> None:
    digests = {save(tmp_path / name, model(), origin()) for name in ("a", "b")}
    assert len(digests) == 1
    for name in (JSON_NAME, ARRAYS_NAME):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    assert model_file.digest_of(model(), origin()) in digests
    assert model_file.digest_of(replace(model(), asset="fan"), origin()) not in digests


def test_a_person_can_look_into_it(folder: Path) -> None:
    text = (folder / JSON_NAME).read_text()
    assert '"signals": ["flow", "pressure", "current", "speed"]' in text
    assert '"units": ["m3/s", "bar", "A", ""]' in text
    with np.load(folder / ARRAYS_NAME, allow_pickle=False) as arrays:
        np.testing.assert_array_equal(arrays["state_space.loadings"], model().state_space.loadings)


def test_a_model_is_never_written_over(folder: Path) -> None:
    before = (folder / JSON_NAME).read_bytes()
    with pytest.raises(ModelFileError, match="there already"):
        save(folder, model(), origin())
    assert (folder / JSON_NAME).read_bytes() == before
    assert [each.name for each in folder.parent.iterdir()] == ["m"]


def test_nothing_is_left_when_it_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ModelFileError, match="cannot be written"):
        save(tmp_path / "file" / "m", model(), origin())
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


# --- damaged and tampered -------------------------------------------------------------------------


@pytest.mark.parametrize("name", [JSON_NAME, ARRAYS_NAME])
def test_any_changed_byte_is_found(folder: Path, name: str) -> None:
    path = folder / name
    whole, digest = path.read_bytes(), load(folder).digest
    for place in range(0, len(whole), max(1, len(whole) // 60)):
        changed = bytearray(whole)
        changed[place] ^= 0x01
        path.write_bytes(changed)
        if name == JSON_NAME and json.loads(whole) == _parsed(changed):
            # The seventeenth digit of a number may change and be the same number still.
            assert load(folder).digest == digest
            continue
        with pytest.raises(ModelFileError):
            load(folder)
    path.write_bytes(whole)
    load(folder)


def _parsed(data: bytes) -> object:
    try:
        return json.loads(data)
    except ValueError:
        return None


@pytest.mark.parametrize("name", [JSON_NAME, ARRAYS_NAME])
def test_a_file_cut_short_or_gone_is_found(folder: Path, name: str) -> None:
    path = folder / name
    path.write_bytes(path.read_bytes()[:-100])
    assert name in str(refused(folder))
    path.unlink()
    assert "no such file" in str(refused(folder))


def test_an_edit_is_found(folder: Path) -> None:
    edit(folder, lambda body: body["model"].update(asset="fan"), signed=False)
    assert "hash" in str(refused(folder))


def test_another_format_or_version_is_named(folder: Path) -> None:
    edit(folder, lambda body: body.update(format_version=1), signed=True)
    error = refused(folder)
    assert "format version 1, this program reads 2" in error.what
    edit(folder, lambda body: body.update(format="something"), signed=True)
    assert "is no model" in str(refused(folder))


@pytest.mark.parametrize(
    ("where", "value", "says"),
    [
        (("drift",), [1.0], "drift"),
        (("drift",), [1.0, 1.0, 1.0, "x"], "drift"),
        (("drift",), [1.0, 1.0, 1.0, True], "drift"),
        (("drift",), [-1.0, 1.0, 1.0, 1.0], "negative"),
        (("units",), ["bar"], "units"),
        (("signals",), ["a", "a", "b", "c"], "signals"),
        (("period_ns",), 0, "period_ns"),
        (("period_ns",), 1.5, "period_ns"),
        (("degrees",), "nan", "degrees"),
        (("scaling", "scale"), [0.0, 1.0, 1.0, 1.0], "scaling.scale"),
        (("state_space", "noise"), [1.0, 1.0, 1.0, 0.0], "state_space.noise"),
        (("state_space", "factors"), 2, "state_space"),
        (("regimes", "weights"), [0.5], "regimes.weights"),
        (("level",), {"array": "none", "shape": [4]}, "'none' is missing"),
        (("tail",), {"array": "state_space.loadings", "shape": [4, 1]}, "tail"),
    ],
)
def test_a_well_signed_nonsense_is_refused_by_field(
    folder: Path, where: tuple[str, ...], value: object, says: str
) -> None:
    def change(body: Any) -> None:
        table = body["model"]
        for name in where[:-1]:
            table = table[name]
        table[where[-1]] = value

    edit(folder, change, signed=True)
    assert says in str(refused(folder))


def test_a_field_too_many_or_too_few_is_named(folder: Path) -> None:
    edit(folder, lambda body: body["model"].pop("level"), signed=True)
    assert "level: is missing" in str(refused(folder))
    edit(folder, lambda body: body["model"].update(level=[0.0] * 4, extra=1), signed=True)
    assert "extra: is not a field" in str(refused(folder))


# --- hostile --------------------------------------------------------------------------------------


def replace_arrays(folder: Path, members: dict[str, bytes], compression: int) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    (folder / ARRAYS_NAME).write_bytes(buffer.getvalue())
    digest = model_file.hashlib.sha256(buffer.getvalue()).hexdigest()
    edit(folder, lambda body: body["arrays"].update(sha256=digest), signed=True)


class Trap:
    """Unpickled, it would touch a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, tuple[Path]]:
        return (Path.touch, (self.path,))


def test_a_pickle_is_not_opened(folder: Path, tmp_path: Path) -> None:
    member = io.BytesIO()
    np.lib.format.write_array(member, np.array([Trap(tmp_path / "sprung")]), allow_pickle=True)
    replace_arrays(folder, {"tail.npy": member.getvalue()}, zipfile.ZIP_STORED)
    assert "arrays" in str(refused(folder))
    assert not (tmp_path / "sprung").exists()


def test_a_header_that_promises_too_much_takes_no_memory(folder: Path) -> None:
    member = io.BytesIO()
    np.lib.format.write_array(member, np.zeros((2, 2)), version=(1, 0))
    for shape in (b"(9**9**9, 2), }", b"(99999999, 99999999), }", b"(2, 2)) , }", b"(-2, -2), }"):
        header = member.getvalue().replace(b"(2, 2), }" + b" " * (len(shape) - 9), shape)
        replace_arrays(folder, {"tail.npy": header}, zipfile.ZIP_STORED)
        assert "header" in str(refused(folder))


def test_compressed_arrays_are_not_unpacked(folder: Path) -> None:
    replace_arrays(folder, {"tail.npy": bytes(10_000_000)}, zipfile.ZIP_DEFLATED)
    assert "compressed" in str(refused(folder))


def test_a_file_above_its_bound_is_not_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_file, "JSON_BYTES_MAX", 100)
    assert "larger than" in str(refused(folder))


def test_json_nested_without_end_is_refused(folder: Path) -> None:
    (folder / JSON_NAME).write_text("[" * 200_000)
    assert "no JSON" in str(refused(folder))


# --- the codec ------------------------------------------------------------------------------------


class Colour(StrEnum):
    RED = "red"


class Pair(NamedTuple):
    first: NDArray[np.float64]
    second: int | None


@dataclass(frozen=True)
class Whole:
    pairs: tuple[Pair, ...]
    limits: dict[int, float]
    colour: Colour
    flags: NDArray[np.bool_]
    either: Pair | str
    number: float


def test_records_of_records_come_back() -> None:
    whole = Whole(
        (Pair(np.array([0.1, np.nan]), 3), Pair(np.eye(2), None)),
        {20: 0.5, 60: float("inf")},
        Colour.RED,
        np.array([True, False]),
        "text",
        float("-inf"),
    )
    arrays: dict[str, NDArray[Any]] = {}
    data = json.loads(json.dumps(encode(whole, "", arrays), allow_nan=False))
    read: Whole = decode(Whole, data, arrays, {})
    np.testing.assert_array_equal(read.pairs[0].first, whole.pairs[0].first)
    np.testing.assert_array_equal(read.pairs[1].first, np.eye(2))
    assert (read.pairs[1].second, read.limits, read.colour) == (None, whole.limits, Colour.RED)
    assert (read.either, read.number) == ("text", float("-inf"))
    assert read.flags.tolist() == [True, False]


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        (int, True),
        (int, 1.0),
        (float, "1"),
        (bool, 1),
        (str, 1),
        (tuple[int, int], [1]),
        (tuple[int, ...], "12"),
        (dict[int, float], {"a": 1.0}),
        (Colour, "blue"),
        (Pair, {"first": []}),
        (Pair, [1, 2]),
        (int | None, "1"),
        (NDArray[np.float64], "1"),
    ],
)
def test_what_does_not_fit_its_type_is_refused(kind: Any, data: object) -> None:
    with pytest.raises(CodecError):
        decode(kind, data, {}, {})


def test_what_is_no_record_is_not_written() -> None:
    with pytest.raises(CodecError, match="object cannot be stored"):
        encode({"a": object()}, "facts", {})
    with pytest.raises(CodecError, match="array of object"):
        encode(np.array([object()]), "facts", {})


def test_a_model_that_explodes_is_refused() -> None:
    space = model().state_space
    grown = space._replace(transition=np.eye(len(space.transition)) * 1.01)
    with pytest.raises(CodecError, match="explodes"):
        check(replace(model(), state_space=grown))
