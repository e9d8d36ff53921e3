"""Records are frozen, closed and keyword-only; trust is in the type."""

import dataclasses
import json
import re
from pathlib import Path

import pytest

from gateway import errors, records, status
from gateway.errors import InternalError
from gateway.records import Aligned, Polled, Provenance, Received, Verified

GATEWAY = Path(records.__file__).parent
RECORDS = [
    item
    for item in vars(records).values()
    if isinstance(item, type) and dataclasses.is_dataclass(item)
]


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.__name__)
def test_every_record_is_frozen_slotted_and_keyword_only(record):
    parameters = record.__dataclass_params__
    assert parameters.frozen
    assert "__slots__" in vars(record)
    assert all(field.kw_only for field in dataclasses.fields(record))


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.__name__)
def test_no_record_holds_a_dict_or_a_float_time(record):
    for field in dataclasses.fields(record):
        assert "dict" not in str(field.type)
        if field.name.endswith(("_ns", "_us")):
            assert "float" not in str(field.type)


def verified(token):
    """Try to make a verified record."""
    return Verified(
        source="n",
        link="l",
        boot_id=1,
        sequence=0,
        tick_us=0,
        content_type=112,
        frame=b"",
        payload=b"",
        readings=(),
        requested_ns=None,
        received_ns=0,
        provenance=Provenance.SEALED,
        token=token,
    )


@pytest.mark.parametrize("token", [None, object(), True, "token"])
def test_a_verified_record_cannot_be_made_by_hand(token):
    with pytest.raises(InternalError, match=r"gateway\.stages\.verify only"):
        verified(token)


def test_a_verified_record_cannot_be_copied_with_other_content():
    good = verified(records._VERIFY_TOKEN)
    with pytest.raises((TypeError, ValueError, InternalError)):
        dataclasses.replace(good, sequence=5)


def test_only_records_and_verify_mention_the_token():
    mentions = {
        path.relative_to(GATEWAY).as_posix()
        for path in GATEWAY.rglob("*.py")
        if "_VERIFY_TOKEN" in path.read_text()
    }
    assert mentions == {"records.py", "stages/verify.py"}


def test_records_cannot_be_changed_or_extended():
    frame = Received(source="n", link="l", data=b"", received_ns=0)
    with pytest.raises(dataclasses.FrozenInstanceError):
        frame.received_ns = 1
    with pytest.raises((AttributeError, TypeError)):
        object.__setattr__(frame, "extra", 1)


def test_a_poll_that_ends_before_it_began_is_our_bug():
    with pytest.raises(InternalError, match="answered before it was asked"):
        Polled(source="plc", link="m", readings=(), requested_ns=2, received_ns=1)


def test_positional_arguments_are_refused():
    with pytest.raises(TypeError):
        Aligned("s", "V", 1.0, 0, 0, 0, 0, Provenance.SEALED, "n", 0)


CODES = GATEWAY.parents[1] / "shared" / "vectors" / "opcua" / "status_codes.json"


def test_status_codes_have_the_severity_their_name_says():
    severities = {"GOOD": 0, "UNCERTAIN": 1, "BAD": 2}
    for name, code in vars(status).items():
        if name.isupper() and not name.startswith("_"):
            assert code >> 30 == severities[name.split("_")[0]], name
            assert code & 0xFFFF == 0, "a plain code has no info bits"
    assert status.is_bad(status.BAD_NO_DATA)
    assert status.is_good(status.GOOD_SUB_NORMAL)
    assert status.worst(status.GOOD, status.UNCERTAIN) == status.UNCERTAIN
    assert status.worst(status.BAD_TIMEOUT, status.BAD_NO_DATA) == status.BAD_TIMEOUT


@pytest.mark.skipif(not CODES.exists(), reason=f"no vectors at {CODES}")
def test_status_codes_are_those_of_the_standard():
    listed = {entry["name"]: int(entry["code"], 16) for entry in json.loads(CODES.read_text())}
    ours = {
        name.replace("_", "").lower(): code
        for name, code in vars(status).items()
        if name.isupper() and not name.startswith("_")
    }
    standard = {name.lower(): code for name, code in listed.items()}
    assert ours == {name: standard[name] for name in ours}


def test_the_error_tree_is_drawn_as_it_is():
    drawn = set(re.findall(r"\b([A-Z]\w+Error)\b", errors.__doc__))
    real = {name for name, item in vars(errors).items() if name.endswith("Error")}
    assert drawn == real
    assert len(real) <= 12
    families = (errors.OperatorError, errors.PeerError, errors.InternalError)
    for name in real - {"TwinrigError"}:
        assert sum(issubclass(getattr(errors, name), family) for family in families) == 1
