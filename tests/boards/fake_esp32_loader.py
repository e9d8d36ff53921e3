"""The serial loader of an ESP32 or ESP32-S3, as far as esptool needs it to flash and verify.

From Espressif's "Serial Protocol": SLIP packets (0xC0, escapes 0xDB 0xDC and 0xDB 0xDD) of
`0x00 | op | u16 length | u32 checksum | data`, answered by `0x01 | op | u16 length | u32 value |
data` with two status bytes at the end of the data (four from the ROM).  After MEM_END the uploaded
stub says OHAI and knows more operations; here it is only said, nothing is executed.
"""

import hashlib
import struct
import zlib

from tests.boards.pty_device import PtyDevice

FLASH_BEGIN, FLASH_DATA, FLASH_END = 0x02, 0x03, 0x04
MEM_BEGIN, MEM_END, MEM_DATA = 0x05, 0x06, 0x07
SYNC, WRITE_REG, READ_REG = 0x08, 0x09, 0x0A
SPI_SET_PARAMS, SPI_ATTACH, CHANGE_BAUDRATE = 0x0B, 0x0D, 0x0F
DEFL_BEGIN, DEFL_DATA, DEFL_END = 0x10, 0x11, 0x12
MD5, SECURITY_INFO, ERASE_FLASH = 0x13, 0x14, 0xD0

_INVALID = b"\x01\x05"
_WINBOND_4_MIB = 0x1640EF
_UART_CLKDIV_40_MHZ = 347
_REGISTERS = {
    "esp32": {
        0x40001000: 0x00F01D83,
        0x3FF42080: _WINBOND_4_MIB,
        0x3FF40014: _UART_CLKDIV_40_MHZ,
    },
    "esp32s3": {0x60002058: _WINBOND_4_MIB, 0x60000014: _UART_CLKDIV_40_MHZ},
}
_CHIP_IDS = {"esp32": None, "esp32s3": 9}


class FakeEsp32Loader(PtyDevice):
    """`flash` is what a flash chip would hold.

    `cut_after_bytes`: the cable is pulled when so much of the image has arrived.  `damaged`: an
    address whose byte comes out wrong.  `is_mute`: nothing answers.
    """

    def __init__(
        self,
        chip: str,
        *,
        cut_after_bytes: int | None = None,
        damaged: int | None = None,
        is_mute: bool = False,
    ) -> None:
        super().__init__()
        self.chip = chip
        self.flash = bytearray(b"\0" * (4 << 20))
        self.operations: list[int] = []
        self._cut_after_bytes = cut_after_bytes
        self._damaged = damaged
        self._is_mute = is_mute
        self._received = b""
        self._is_stub = False
        self._address = 0
        self._image_bytes = 0
        self._inflate = zlib.decompressobj()

    def hear(self, data: bytes) -> None:
        self._received += data
        while self._received.count(b"\xc0") >= 2:
            _, packet, self._received = self._received.split(b"\xc0", 2)
            if packet and not self._is_mute:
                self._obey(packet.replace(b"\xdb\xdc", b"\xc0").replace(b"\xdb\xdd", b"\xdb"))

    def _obey(self, packet: bytes) -> None:
        _, operation, length, checksum = struct.unpack_from("<BBHI", packet)
        data = packet[8:]
        assert len(data) == length
        self.operations.append(operation)
        if operation in (FLASH_DATA, DEFL_DATA, MEM_DATA):
            payload = data[16:]
            assert checksum == _checksum(payload)
            if operation != MEM_DATA:
                self._program(payload, is_deflated=operation == DEFL_DATA)
        elif operation in (FLASH_BEGIN, DEFL_BEGIN):
            self._address = struct.unpack_from("<4I", data)[3]
            self._inflate = zlib.decompressobj()
        elif operation == ERASE_FLASH:
            assert self._is_stub
            self.flash[:] = b"\xff" * len(self.flash)
        self._answer(operation, data)
        if operation == MEM_END:
            self._is_stub = True
            self._send(b"OHAI")

    def _answer(self, operation: int, data: bytes) -> None:
        if operation == SYNC:
            for _ in range(8):
                self._reply(SYNC, value=0x20120707)
        elif operation == READ_REG:
            (address,) = struct.unpack("<I", data)
            self._reply(operation, value=_REGISTERS[self.chip].get(address, 0))
        elif operation == SECURITY_INFO:
            chip_id = _CHIP_IDS[self.chip]
            if chip_id is None:
                self._reply(operation, status=_INVALID)
            else:
                self._reply(operation, data=struct.pack("<IB7sII", 0, 0, bytes(7), chip_id, 0))
        elif operation == MD5:
            address, size = struct.unpack_from("<2I", data)
            digest = hashlib.md5(self.flash[address : address + size], usedforsecurity=False)
            raw = digest.digest() if self._is_stub else digest.hexdigest().encode()
            self._reply(operation, data=raw)
        else:
            self._reply(operation)

    def _program(self, payload: bytes, *, is_deflated: bool) -> None:
        content = self._inflate.decompress(payload) if is_deflated else payload
        self._image_bytes += len(content)
        for offset, byte in enumerate(content, start=self._address):
            # Flash can clear bits and no more: what was not erased shows.
            self.flash[offset] &= byte
            if offset == self._damaged:
                self.flash[offset] ^= 0x01
        self._address += len(content)
        if self._cut_after_bytes is not None and self._image_bytes >= self._cut_after_bytes:
            self.pull_cable()

    def _reply(
        self, operation: int, *, value: int = 0, data: bytes = b"", status: bytes = b"\0\0"
    ) -> None:
        status += b"" if self._is_stub else b"\0\0"
        body = data + status
        self._send(struct.pack("<BBHI", 1, operation, len(body), value) + body)

    def _send(self, packet: bytes) -> None:
        escaped = packet.replace(b"\xdb", b"\xdb\xdd").replace(b"\xc0", b"\xdb\xdc")
        self.say(b"\xc0" + escaped + b"\xc0")


def _checksum(data: bytes) -> int:
    state = 0xEF
    for byte in data:
        state ^= byte
    return state
