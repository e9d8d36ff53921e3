"""The contract both interpreters speak: readings, seals, frames. No I/O, no clock.

Bottom to top, which is also the order in which a reading becomes bytes on a line:

    units     which quantity wears which unit
    cbor      bytes of numbers, texts, lists and maps (RFC 8949, deterministic)
    senml     readings as a SenML pack (RFC 8428)
    fields    how the maps of all other payloads are read:
    messages, commands, status, measurement, raw_block, checkpoint
    content   the number that says which payload it is, and in which lane it travels
    mac, keys HMAC-SHA256, HKDF, and which key is for what
    cose      the seal: COSE_Mac0 with sequence number, boot id and tick (RFC 9052)
    sha512, ed25519, merkle, sign1   the signature under many seals
    crc, cobs, framing   a seal as a frame on a serial line

senml_packer, cose_sealer and framer give the same bytes as the readable ways do, in place and
without an allocation; kernel and words are what fast code is written with.

Everything here runs on CPython and on MicroPython with 32-bit floats and gives the same bytes on
both. docs/wire-format.md states those bytes; imports go downwards in the list above, never up.
"""
