"""Recordings: what was written is read back, what is wrong is named with its line."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import TraceError
from gateway.links.replay import recorded_frames, recording_line
from gateway.records import Received

FRAMES = st.builds(
    Received,
    source=st.text(min_size=1, max_size=20),
    link=st.just("replay"),
    data=st.binary(max_size=200),
    received_ns=st.integers(0, 2**63 - 1),
)


@settings(derandomize=True, deadline=None, max_examples=50)
@given(frames=st.lists(FRAMES, min_size=1, max_size=10))
def test_a_recording_replays_in_order(tmp_path_factory, frames: list[Received]) -> None:
    path = tmp_path_factory.mktemp("replay") / "frames.jsonl"
    path.write_text("".join(recording_line(frame) for frame in frames))
    assert list(recorded_frames(path)) == frames


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("nonsense", "is no JSON"),
        ("[]", "must be"),
        ('{"t_ns": 1, "source": "a"}', "must be"),
        ('{"t_ns": 1.5, "source": "a", "hex": ""}', "must be"),
        ('{"t_ns": true, "source": "a", "hex": ""}', "must be"),
        ('{"t_ns": 1, "source": "a", "hex": "", "more": 1}', "must be"),
        ('{"t_ns": 1, "source": "a", "hex": "0"}', "is no hexadecimal"),
        ("", "is no JSON"),
        ("[" * 16_000, "is nested too deeply"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, line: str, problem: str) -> None:
    path = tmp_path / "frames.jsonl"
    good = recording_line(Received(source="a", link="replay", data=b"x", received_ns=1))
    path.write_text(good + line + "\n" + good)
    frames = recorded_frames(path)
    assert next(frames).data == b"x"
    with pytest.raises(TraceError, match=problem) as caught:
        next(frames)
    assert caught.value.line == 2
    assert f"{path}:2" in str(caught.value)


def test_a_line_without_end_is_bounded(tmp_path: Path) -> None:
    path = tmp_path / "frames.jsonl"
    path.write_text("x" * 100_000)
    with pytest.raises(TraceError, match="exceeds 16384 bytes"):
        next(recorded_frames(path))


def test_missing_and_empty_recordings(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="name an existing recording"):
        next(recorded_frames(tmp_path / "absent.jsonl"))
    (tmp_path / "empty.jsonl").touch()
    with pytest.raises(TraceError, match="is empty"):
        next(recorded_frames(tmp_path / "empty.jsonl"))
