"""The worked frame in docs/wire-format.md is what the code makes, and what other libraries read."""

import hashlib
import hmac
import re
from pathlib import Path

import cbor2
import pytest
from cobs import cobs
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from wire import commands, content
from wire.commands import encode_command, encode_command_answer
from wire.cose import MESSAGE_BYTES_MAX, Sealer, open_sealed
from wire.framing import REASONS, Deframer, frame
from wire.keys import rotated_root, uplink_key
from wire.mac import HmacSha256
from wire.measurement import encode_measurement
from wire.messages import (
    BOOT_FIELDS,
    LOSS_REASONS,
    SPOOL_FULL,
    encode_loss,
    encode_receipt,
)
from wire.raw_block import INT16, RawBlock, encode_raw_block
from wire.senml import pack, unpack
from wire.status import STATUS_FIELDS, encode_status

ROOT_KEY = bytes(range(32))
KID = b"pump-a"
READINGS = [("temperature", "Cel", 23.5, -0.45), ("vibration-1", "m/s2", 1.2345, -0.45)]


@pytest.fixture(scope="module")
def page(root: Path) -> str:
    return (root / "docs" / "wire-format.md").read_text(encoding="utf-8")


def block(page: str, name: str) -> bytes:
    """The bytes of the fenced block `name`, comments left out."""
    (text,) = re.findall(rf"^```{name}\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    return bytes.fromhex("".join(line.partition("#")[0] for line in text.splitlines()))


def test_the_code_makes_these_bytes(page: str) -> None:
    key = uplink_key(ROOT_KEY, KID)
    assert key == block(page, "key")
    payload = pack("pump-a:", READINGS)
    seal = Sealer(KID, HmacSha256(key)).seal(content.SENML_CBOR, 42, 7, 123456789, payload)
    assert seal.hex() == block(page, "seal").hex()
    assert frame(seal).hex() == block(page, "frame").hex()


def test_the_code_reads_these_bytes(page: str) -> None:
    ((seal, reason),) = Deframer().feed(block(page, "frame"))
    assert reason is None
    header, payload = open_sealed(seal, HmacSha256(block(page, "key")), KID)
    assert header[1:] == (112, KID, 42, 7, 123456789)
    records = unpack(payload)
    assert [record.name for record in records] == ["pump-a:temperature", "pump-a:vibration-1"]
    assert [record.value for record in records] == pytest.approx([23.5, 1.2345], rel=6e-8)


def messages(page: str) -> dict[str, bytes]:
    """The payloads of the block of worked messages, by the name of their content type."""
    (text,) = re.findall(r"^```messages\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    found: dict[str, bytes] = {}
    name = ""
    for line in text.splitlines():
        digits = line.partition("#")[0]
        if not line.startswith(" "):
            name, _, digits = digits.partition(" ")
        found[name] = found.get(name, b"") + bytes.fromhex(digits)
    return found


def test_the_code_makes_these_messages(page: str) -> None:
    samples = RawBlock(5, 0, 2, 250_000, 0.5, 1, INT16, bytes((1, 0, 254, 255)))
    assert messages(page) == {
        "RECEIPT": encode_receipt(70000, 0b101),
        "LOSS_RECORD": encode_loss(10, 19, 8, SPOOL_FULL),
        "STATUS_RECORD": encode_status(
            {"uptime_us": 1_000_000, "update_state": "test", "problems": ["a"]}
        ),
        "MEASUREMENT": encode_measurement(0, 1, [("main.p", hashlib.sha256().digest())]),
        "COMMAND": encode_command(3, commands.SET_RATE, {0: 100_000, 1: 10}),
        "COMMAND_ANSWER": encode_command_answer(3, commands.OUT_OF_ORDER, "late", 5),
        "RAW_BLOCK": encode_raw_block("pump-a:", "x", "m/s2", -0.25, samples),
    }


def test_the_code_rotates_to_this_key(page: str) -> None:
    salt = bytes(range(32, 64))
    assert rotated_root(ROOT_KEY, KID, 1, salt) == block(page, "rotated")
    hkdf = HKDF(hashes.SHA256(), 32, salt, b"twinrig v1 rotate|pump-a|\x00\x00\x00\x01")
    assert hkdf.derive(ROOT_KEY) == block(page, "rotated")


def test_the_tables_on_the_page_are_those_of_the_code(page: str) -> None:
    rows = dict(re.findall(r"^\| (\d+) \| `(\w+)` \| (?:`0`.*)?\|$", page, re.MULTILINE))
    assert {int(number): name for number, name in rows.items()} == commands.VERBS
    for verb, required in commands.ARGUMENTS.items():
        (row,) = re.findall(rf"^\| {verb} \| `\w+` \| (.*)\|$", page, re.MULTILINE)
        listed = required + commands.OPTIONAL.get(verb, ())
        assert [n for key, (n, _) in enumerate(listed) if f"`{key}` {n}" not in row] == []
    tables: list[dict[int, str]] = [LOSS_REASONS, dict(enumerate(STATUS_FIELDS)), commands.RESULTS]
    for table in tables:
        assert [name for number, name in table.items() if f"`{number}` {name}" not in page] == []


def test_other_libraries_agree(page: str) -> None:
    hkdf = HKDF(hashes.SHA256(), 32, b"", b"twinrig v1 uplink|pump-a")
    key = hkdf.derive(ROOT_KEY)
    assert key == block(page, "key")
    *stuffed, end = block(page, "frame")
    assert end == 0
    seal = cobs.decode(bytes(stuffed))[:-2]
    assert seal == block(page, "seal")
    protected, unprotected, payload, tag = cbor2.loads(seal).value
    structure = cbor2.dumps(["MAC0", protected, b"", payload])
    assert hmac.new(key, structure, hashlib.sha256).digest() == tag
    assert unprotected == {}
    assert cbor2.loads(protected) == {
        1: 5,
        3: 112,
        4: KID,
        6: b"\x2a",
        -65537: 7,
        -65538: 123456789,
    }


def test_the_limits_on_the_page_are_those_of_the_code(page: str) -> None:
    assert f"at most **{Deframer().frame_bytes_max}** bytes" in page
    assert f"at most **{MESSAGE_BYTES_MAX}** bytes" in page
    assert [reason for reason in REASONS if f"| `{reason}` |" not in page] == []
    names = enumerate(BOOT_FIELDS)
    assert [name for number, name in names if f"`{number}` {name}" not in page] == []
    for number, name in content.NAMES.items():
        assert f"| {number} | `{name.upper()}` |" in page


def test_a_full_frame_holds_the_longest_seal() -> None:
    longest = frame(b"\x01" * MESSAGE_BYTES_MAX)
    assert Deframer().feed(longest) == [(b"\x01" * MESSAGE_BYTES_MAX, None)]
