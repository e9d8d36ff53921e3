"""Content types: the number in a seal that says what its payload is.

112 is registered for SenML in CBOR (RFC 8428, 12.3). Numbers from 65000 on are reserved for
experiments in the CoAP Content-Formats registry (RFC 7252, 12.3), so no foreign receiver mistakes
our own payloads for its own.

What a node sends travels in one of two lanes. Answers are live: worth something only now, they
overtake whatever is stored and are never stored themselves. Everything else is data: delivered in
the order of its sequence numbers, however long the line was away.
"""

from wire.kernel import const

SENML_CBOR = const(112)
TIME_PROBE = const(65000)
TIME_ANSWER = const(65001)
BOOT_RECORD = const(65002)
CHECKPOINT = const(65003)
LOSS_RECORD = const(65004)
STATUS_RECORD = const(65005)
COMMAND = const(65006)
COMMAND_ANSWER = const(65007)
RECEIPT = const(65008)
RAW_BLOCK = const(65009)
MEASUREMENT = const(65010)

NAMES = {
    SENML_CBOR: "senml_cbor",
    TIME_PROBE: "time_probe",
    TIME_ANSWER: "time_answer",
    BOOT_RECORD: "boot_record",
    CHECKPOINT: "checkpoint",
    LOSS_RECORD: "loss_record",
    STATUS_RECORD: "status_record",
    COMMAND: "command",
    COMMAND_ANSWER: "command_answer",
    RECEIPT: "receipt",
    RAW_BLOCK: "raw_block",
    MEASUREMENT: "measurement",
}

DOWN = (TIME_PROBE, COMMAND, RECEIPT)
LIVE = (TIME_ANSWER, COMMAND_ANSWER)


def is_live(content_type: int) -> bool:
    """Return whether a node's frame of this type goes in the live lane, not in the data lane."""
    return content_type in LIVE
