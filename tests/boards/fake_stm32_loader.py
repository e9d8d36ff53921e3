"""The ROM loader of an STM32 on a pseudo-terminal, byte by byte as AN3155 describes it."""

from collections.abc import Iterator

from tests.boards.pty_device import PtyDevice

ACK, NACK = b"\x79", b"\x1f"
FLASH_START = 0x08000000
COMMANDS = (0x00, 0x01, 0x02, 0x11, 0x21, 0x31, 0x44, 0x63, 0x73, 0x82, 0x92)


class FakeStm32Loader(PtyDevice):
    """`flash` starts at 0x08000000.

    `refused`: a command that is answered with NACK.  `damaged`: an address whose byte comes out
    wrong.  `cut_after_writes`: the cable is pulled then.  `has_extended_erase`: False for the old
    loader of an STM32F1.
    """

    def __init__(
        self,
        chip_id: int = 0x421,
        *,
        refused: int | None = None,
        damaged: int | None = None,
        cut_after_writes: int | None = None,
        has_extended_erase: bool = True,
        is_mute: bool = False,
    ) -> None:
        super().__init__()
        self.chip_id = chip_id
        self.flash = bytearray(b"\0" * (512 << 10))
        self.writes = 0
        self.erases = 0
        self.started_at: int | None = None
        self._refused = refused
        self._damaged = damaged
        self._cut_after_writes = cut_after_writes
        self._commands = tuple(
            0x43 if code == 0x44 and not has_extended_erase else code for code in COMMANDS
        )
        self._is_mute = is_mute
        self._program = self._loader()
        next(self._program)

    def hear(self, data: bytes) -> None:
        for byte in data:
            if not self._is_mute:
                self._program.send(byte)

    def _loader(self) -> Iterator[None]:
        """A coroutine that is sent one byte at a time."""
        assert (yield) == 0x7F
        self.say(ACK)
        while True:
            code = yield
            if (yield) != code ^ 0xFF or code not in self._commands or code == self._refused:
                self.say(NACK)
                continue
            self.say(ACK)
            if code == 0x00:
                self.say(bytes([len(self._commands), 0x31, *self._commands]) + ACK)
            elif code == 0x02:
                self.say(b"\x01" + self.chip_id.to_bytes(2, "big") + ACK)
            elif code in (0x43, 0x44):
                yield from self._erase(code)
            else:
                yield from self._at_address(code)

    def _erase(self, code: int) -> Iterator[None]:
        expected = b"\xff\x00" if code == 0x43 else b"\xff\xff\x00"
        received = yield from self._take(len(expected))
        if received == expected:
            self.flash[:] = b"\xff" * len(self.flash)
            self.erases += 1
        self.say(ACK if received == expected else NACK)

    def _at_address(self, code: int) -> Iterator[None]:
        received = yield from self._take(5)
        address = int.from_bytes(received[:4], "big")
        offset = address - FLASH_START
        if _xor(received) or not 0 <= offset < len(self.flash):
            self.say(NACK)
            return
        if code == 0x21:
            self.started_at = address
        self.say(ACK)
        if code == 0x21:
            return
        if code == 0x11:
            count, complement = yield from self._take(2)
            assert count ^ complement == 0xFF
            self.say(ACK + bytes(self.flash[offset : offset + count + 1]))
        else:
            yield from self._write(offset)

    def _write(self, offset: int) -> Iterator[None]:
        count = yield
        data = yield from self._take(count + 1)
        if (yield) != count ^ _xor(data) or len(data) % 4:
            self.say(NACK)
            return
        for index, byte in enumerate(data, start=offset):
            self.flash[index] &= byte
            if index + FLASH_START == self._damaged:
                self.flash[index] ^= 0x10
        self.writes += 1
        if self.writes == self._cut_after_writes:
            self.pull_cable()
        self.say(ACK)

    def _take(self, count: int) -> Iterator[bytes]:
        data = bytearray()
        for _ in range(count):
            data.append((yield))
        return bytes(data)


def _xor(data: bytes) -> int:
    state = 0
    for byte in data:
        state ^= byte
    return state
