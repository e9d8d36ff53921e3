"""What a node says about itself becomes a `Report`: how it started, how it is, what it lost.

Promises: one report for each frame that is neither readings nor a time answer, with the time of its
seal; everything the node stated is in `facts` by the names of `wire`, and in `text` for a person.
A report is no value: no number of it enters a model or stands for a signal. The payload was found
sound by `payloads.py`. Left to others: who shows, stores and logs it.
"""

from collections.abc import Callable, Mapping
from typing import Final

from gateway.records import Report, ReportKind, Verified
from gateway.stages.payloads import raw_blocks_of
from gateway.stages.sync import Placed
from wire import commands, content, measurement, messages, raw_block, status

Fact = tuple[str, int | float | str]
_TEXT_FIELDS_BOOT: Final = ("boot_reason", "reset_cause", "firmware", "interpreter")


def report(item: Verified, placed: Placed) -> list[Report]:
    """Return the report a verified frame holds, none for readings and time answers."""
    known = _READERS.get(item.content_type)
    if known is None or item.boot_id is None:
        return []
    kind, read = known
    text, problems, facts = read(item.payload)
    return [
        Report(
            source=item.source,
            kind=kind,
            time_ns=placed.time_ns,
            bound_ns=placed.bound_ns,
            is_time_known=placed.is_known,
            boot_id=item.boot_id,
            sequence=item.sequence,
            text=text,
            problems=tuple(problems),
            facts=tuple(facts),
        )
    ]


_Read = tuple[str, list[str], list[Fact]]
"""(text, problems, facts)."""


def _boot(payload: bytes) -> _Read:
    facts = [(name, _plain(value)) for name, value in messages.decode_boot(payload).items()]
    said = dict(facts)
    words = [f"{name} {said[name]}" for name in _TEXT_FIELDS_BOOT if name in said]
    return "started: " + (", ".join(words) or "no details"), [], facts


def _status(payload: bytes) -> _Read:
    fields = status.decode_status(payload)
    found = fields.pop("problems", [])
    problems = [str(problem) for problem in found] if isinstance(found, list) else []
    facts = [(name, _plain(value)) for name, value in fields.items()]
    if not problems:
        return "ok", [], facts
    count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
    return f"{count}: {'; '.join(problems)}", problems, facts


def _loss(payload: bytes) -> _Read:
    loss = messages.decode_loss(payload)
    reason = messages.LOSS_REASONS.get(loss.reason, str(loss.reason))
    text = f"{loss.frames} frames lost of numbers {loss.first} to {loss.last}: {reason}"
    facts: list[Fact] = [
        ("first", loss.first), ("last", loss.last), ("frames", loss.frames), ("reason", reason),
    ]  # fmt: skip
    return text, [text] if loss.frames else [], facts


def _measurement(payload: bytes) -> _Read:
    measured = measurement.decode_measurement(payload)
    facts: list[Fact] = [("part", measured.part), ("parts", measured.parts)]
    facts += [(path, sha256.hex()) for path, sha256 in measured.entries]
    text = f"part {measured.part + 1} of {measured.parts}: {len(measured.entries)} files"
    return text, [], facts


def _checkpoint(payload: bytes) -> _Read:
    return "signed what was sealed so far", [], [("bytes", len(payload))]


def _command_answer(payload: bytes) -> _Read:
    answer = commands.decode_command_answer(payload)
    result = commands.RESULTS.get(answer.result, str(answer.result))
    facts: list[Fact] = [("command_id", answer.command_id), ("result", result)]
    if answer.detail:
        facts.append(("detail", answer.detail))
    if answer.last_id is not None:
        facts.append(("last_id", answer.last_id))
    detail = f": {answer.detail}" if answer.detail else ""
    return f"command {answer.command_id} {result}{detail}", [], facts


def _raw_block(payload: bytes) -> _Read:
    facts: list[Fact] = []
    words = []
    for record, block in raw_blocks_of(payload):
        samples = len(raw_block.counts(block)) // block.axes
        words.append(
            f"{record.name} samples {block.first} to {block.first + samples - 1} of {block.total}"
        )
        facts += [
            ("name", record.name), ("capture_id", block.capture_id), ("first", block.first),
            ("total", block.total), ("samples", samples), ("period_ns", block.period_ns),
        ]  # fmt: skip
    return "; ".join(words), [], facts


_READERS: Final[Mapping[int, tuple[ReportKind, Callable[[bytes], _Read]]]] = {
    content.BOOT_RECORD: (ReportKind.BOOT, _boot),
    content.STATUS_RECORD: (ReportKind.STATUS, _status),
    content.LOSS_RECORD: (ReportKind.LOSS, _loss),
    content.MEASUREMENT: (ReportKind.MEASUREMENT, _measurement),
    content.CHECKPOINT: (ReportKind.CHECKPOINT, _checkpoint),
    content.COMMAND_ANSWER: (ReportKind.COMMAND_ANSWER, _command_answer),
    content.RAW_BLOCK: (ReportKind.RAW_BLOCK, _raw_block),
}


def _plain(value: object) -> int | float | str:
    """Return a field of a message as a fact."""
    if isinstance(value, bytes):
        return value.hex()
    return value if isinstance(value, int | float) else str(value)
