"""A model on the disk: one folder with two files that a person can look into.

    <folder>/model.json    format, hash, where the rows came from, every field of the model
    <folder>/arrays.npz    the arrays that are no short lists, one `.npy` each, not compressed

Promises: a folder appears whole or not at all (written beside, synced, renamed) and is never
changed afterwards; what is read is what was written, bit for bit; the same model and origin are the
same bytes. Sizes are checked before memory is taken, nothing is unpickled, and no name in a file
decides what is made of it. `digest` is a SHA-256 over all of `model.json` but itself, the hash of
`arrays.npz` included: it shows damage and careless edits. It is no signature; which digest was
current when stands in the record of changes (`store.py`).
Left to others: which version is the current one, types and fields (`codec.py`).
"""

import hashlib
import io
import json
import math
import os
import re
import shutil
import struct
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, final

import numpy as np
from numpy.typing import NDArray

from gateway.errors import OperatorError
from gateway.lifecycle.codec import Arrays, CodecError, decode, encode
from gateway.lifecycle.measures import Measures
from gateway.lifecycle.shapes import HINTS, check
from gateway.models.explanation import Experience
from gateway.models.hypotheses_law import Ways
from gateway.models.monitor import Healthy
from gateway.models.twin_model import TwinModel

FORMAT: Final = "twinrig model"
FORMAT_VERSION: Final = 2
JSON_NAME: Final = "model.json"
ARRAYS_NAME: Final = "arrays.npz"
JSON_BYTES_MAX: Final = 64 * 1024 * 1024
ARRAYS_BYTES_MAX: Final = 512 * 1024 * 1024
ARRAYS_MAX: Final = 1024
_KEYS: Final = frozenset({"format", "format_version", "sha256", "arrays", "origin", "model"})
_NPY: Final = re.compile(
    rb"\x93NUMPY\x01\x00..\{'descr': '(?P<dtype><f8|<i8|\|b1)', 'fortran_order': False, "
    rb"'shape': \((?P<shape>(?:\d{1,9},? ?){0,8})\), \} *\n",
    re.DOTALL,
)
"""Magic, version 1.0, length of the header, header: as numpy writes it (NEP 1)."""
_SHORT_LIST: Final = re.compile(r"\[\n\s*([^\[\]{}]*?)\n\s*\]")


class ModelFileError(OperatorError):
    """A model cannot be read or written; `what` says why, `remedy` what to do."""

    def __init__(self, path: Path, what: str, remedy: str) -> None:
        self.path = path
        self.what = what
        self.remedy = remedy
        super().__init__(f"{path}: {what}; {remedy}")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a model comes from; part of what is hashed."""

    source: str
    """Name of the file or store the rows were read from, without its folder."""
    source_sha256: str
    rows: int
    from_ns: int
    """Unix time of the first row."""
    to_ns: int
    """Unix time of the last row."""
    settings: Mapping[str, object]
    """What the fit was told, JSON-able."""
    measured: Measures | None
    """What was found about a model of most of the rows on the rest; None if nobody looked."""
    baseline: Healthy | None
    """Sums of the training rows, for the monitor of drift."""
    notes: tuple[str, ...]
    """What was said about the rows."""
    ways: Ways | None = None
    """How signals behave over a window, for the causes; None if nobody looked."""
    held_out: tuple[tuple[int, int, float], ...] = ()
    """Factors, lags and what they are worth on held-out rows, in nats per row."""
    handicap: NDArray[np.float64] | None = None
    """(causes, u + 1): what each cause has to pay for healthy windows it seems to explain."""

    @property
    def experience(self) -> Experience | None:
        """What healthy rows taught about causes; None unless all of it is known."""
        if self.ways is None or self.handicap is None:
            return None
        return Experience(self.ways, self.handicap)


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ModelFile:
    """A model as it lies on the disk."""

    model: TwinModel
    origin: Origin
    digest: str
    """64 hexadecimal digits."""


# --- writing --------------------------------------------------------------------------------------


def save(folder: Path, model: TwinModel, origin: Origin) -> str:
    """Make `folder` with the model in it, synced; return the digest.

    Raises `ModelFileError` if there is something of that name, or it cannot be written.
    """
    text, packed, digest = _written(folder, model, origin)
    partial = folder.with_name(f".{folder.name}.partial-{os.getpid()}")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        if folder.exists():
            raise ModelFileError(folder, "is there already", "a model is never changed; name anew")
        try:
            partial.mkdir()
            for name, data in ((ARRAYS_NAME, packed), (JSON_NAME, text)):
                with (partial / name).open("xb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
            partial.rename(folder)
            sync_folder(folder.parent)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    except OSError as error:
        remedy = "make its folder writable and free some space"
        raise ModelFileError(folder, f"cannot be written ({error.strerror})", remedy) from error
    return digest


def digest_of(model: TwinModel, origin: Origin) -> str:
    """Return the digest `save` would give."""
    return _written(Path(JSON_NAME), model, origin)[2]


def sync_folder(folder: Path) -> None:
    """Wait until the names in a folder are on the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _written(folder: Path, model: TwinModel, origin: Origin) -> tuple[bytes, bytes, str]:
    """Return the bytes of both files and the digest."""
    arrays: Arrays = {}
    try:
        body = {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "origin": encode(origin, "origin", arrays),
            "model": encode(model, "", arrays),
        }
    except CodecError as error:
        raise ModelFileError(folder, f"field {error}", "report this as a bug") from error
    packed = _packed(arrays)
    body["arrays"] = {"file": ARRAYS_NAME, "sha256": hashlib.sha256(packed).hexdigest()}
    digest = _digest(body)
    whole = {"format": FORMAT, "format_version": FORMAT_VERSION, "sha256": digest} | body
    text = json.dumps(whole, indent=1, ensure_ascii=False, allow_nan=False)
    return (_SHORT_LIST.sub(_on_one_line, text) + "\n").encode(), packed, digest


def _on_one_line(match: re.Match[str]) -> str:
    return "[" + re.sub(r"\n\s*", " ", match[1]) + "]"


def _packed(arrays: Arrays) -> bytes:
    """Return arrays as the bytes of an npz: the same arrays are the same bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(arrays):
            member = io.BytesIO()
            np.lib.format.write_array(member, arrays[name], version=(1, 0), allow_pickle=False)
            # A ZipInfo made by hand has a fixed date.
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), member.getvalue())
    return buffer.getvalue()


def _digest(body: Mapping[str, object]) -> str:
    """Return the hash of everything in `model.json` but the hash."""
    kept = {key: body[key] for key in body if key != "sha256"}
    text = json.dumps(kept, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


# --- reading --------------------------------------------------------------------------------------


def load(folder: Path) -> ModelFile:
    """Read a model; raise `ModelFileError` for anything that is not exactly what `save` wrote."""
    body = _body(folder)
    packed = _bytes(folder / ARRAYS_NAME, ARRAYS_BYTES_MAX)
    listed = body["arrays"]
    if not isinstance(listed, dict) or listed.get("sha256") != hashlib.sha256(packed).hexdigest():
        what = "is not the file that belongs to model.json: damaged or exchanged"
        raise ModelFileError(folder / ARRAYS_NAME, what, _ANOTHER)
    if body["sha256"] != _digest(body):
        what = "its content does not have the hash it states: damaged or edited"
        raise ModelFileError(folder / JSON_NAME, what, _ANOTHER)
    try:
        arrays = _unpacked(packed)
        model: TwinModel = decode(TwinModel, body["model"], arrays, HINTS)
        origin: Origin = decode(Origin, _completed(body["origin"]), arrays, HINTS)
        check(model)
    except CodecError as error:
        raise ModelFileError(folder, f"field {error}", _ANOTHER) from error
    except _NO_ARCHIVE as error:
        raise ModelFileError(folder / ARRAYS_NAME, f"no readable arrays ({error})", _ANOTHER) from (
            error
        )
    return ModelFile(model=model, origin=origin, digest=str(body["sha256"]))


_NO_ARCHIVE: Final = (
    ValueError,
    KeyError,
    EOFError,
    RuntimeError,
    struct.error,
    zipfile.BadZipFile,
)
"""What zipfile raises for files that are none, `NotImplementedError` being a `RuntimeError`."""
_ANOTHER: Final = "take another version, a copy, or fit the model again"


def _body(folder: Path) -> dict[str, Any]:
    """Return the JSON of a model of our format and version."""
    path = folder / JSON_NAME
    try:
        body = json.loads(_bytes(path, JSON_BYTES_MAX))
    except (ValueError, RecursionError) as error:
        raise ModelFileError(path, f"no JSON ({error}): damaged", _ANOTHER) from error
    if not isinstance(body, dict) or body.get("format") != FORMAT:
        raise ModelFileError(path, "is no model", "name a folder made by `twinrig model fit`")
    if body.get("format_version") != FORMAT_VERSION:
        what = f"format version {body.get('format_version')!r}, this program reads {FORMAT_VERSION}"
        remedy = "use the program that wrote it, or fit the model again"
        raise ModelFileError(path, what, remedy)
    if body.keys() != _KEYS:
        odd = min(body.keys() ^ _KEYS)
        raise ModelFileError(path, f"the field {odd!r} is missing or foreign: edited", _ANOTHER)
    return body


def _completed(origin: object) -> object:
    """Return the JSON of an origin with what early files of this format do not have."""
    return {"handicap": None} | origin if isinstance(origin, dict) else origin


def _bytes(path: Path, bytes_max: int) -> bytes:
    """Return the content of a file that is not larger than allowed."""
    try:
        with path.open("rb") as file:
            data = file.read(bytes_max + 1)
    except FileNotFoundError:
        remedy = "name a folder made by `twinrig model fit`"
        raise ModelFileError(path, "no such file", remedy) from None
    except OSError as error:
        what = f"cannot be read ({error.strerror})"
        raise ModelFileError(path, what, "check path and rights") from error
    if len(data) > bytes_max:
        raise ModelFileError(path, f"larger than {bytes_max >> 20} MiB", _ANOTHER)
    return data


def _unpacked(packed: bytes) -> dict[str, NDArray[Any]]:
    """Return the arrays of an npz; raise ValueError unless each is plain and as large as it says.

    Members are stored, not compressed, so they cannot unpack into more than was read already.
    """
    arrays: dict[str, NDArray[Any]] = {}
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        members = archive.infolist()
        if len(members) > ARRAYS_MAX:
            raise ValueError(f"{len(members)} arrays")
        for member in members:
            if member.compress_type != zipfile.ZIP_STORED or member.file_size > len(packed):
                raise ValueError(f"{member.filename} is compressed")
            arrays[member.filename.removesuffix(".npy")] = _array(archive.read(member))
    return arrays


def _array(data: bytes) -> NDArray[Any]:
    """Return a `.npy` as an array; raise ValueError unless it is one that `_packed` could write.

    numpy's own reader evaluates the header as an expression; this one knows what it looks like.
    """
    header = _NPY.match(data)
    if header is None:
        raise ValueError("an array has a header that was not written here")
    dtype = np.dtype(header["dtype"].decode())
    shape = tuple(int(each) for each in header["shape"].replace(b" ", b"").split(b",") if each)
    body = memoryview(data)[header.end() :]
    if math.prod(shape) * dtype.itemsize != len(body):
        raise ValueError("an array is not as large as its header says")
    return np.frombuffer(body, dtype=dtype).reshape(shape).copy()
