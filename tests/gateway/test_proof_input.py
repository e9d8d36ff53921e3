"""What is no export and no public key is said with its line and its remedy."""

from functools import partial
from pathlib import Path

import pytest

from gateway.errors import OperatorError, TraceError
from gateway.node_proof import prove, read_public_key

PUBLIC = bytes(range(32))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        ("{", "no JSON"),
        ("[" * 5000, "no JSON|nested too deeply"),
        ("[]", "must be"),
        ('{"source":"pump-a","t_ns":1}', "must be"),
        ('{"source":"pump-a","t_ns":"1","hex":""}', "must be"),
        ('{"source":"pump-a","t_ns":1,"hex":"d1","more":1}', "must be"),
        ('{"source":"pump-a","t_ns":1,"hex":"xy"}', "no hexadecimal"),
        ('{"node":"' + "a" * 17000 + '"}', "exceeds"),
    ],
)
def test_bad_input_is_an_error_with_its_line(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "export.jsonl"
    path.write_text(text)
    with pytest.raises(TraceError, match=words) as caught:
        prove(path, PUBLIC)
    assert caught.value.line == (1 if text else None)


def test_a_missing_file_and_a_short_key(tmp_path: Path) -> None:
    ask = partial(prove, tmp_path / "none.jsonl")
    with pytest.raises(TraceError, match="cannot be read"):
        ask(PUBLIC)
    with pytest.raises(OperatorError, match="31 bytes"):
        ask(PUBLIC[:31])


def test_a_public_key_is_64_digits_or_a_file_of_them(tmp_path: Path) -> None:
    path = tmp_path / "a.pub"
    path.write_text(PUBLIC.hex() + "\n")
    assert read_public_key(PUBLIC.hex()) == read_public_key(str(path)) == PUBLIC
    for text in ("", "00" * 31, "zz" * 32, PUBLIC.hex() + "\n\n1", "\x00" * 64):
        path.write_text(text)
        with pytest.raises(OperatorError, match="neither 64 hexadecimal digits nor a file of them"):
            read_public_key(str(path))
    with pytest.raises(OperatorError, match="neither 64"):
        read_public_key(str(tmp_path / "absent"))
