"""Whom to believe on a TLS connection: the authorities of one provisioned file, and nobody else.

Promises: a context without an authority is never made.  The boards' stock MicroPython checks the
chain and the name; whether it checks dates is the port's choice, see docs/node-links.md.
"""

import binascii

try:
    # What MicroPython's own `ssl` is made of: the same without a file in between.
    import tls  # type: ignore[import-not-found, unused-ignore]
except ImportError:
    tls = None

_BEGIN = b"-----BEGIN CERTIFICATE-----"
_END = b"-----END CERTIFICATE-----"


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
