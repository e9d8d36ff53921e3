"""Whom to believe on a TLS connection: the authorities of one provisioned file, and nobody else.

The boards' stock MicroPython checks the chain and the name; whether it checks dates is the port's
choice, see docs/node-links.md.
"""

import binascii
import ssl

_BEGIN = b"-----BEGIN CERTIFICATE-----"
_END = b"-----END CERTIFICATE-----"


def context(authority: bytes):
    """A client's context that believes the certificates in `authority`, PEM or DER.

    Raises ValueError or OSError when they are none.
    """
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.verify_mode = ssl.CERT_REQUIRED
    for certificate in certificates(authority):
        made.load_verify_locations(cadata=certificate)
    return made


def certificates(authority: bytes) -> "list":
    """Each certificate of a PEM file as DER, which every MicroPython and CPython reads."""
    if _BEGIN not in authority:
        return [authority]
    pieces = authority.split(_BEGIN)[1:]
    return [binascii.a2b_base64(piece.split(_END)[0].replace(b"\n", b"")) for piece in pieces]
