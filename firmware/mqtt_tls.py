"""Whom to believe on a TLS connection: the authorities of one provisioned file, and nobody else.

Promises: a context without an authority is never made.  The boards' stock MicroPython checks the
chain, the name and the dates, against a calendar that nobody has set.  So a board without a date is
given one out of the authority's own span, month after month, until the broker's certificate is
valid at it (`Calendar`): on such a board the dates decide nothing, chain and name do.
"""

import binascii

try:
    # What MicroPython's own `ssl` is made of: the same without a file in between.
    import tls  # type: ignore[import-not-found, unused-ignore]
except ImportError:
    tls = None

_BEGIN = b"-----BEGIN CERTIFICATE-----"
_END = b"-----END CERTIFICATE-----"
YEAR_MIN = 2025
"""No board of ours is older, so an earlier date is none."""


def context(authority: bytes):
    """A client's context that believes the certificates in `authority`, PEM or DER.

    Raises ValueError or OSError when they are none.
    """
    if tls is None:
        import ssl

        made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        made.load_verify_locations(cadata=b"".join(certificates(authority)))
        return made
    made = tls.SSLContext(tls.PROTOCOL_TLS_CLIENT)
    made.verify_mode = tls.CERT_REQUIRED
    for certificate in certificates(authority):
        made.load_verify_locations(certificate)
    return made


def certificates(authority: bytes) -> "list":
    """Each certificate of a PEM file as DER, which every MicroPython and CPython reads."""
    if _BEGIN not in authority:
        return [authority]
    pieces = authority.split(_BEGIN)[1:]
    return [binascii.a2b_base64(piece.split(_END)[0].replace(b"\n", b"")) for piece in pieces]


def span(certificate: bytes) -> "tuple":
    """The first and the last day, (year, month, day), of a certificate (RFC 5280, 4.1.2.5).

    Raises ValueError when it has none.
    """
    for opening in (b"\x30\x1e\x17\x0d", b"\x30\x20\x17\x0d", b"\x30\x22\x18\x0f"):
        at = certificate.find(opening) + 2
        if at > 1:
            second = at + 2 + certificate[at + 1]
            return _day(certificate, at), _day(certificate, second)
    raise ValueError("no dates in the authority's certificate")


def _day(certificate: bytes, at: int) -> "tuple":
    text = certificate[at + 2 : at + 2 + certificate[at + 1]]
    if certificate[at] == 0x17:
        # UTCTime has two digits for the year, and its century ends with 2049.
        text = (b"20" if text < b"50" else b"19") + text
    return int(text[:4]), int(text[4:6]), int(text[6:8])


class Calendar:
    """Dates for a board that knows none, by `hal.date`, where a board has that."""

    def __init__(self, hal) -> None:
        self._date = getattr(hal, "date", None)
        self._first = self._last = (0, 0, 0)
        self._day = None

    def prepare(self, authority: bytes) -> None:
        """Give the board a date, if it has none."""
        if self._date is None or (self._day is None and self._date()[0] >= YEAR_MIN):
            return
        self._first, self._last = span(certificates(authority)[0])
        if self._day is None:
            self._day = self._first
        self._date(self._day)

    def later(self) -> bool:
        """A month later next time, from the first day again after the last; whether that is so."""
        if self._day is None:
            return False
        year, month, day = self._day
        year, month = (year, month + 1) if month < 12 else (year + 1, 1)
        self._day = (year, month, min(day, 28))
        if self._day > self._last:
            self._day = self._first
        return True
