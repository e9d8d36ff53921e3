"""What every emulated chip does the same way: a register pointer, access rules, driven inputs.

Only emulators import this. A chip fills three holes of `EmulatedChip`: `_before_read` brings a
register up to date, `_after_read` and `_after_write` do what the access causes. `EmulatedSpiChip`
is the same behind a chip select; a part without registers has `Inputs` only. The rules here are
the strict ones: whatever the datasheet does not allow raises `EmulatorError`, since a quiet
emulator certifies wrong drivers.

Time is the caller's `now_us`, microseconds since the supply came up; it may jump but not go back.
"""

from drivers.errors import EmulatorError
from drivers.registers import Register, RegisterMap


class Conversions:
    """A converter that runs by itself: a first result after a delay, the others periodically."""

    def __init__(self):
        self._first_us = None
        self._period_us = 0
        self._parts = 1

    def run(self, now_us: int, first_us: int, period_us: int, parts: int = 1) -> None:
        """Start over: the first conversion ends `first_us` from now.

        The period is `period_us / parts`, so that a rate need not divide a second.
        """
        self._first_us = now_us + first_us
        self._period_us = period_us
        self._parts = parts

    def halt(self) -> None:
        """Stop converting; no further result appears."""
        self._first_us = None

    def is_running(self) -> bool:
        """Say whether a conversion has been started since the last halt."""
        return self._first_us is not None

    def count(self, now_us: int) -> int:
        """Return how many conversions have ended since `run`."""
        if self._first_us is None or now_us < self._first_us:
            return 0
        return 1 + (now_us - self._first_us) * self._parts // self._period_us

    def ended_us(self, count: int) -> int:
        """Return when conversion number `count` (1 is the first) ended."""
        return self._first_us + -(-(count - 1) * self._period_us // self._parts)


class Fifo:
    """Which conversions a chip's FIFO holds: at most `depth`, the oldest go first when it is full.

    It keeps their numbers, not their values: what nobody reads is never sampled. `lost` counts
    those that were overwritten.
    """

    def __init__(self, depth: int):
        self._depth = depth
        self._oldest = 1
        self.lost = 0

    def held(self, ended: int) -> int:
        """Return how many there are when conversion number `ended` was the last."""
        excess = ended - self._oldest + 1 - self._depth
        if excess > 0:
            self._oldest += excess
            self.lost += excess
        return ended - self._oldest + 1

    def take(self) -> int:
        """Remove the oldest; return its number."""
        self._oldest += 1
        return self._oldest - 1


class Inputs:
    """The quantities that can be driven into a part.

    Its class or instance states `RANGES = {quantity: (low, high, tolerance)}`, in SI units and
    degrees Celsius: what may be driven, and how far a reading may be from it.
    """

    RANGES: dict = {}

    def __init__(self, part: str):
        self.part = part
        # What nobody drives is 0, or the end of its range that is next to 0.
        self._sources = {
            quantity: max(low, min(high, 0)) for quantity, (low, high, _) in self.RANGES.items()
        }

    def drive(self, quantity: str, source) -> None:
        """Feed `quantity` from `source`: a number, or a function of the time in microseconds."""
        if quantity not in self._sources:
            raise EmulatorError(
                self.part,
                f"no quantity {quantity!r}, drive one of {', '.join(sorted(self._sources))}",
            )
        self._sources[quantity] = source

    def _value(self, quantity: str, now_us: int):
        """Return the driven value at `now_us`; outside RANGES is an error.

        A chip counts a conversion as done after its samples only: then a refused value is
        refused again at the next read, never passed over.
        """
        source = self._sources[quantity]
        value = source(now_us) if callable(source) else source
        low, high, _ = self.RANGES[quantity]
        # Written so that a NaN, which compares false with everything, is refused too.
        if not low <= value <= high:
            raise EmulatorError(
                self.part,
                f"{quantity} = {value} at {now_us} us is outside {low} .. {high}; scale the source,"
                " or configure a wider range",
            )
        return value

    def _sample(self, quantity: str, lsb: float, now_us: int) -> int:
        """Return the driven value at `now_us` in counts of `lsb`."""
        return round(self._value(quantity, now_us) / lsb)

    def _refuse(self, what: str) -> None:
        """Raise the `EmulatorError` for something real but not modelled, or not allowed."""
        raise EmulatorError(self.part, what)


class EmulatedChip(Inputs):
    """The bus side of the chip that `register_map` declares; `transfer` is one I2C transaction."""

    def __init__(self, register_map: RegisterMap):
        super().__init__(register_map.part)
        self._is_byte_addressed = register_map.is_byte_addressed
        self._by_address: dict = {}
        for register in register_map.registers:
            for offset in range(register_map.span(register)):
                self._by_address[register.address + offset] = register
        self._words: dict = {}
        self._pointer = 0
        self._reset_words()

    def transfer(self, write: bytes, read_count: int, now_us: int) -> bytes:
        """Do one transaction: write, then after a repeated start read `read_count` bytes."""
        if write:
            self._pointer = write[0]
            if len(write) > 1:
                self._write(self._register(write[0]), write[1:], now_us)
        return self._read(self._pointer, read_count, now_us) if read_count else b""

    # --- for the chips -------------------------------------------------------------------------

    def _before_read(self, register: Register, now_us: int) -> None:
        """Bring the value of `register` up to date; the chip fills this in."""

    def _after_read(self, register: Register) -> None:
        """Do what reading `register` causes; the chip fills this in."""

    def _after_write(self, register: Register, word: int, now_us: int) -> None:
        """Do what writing `register` causes; the chip fills this in."""

    def _increments(self) -> bool:
        """Say whether the register pointer of a byte-addressed chip moves on while reading."""
        return True

    def _following(self, register: Register) -> int:
        """Return the address that a burst reads after the last byte of `register`."""
        return register.address + register.width_bytes

    def _reset_words(self) -> None:
        for register in self._by_address.values():
            self._words[register.name] = register.reset

    # --- the bus -------------------------------------------------------------------------------

    def _register(self, address: int) -> Register:
        register = self._by_address.get(address)
        if register is None:
            raise EmulatorError(self.part, f"register 0x{address:02X} is not declared")
        return register

    def _write(self, register: Register, data: bytes, now_us: int) -> None:
        if len(data) != register.width_bytes or self._pointer != register.address:
            self._refuse(
                f"{len(data)} bytes written to {register.label()}, which takes "
                f"{register.width_bytes}"
            )
        word = register.unpack(data) & register.mask()
        writable = register.writable()
        if not writable:
            self._refuse(f"write to {register.label()}, which is read-only")
        foreign = (word ^ register.reset) & ~writable
        if foreign:
            self._refuse(
                f"write of 0x{word:X} to {register.label()} changes its read-only or "
                f"reserved bits 0x{foreign:X}"
            )
        self._words[register.name] = word
        self._after_write(register, word, now_us)

    def _read(self, address: int, count: int, now_us: int) -> bytes:
        data = b""
        while True:
            register = self._register(address)
            self._before_read(register, now_us)
            data += register.pack(self._words[register.name])[address - register.address :]
            self._after_read(register)
            if len(data) == count:
                return data
            if not self._is_byte_addressed:
                self._refuse(f"{count} bytes read of {register.label()}, which has {len(data)}")
            if len(data) > count:
                return data[:count]
            if not self._increments():
                return data[:1] * count
            address = self._following(register)


class EmulatedSpiChip(EmulatedChip):
    """A chip whose transfers begin with a byte of `dialect` (drivers/spi_port.py)."""

    def __init__(self, register_map: RegisterMap, dialect):
        super().__init__(register_map)
        self._dialect = dialect

    def exchange(self, data: bytes, now_us: int) -> bytes:
        """Do one transfer under one chip select: as many bytes back as were clocked out."""
        dialect = self._dialect
        # One flag is 0, so the other tells the direction; the first byte shifts nothing out.
        flag = dialect.read | dialect.write
        is_read = (data[0] & flag) == dialect.read
        self._pointer = (data[0] & ~flag) >> dialect.shift
        if is_read:
            return b"\x00" + self._read(self._pointer, len(data) - 1, now_us)
        self._write(self._register(self._pointer), data[1:], now_us)
        return bytes(len(data))
