"""Hardware access of `qemu_rv32`: RV32IMAC, the instruction set of ESP32-C3 and C6, on QEMU virt.

The machine has no I2C controller, so the rig bus stands in for every bus, as on `qemu_stm32f2`: two
FIFOs through semihosting (RISC-V Semihosting 0.3, section 3).  The call is a sequence of three
instructions that must not cross a page; a frozen function may stand anywhere, so the sequence is in
an array of its own, which the heap aligns to its 16 bytes.

Under `-icount` the CSR `cycle` counts virtual nanoseconds: 8 per instruction at shift=3.
"""

import array

import machine
import micropython
import rig_client
import rig_clock
import rig_devices
import rig_files
import uctypes

BOARD = "qemu_rv32"

# slli x0, x0, 31 | ebreak | srai x0, x0, 7 | jalr x0, 0(t1)
_gate = array.array("I", [0x01F01013, 0x00100073, 0x40705013, 0x00030067])


@micropython.asm_rv32
def _call(a0, a1, a2):
    jalr(t1, a2, 0)


def _semihost(operation: int, block) -> int:
    return _call(operation, block, _gate)


@micropython.asm_rv32
def _transact(a0):
    """One transaction over the control block at a0, without a word of Python in between.

    a0 -> handle, address, length (SYS_WRITE) | handle, address, length (SYS_READ) | cycle after |
    address of the gate.  The request's own length, its first two bytes, goes into the SYS_WRITE;
    the cycle counter into bytes 4 to 7.
    """
    mv(t3, a0)
    lw(t0, 28(t3))
    lw(t5, 4(t3))
    csrrs(t4, zero, 0xC00)
    sw(t4, 4(t5))
    lhu(t6, 0(t5))
    sw(t6, 8(t3))
    mv(a1, t3)
    li(a0, 5)
    jalr(t1, t0, 0)
    addi(a1, t3, 12)
    li(a0, 6)
    jalr(t1, t0, 0)
    csrrs(t4, zero, 0xC00)
    sw(t4, 24(t3))


@micropython.asm_rv32
def _computed_us(a0):
    """Microseconds of computing since the transaction whose control block is at a0."""
    csrrs(a1, zero, 0xC00)
    lw(a0, 24(a0))
    sub(a0, a1, a0)
    li(a1, 1000)
    divu(a0, a0, a1)


@micropython.asm_rv32
def _cycle():
    csrrs(a0, zero, 0xC00)


_control = array.array(
    "I",
    [
        0,
        uctypes.addressof(rig_client.REQUEST),
        0,
        0,
        uctypes.addressof(rig_client.REPLY),
        len(rig_client.REPLY),
        0,
        uctypes.addressof(_gate),
    ],
)


def cycles_ns() -> int:
    """Nanoseconds of computing, modulo 2**32: 8 for each instruction at icount shift 3."""
    return _cycle() & 0xFFFFFFFF


def unique_id() -> bytes:
    """An emulated part has no factory id: its provisioned node name stands in for it."""
    return b"qemu-rv32"


def reset() -> None:
    """Restart the board: the emulator ends, and whoever started it starts it again."""
    _restart("soft")


def reset_cause() -> str:
    """Why the board started: "power_on", "watchdog" or "soft"."""
    return _cause


def _restart(cause: str) -> None:
    write_file(rig_clock.CAUSE_FILE, cause.encode())
    machine.reset()


def start_counter() -> None:
    """Nothing: the cycle counter always runs."""


def start() -> None:
    """Open the rig bus, start the clock at zero and say hello."""
    global _cause
    _cause = rig_clock.take_cause(read_file, remove_file)
    _control[3] = _files.open("rig.reply", rig_files.MODE_RB)
    _control[0] = _files.open("rig.request", rig_files.MODE_WB)
    _bus.hello(identity())


_cause = "unknown"
_files = rig_files.SemihostFiles(_semihost)
_bus = rig_client.RigBus(_transact, _control)
_devices = rig_devices.RigDevices(_bus)
_clock = rig_clock.RigClock(_bus, _computed_us, _restart)

# What every board on the rig bus does in the same way.
pin = _bus.pin
log = _bus.log
stop = _bus.exit
identity = rig_client.identity
i2c = _devices.i2c
spi = _devices.spi
uart = _devices.uart
rs485 = _devices.rs485
ticks_us = _clock.ticks_us
sleep_us = _clock.sleep_us
sleep_until_us = _clock.sleep_until_us
watchdog = _clock.watchdog
read_file = _files.read_file
read_file_at = _files.read_file_at
write_file = _files.write_file
append_file = _files.append_file
file_size = _files.file_size
remove_file = _files.remove_file
rename_file = _files.rename_file
make_folder = _files.make_folder
