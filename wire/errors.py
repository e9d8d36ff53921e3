"""What can be wrong with bytes of the wire.

    WireError(ValueError)
    |- CborError    not well-formed, out of bounds, or not encodable
    |- CoseError    not a seal of our profile, or not a true one; `reason` is stable
    |- SenmlError   well-formed CBOR that is not a SenML pack we understand
    `- FrameError   COBS or checksum

A parser of this folder raises nothing else, whatever bytes it is given. The peer is to blame for a
WireError raised by a decoder, our own caller for one raised by an encoder.
"""


class WireError(ValueError):
    """Bytes or values that the wire format does not allow."""


class CborError(WireError):
    """CBOR that is not well-formed, exceeds a bound, or a value that has no encoding."""


class CoseError(WireError):
    """A seal that is not accepted.

    `reason` is one of "malformed", "unknown_kid", "bad_mac" and may be counted and compared.
    """

    def __init__(self, message: str, reason: str = "malformed") -> None:
        super().__init__(message)
        self.reason = reason


class SenmlError(WireError):
    """A pack that breaks RFC 8428, or a record that cannot be packed."""


class FrameError(WireError):
    """A frame whose COBS stuffing is broken."""
