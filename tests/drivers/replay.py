"""Buses that answer with the bytes of datasheet rows and know nothing else.

Nothing here asks a register map what an address, a command or a CRC is: these are the second
opinion that a shared map needs.
"""

from tests.drivers.parts import SPI_COMMANDS, bus_kind

LITTLE_ENDIAN_BYTE_ADDRESSED = {"lsm6dsox"}
BYTE_ADDRESSED = LITTLE_ENDIAN_BYTE_ADDRESSED | {"adxl355", "bme280", "lsm303dlhc", "max31865"}
COMMANDED = {"sht4x"}
# Modbus Application Protocol V1.1b3, sections 6.3 and 6.4.
FUNCTIONS = {"holding": 3, "input": 4}


def make_replay(part, rows, options):
    """Return the bus that answers for a part with its rows; `options` are those of the driver."""
    if part in COMMANDED:
        return ReplayCommands(rows)
    if bus_kind(part) == "rs485":
        return ReplayLine(FUNCTIONS[options.get("table", "holding")])
    return ReplayRegisters(part, rows)


class ReplayRegisters:
    """An I2C bus, or a chip select of SPI, with the registers that the rows tell of."""

    def __init__(self, part, rows):
        self._part = part
        self._is_byte_addressed = part in BYTE_ADDRESSED
        self._memory = {}
        self._set = {row.address: row.raw for row in rows if row.quantity == "ready"}
        self._cleared = {row.address: row.raw for row in rows if row.quantity == "self_clearing"}
        for behaviour in ("reset", "running"):
            for row in rows:
                if row.quantity == behaviour:
                    self.hold(row.address, row.raw)

    def hold(self, address, raw):
        """Let `raw` be what the chip has at `address`."""
        if self._is_byte_addressed:
            for offset, byte in enumerate(raw):
                self._memory[address + offset] = bytes((byte,))
        else:
            self._memory[address] = raw

    def readfrom_mem_into(self, _addr, memaddr, buf):
        data = b""
        if self._is_byte_addressed:
            for address in range(memaddr, memaddr + len(buf)):
                data += self._shown(address)
        else:
            data = self._shown(memaddr)
        assert len(data) == len(buf), f"{len(buf)} bytes read at 0x{memaddr:02X}"
        buf[:] = data

    def writeto_mem(self, _addr, memaddr, buf):
        assert memaddr in self._memory, f"write to 0x{memaddr:02X}, which no row has"
        if not self._is_byte_addressed:
            assert len(buf) == len(self._memory[memaddr]), f"{len(buf)} bytes to 0x{memaddr:02X}"
        for offset in range(1, len(buf) if self._is_byte_addressed else 1):
            assert memaddr + offset in self._memory, f"write beyond 0x{memaddr:02X}"
        self.hold(memaddr, bytes(buf))

    def write_readinto(self, out, into):
        for is_read in (True, False):
            for address in range(0x80):
                if SPI_COMMANDS[self._part](address, is_read) != out[0]:
                    continue
                if is_read:
                    data = bytearray(len(out) - 1)
                    self.readfrom_mem_into(None, address, data)
                    into[1:] = data
                else:
                    self.writeto_mem(None, address, bytes(out[1:]))
                return

    def _shown(self, address):
        assert address in self._memory, f"read of 0x{address:02X}, which no row has"
        data = self._memory[address]
        ones = self._set.get(address, bytes(len(data)))
        zeros = self._cleared.get(address, bytes(len(data)))
        return bytes((a | b) & ~c for a, b, c in zip(data, ones, zeros, strict=True))


class ReplayCommands:
    """An I2C bus with a chip that answers each command with the bytes of its last row."""

    def __init__(self, rows):
        self._replies = {}
        self._command = None
        for row in rows:
            self._replies.setdefault(row.address, b"")
            if row.raw:
                self.hold(row.address, row.raw)

    def hold(self, address, raw):
        """Let `raw` be the reply to the command `address`."""
        self._replies[address] = raw

    def writeto(self, _addr, buf):
        (self._command,) = bytes(buf)
        assert self._command in self._replies, f"command 0x{self._command:02X}, which no row has"

    def readfrom_into(self, _addr, buf):
        reply = self._replies[self._command]
        assert len(reply) == len(buf), f"{len(buf)} bytes read after 0x{self._command:02X}"
        buf[:] = reply


class ReplayLine:
    """A serial line with a Modbus server of one table; what no row says is 0."""

    def __init__(self, function):
        self._function = function
        self._registers = {}
        self._coming = b""

    def hold(self, address, raw):
        """Let `raw` be the bytes of the registers from `address` on."""
        for offset in range(0, len(raw), 2):
            self._registers[address + offset // 2] = raw[offset : offset + 2]

    def write(self, data):
        assert _modbus_crc(data) == 0, f"{bytes(data).hex()} has a wrong CRC"
        unit, function = data[0], data[1]
        assert function == self._function, f"function {function}"
        first, count = int.from_bytes(data[2:4], "big"), int.from_bytes(data[4:6], "big")
        body = bytes((unit, function, 2 * count))
        for register in range(first, first + count):
            body += self._registers.get(register, bytes(2))
        self._coming = body + _modbus_crc(body).to_bytes(2, "little")

    def read(self, bytes_max):
        data, self._coming = self._coming[:bytes_max], self._coming[bytes_max:]
        return data


def _modbus_crc(data):
    """The CRC by polynomial division of the reflected bits; 0 over a frame with its own CRC."""
    register = 0xFFFF
    for byte in data:
        for bit in range(8):
            is_odd = (register ^ (byte >> bit)) & 1
            register = (register >> 1) ^ (0xA001 if is_odd else 0)
    return register
