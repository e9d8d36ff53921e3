"""Content types: the number in a seal that says what its payload is.

112 is registered for SenML in CBOR (RFC 8428, 12.3). Numbers from 65000 on are reserved for
experiments in the CoAP Content-Formats registry (RFC 7252, 12.3), so no foreign receiver mistakes
our own payloads for its own.
"""

from wire.kernel import const

SENML_CBOR = const(112)
TIME_PROBE = const(65000)
TIME_ANSWER = const(65001)
BOOT_RECORD = const(65002)

NAMES = {
    SENML_CBOR: "senml_cbor",
    TIME_PROBE: "time_probe",
    TIME_ANSWER: "time_answer",
    BOOT_RECORD: "boot_record",
}
