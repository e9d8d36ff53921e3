"""SenML against the examples of RFC 8428: its JSON relabelled into CBOR, and its own CBOR."""

import base64
from collections.abc import Callable
from typing import Any

import pytest

from wire.cbor import encode
from wire.senml import Record, unpack

BASE_LABELS = {"bver": -1, "bn": -2, "bt": -3, "bu": -4, "bv": -5, "bs": -6}
OWN_LABELS = {"n": 0, "u": 1, "v": 2, "vs": 3, "vb": 4, "s": 5, "t": 6, "ut": 7, "vd": 8}
LABELS = BASE_LABELS | OWN_LABELS
# When RFC 8428 resolved its examples: their relative times were taken from this moment.
NOW = {"ex7": 1499109309.0}
NOW_OF_THE_OTHERS = 1498780179.0


def to_cbor(entries: list[dict[str, Any]]) -> bytes:
    """SenML in JSON as SenML in CBOR (RFC 8428, 6)."""
    relabelled = []
    for entry in entries:
        labelled = {LABELS.get(name, name): value for name, value in entry.items()}
        if "vd" in entry:
            labelled[LABELS["vd"]] = base64.urlsafe_b64decode(entry["vd"] + "==")
        relabelled.append(labelled)
    return encode(relabelled)


def value_of(entry: dict[str, Any]) -> object:
    """The value of a resolved record in JSON."""
    (found,) = [entry[name] for name in ("v", "vs", "vb", "vd") if name in entry]
    return found


def assert_resolved(name: str, records: list[Record], resolved: list[dict[str, Any]]) -> None:
    """`records` are `resolved`, relative times being those since the moment of the example."""
    now_s = NOW.get(name, NOW_OF_THE_OTHERS)
    # Example 3 is printed in the order of sending; section 4.6 asks for that of time.
    chronological = sorted(resolved, key=lambda entry: entry["t"])
    for record, entry in zip(records, chronological, strict=True):
        absolute_s = record.time_s if record.time_s >= 2**28 else now_s + record.time_s
        assert record.name == entry["n"]
        assert record.unit == entry.get("u", "")
        assert record.value == value_of(entry)
        assert absolute_s == pytest.approx(entry["t"], abs=1e-6)


@pytest.fixture(scope="module")
def examples(vectors: Callable[[str], Any]) -> dict[str, Any]:
    return vectors("senml/rfc8428_examples.json")


def test_every_resolved_example(examples: dict[str, Any]) -> None:
    names = [name.split(".")[0] for name in examples if name.endswith(".resolved.json")]
    assert len(names) >= 10
    for name in names:
        resolved = examples[f"{name}.gen.resolved.json"]
        records = unpack(to_cbor(examples[f"{name}.gen.json"]))
        if name == "ex7":
            # The resolved file leaves the data value out.
            assert records.pop().value == b"hi \n"
        assert_resolved(name, records, resolved)


def test_the_example_that_is_not_resolved(examples: dict[str, Any]) -> None:
    records = unpack(to_cbor(examples["ex13.gen.json"]))
    assert [record.value for record in records] == [0.5, 0.5, 0.0, 0.0]
    assert [record.unit for record in records] == ["/"] * 4


def test_the_examples_in_cbor(examples: dict[str, Any]) -> None:
    for name in ("ex3", "ex5"):
        data = bytes.fromhex(examples[f"{name}.gen.cbor"])
        assert_resolved(name, unpack(data), examples[f"{name}.gen.resolved.json"])
        assert unpack(data) == unpack(to_cbor(examples[f"{name}.gen.json"]))
