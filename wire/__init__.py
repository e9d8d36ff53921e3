"""The contract both interpreters speak: readings, seals, frames. No I/O, no clock.

Bottom to top, which is also the order in which a reading becomes bytes on a line:

    units     which quantity wears which unit
    cbor      bytes of numbers, texts, lists and maps (RFC 8949, deterministic)
    senml     readings as a SenML pack (RFC 8428)
    messages  the other payloads: time probe, time answer, boot record
    content   the number that says which payload it is
    mac, keys HMAC-SHA256, HKDF, and which key is for what
    cose      the seal: COSE_Mac0 with sequence number, boot id and tick (RFC 9052)
    crc, cobs, framing   a seal as a frame on a serial line

Everything here runs on CPython and on MicroPython with 32-bit floats and gives the same bytes on
both. docs/wire-format.md states those bytes; imports go downwards in the list above, never up.
"""
