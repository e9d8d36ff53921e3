"""Records of arrays and numbers as JSON plus named arrays, and back, by the types of their fields.

    array (n,) of finite numbers or of flags   a list in the JSON, to be read by a person
    any other array                            {"array": name, "shape": [...]}, stored beside it

Promises: the reader's own record types decide what is made; nothing in the data names a type, so
nothing but records, arrays, numbers and text can come out. Floats come back bit for bit. Every
field must be there, none may be too many, each of its type: a `CodecError` says which is not.
Left to others: files and hashes (`file.py`), whether shapes fit together.
"""

import dataclasses
import math
import types
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, Final, Union, cast, get_args, get_origin, get_type_hints

import numpy as np
from numpy.typing import NDArray

Arrays = dict[str, NDArray[Any]]
Hints = Mapping[tuple[str, str], Any]
"""(record, field) -> type, where the record itself says less than is known."""

_DEPTH_MAX: Final = 32
_KINDS: Final = {"f": np.float64, "i": np.int64, "b": np.bool_}
_INFINITE: Final = {"inf": math.inf, "-inf": -math.inf, "nan": math.nan}


class CodecError(ValueError):
    """Something cannot be written or read back; `where` is the path of the field."""

    def __init__(self, where: str, what: str) -> None:
        self.where = where
        self.what = what
        super().__init__(f"{where or 'the record'}: {what}")


# --- writing --------------------------------------------------------------------------------------


def encode(value: object, where: str, arrays: Arrays) -> object:
    """Return `value` as JSON types; put arrays that are not short lists into `arrays` by path.

    Raises `CodecError` for anything but records, tuples, mappings, arrays, numbers and text.
    """
    match value:
        case Enum():
            plain: object = value.value
        case None | bool() | int() | str():
            plain = value
        case float():
            plain = float(value) if math.isfinite(value) else str(float(value))
        case np.generic():
            plain = encode(value.item(), where, arrays)
        case np.ndarray():
            plain = _encode_array(value, where, arrays)
        case Mapping():
            plain = {str(key): encode(value[key], f"{where}.{key}", arrays) for key in value}
        case _:
            plain = _encode_many(value, where, arrays)
    return plain


def _encode_many(value: object, where: str, arrays: Arrays) -> object:
    if names := field_names(type(value)):
        return {name: encode(getattr(value, name), _under(where, name), arrays) for name in names}
    if isinstance(value, list | tuple):
        return [encode(item, f"{where}.{place}", arrays) for place, item in enumerate(value)]
    raise CodecError(where, f"{type(value).__name__} cannot be stored")


def _encode_array(value: NDArray[Any], where: str, arrays: Arrays) -> object:
    if value.dtype.kind not in _KINDS:
        raise CodecError(where, f"an array of {value.dtype} cannot be stored")
    stored: NDArray[Any] = np.ascontiguousarray(value, dtype=_KINDS[value.dtype.kind])
    if value.ndim == 1 and (value.dtype.kind != "f" or bool(np.isfinite(value).all())):
        return stored.tolist()
    arrays[where] = stored
    return {"array": where, "shape": list(value.shape)}


def field_names(kind: type) -> tuple[str, ...]:
    """Return the fields of a record type, dataclass or named tuple; none for any other type."""
    if dataclasses.is_dataclass(kind):
        return tuple(each.name for each in dataclasses.fields(kind))
    names = getattr(kind, "_fields", ())
    return names if issubclass(kind, tuple) else ()


# --- reading --------------------------------------------------------------------------------------


def decode(kind: Any, data: object, arrays: Mapping[str, NDArray[Any]], hints: Hints) -> Any:
    """Return a value of type `kind` from JSON types and named arrays; raise `CodecError`."""
    return _decode(kind, data, "", _Reading(arrays, hints))


@dataclasses.dataclass(frozen=True, slots=True)
class _Reading:
    """What does not change while one record is read."""

    arrays: Mapping[str, NDArray[Any]]
    hints: Hints


def _decode(kind: Any, data: object, where: str, reading: _Reading) -> Any:
    """Dispatch on the type that is wanted."""
    if where.count(".") > _DEPTH_MAX:
        raise CodecError(where, "nested too deeply")
    origin = get_origin(kind)
    if kind is object:
        value = data
    elif kind in _SCALARS:
        value = _SCALARS[kind](data, where)
    elif origin is np.ndarray:
        value = _decode_array(np.dtype(get_args(get_args(kind)[1])[0]), data, where, reading)
    elif origin in (Union, types.UnionType):
        value = _decode_union(kind, data, where, reading)
    elif origin is tuple:
        value = _decode_tuple(get_args(kind), data, where, reading)
    elif isinstance(origin, type) and issubclass(origin, Mapping):
        value = _decode_mapping(get_args(kind), data, where, reading)
    elif isinstance(kind, type) and issubclass(kind, Enum):
        value = _decode_enum(kind, data, where)
    else:
        value = _decode_record(kind, data, where, reading)
    return value


def _decode_record(kind: Any, data: object, where: str, reading: _Reading) -> Any:
    names = field_names(kind)
    if not names or not isinstance(data, dict):
        raise CodecError(where, f"is no {kind.__name__}")
    if lacking := [name for name in names if name not in data]:
        raise CodecError(_under(where, lacking[0]), "is missing")
    if foreign := sorted(data.keys() - set(names)):
        raise CodecError(_under(where, foreign[0]), "is not a field of this version")
    own = get_type_hints(kind)
    return kind(
        **{
            name: _decode(
                reading.hints.get((kind.__name__, name), own[name]),
                data[name],
                _under(where, name),
                reading,
            )
            for name in names
        }
    )


def _decode_array(
    dtype: "np.dtype[Any]", data: object, where: str, reading: _Reading
) -> NDArray[Any]:
    if isinstance(data, list):
        types_ = {"f": (int, float), "i": (int,), "b": (bool,)}[dtype.kind]
        wrong = [item for item in data if type(item) not in types_]
        if wrong:
            raise CodecError(where, f"{wrong[0]!r} is not of the kind {dtype}")
        return np.array(data, dtype=dtype)
    if not isinstance(data, dict) or data.keys() != {"array", "shape"}:
        raise CodecError(where, "is no array")
    array = reading.arrays.get(str(data["array"]))
    if array is None:
        raise CodecError(where, f"the array {data['array']!r} is missing")
    if array.dtype != dtype or list(array.shape) != data["shape"]:
        found = f"{array.dtype} of shape {list(array.shape)}"
        raise CodecError(where, f"{found}, wanted {dtype} of shape {data['shape']}")
    return array


def _decode_union(kind: Any, data: object, where: str, reading: _Reading) -> Any:
    chosen = [each for each in get_args(kind) if each is not types.NoneType]
    if data is None and len(chosen) < len(get_args(kind)):
        return None
    failure = CodecError(where, "fits no type")
    for each in chosen:
        try:
            return _decode(each, data, where, reading)
        except CodecError as error:
            failure = error
    raise failure


def _decode_tuple(args: Any, data: object, where: str, reading: _Reading) -> Any:
    if not isinstance(data, list):
        raise CodecError(where, "is no list")
    kinds = [args[0]] * len(data) if len(args) == 2 and args[1] is Ellipsis else list(args)
    if len(kinds) != len(data):
        raise CodecError(where, f"has {len(data)} items, not {len(kinds)}")
    return tuple(
        _decode(kind, item, f"{where}.{place}", reading)
        for place, (kind, item) in enumerate(zip(kinds, data, strict=True))
    )


def _decode_mapping(args: Any, data: object, where: str, reading: _Reading) -> Any:
    if not isinstance(data, dict):
        raise CodecError(where, "is no table")
    to_key: Callable[[str], object] = int if args[0] is int else str
    try:
        keys = [to_key(key) for key in data]
    except ValueError:
        raise CodecError(where, "has a key that is no whole number") from None
    values = [_decode(args[1], item, f"{where}.{key}", reading) for key, item in data.items()]
    return dict(zip(keys, values, strict=True))


def _decode_enum(kind: type[Enum], data: object, where: str) -> Enum:
    try:
        return kind(data)
    except ValueError:
        raise CodecError(where, f"{data!r} is no {kind.__name__}") from None


def _float(data: object, where: str) -> float:
    if type(data) in (int, float):
        return float(cast("float", data))
    if isinstance(data, str) and data in _INFINITE:
        return _INFINITE[data]
    raise CodecError(where, f"{data!r} is no number")


def _exact(kind: type) -> Callable[[object, str], object]:
    def read(data: object, where: str) -> object:
        if type(data) is not kind:
            raise CodecError(where, f"{data!r} is no {kind.__name__}")
        return data

    return read


_SCALARS: Final[dict[object, Callable[[object, str], object]]] = {
    float: _float,
    int: _exact(int),
    bool: _exact(bool),
    str: _exact(str),
}


def _under(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name
