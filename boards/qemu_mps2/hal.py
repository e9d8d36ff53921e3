"""Hardware access of `qemu_mps2`: Arm's MPS2 board with the AN385 image (Cortex-M3) on QEMU.

Its four I2C controllers are the machine's own, driven by hand (`rig_i2c.py`): chips that QEMU
itself models can hang on them, and a transfer takes the time of its instructions.  Everything else
goes over the rig bus as on `qemu_stm32f2`: semihosting on two FIFOs (Arm IHI 0050, BKPT 0xAB).

TIMER0 counts down at 25 MHz (Arm DDI 0479, section 4.5): 40 ns each, while an instruction takes 8
at icount shift 3.
"""

import array

import machine
import micropython
import rig_client
import rig_clock
import rig_devices
import rig_files
import rig_i2c
import uctypes

BOARD = "qemu_mps2"

# The controllers in the order of board.toml.
_I2C = (0x40022000, 0x40023000, 0x40029000, 0x4002A000)

_TIMER0 = micropython.const(0x40000000)
_CTRL = micropython.const(0x00)
_VALUE = micropython.const(0x04)
_RELOAD = micropython.const(0x08)


@micropython.asm_thumb
def _semihost(r0, r1):
    data(2, 0xBEAB)


@micropython.asm_thumb
def _transact(r0):
    """One transaction over the control block at r0, without a word of Python in between.

    r0 -> handle, address, length (SYS_WRITE) | handle, address, length (SYS_READ) | time after.
    The request's own length, its first two bytes, goes into the SYS_WRITE; nanoseconds of computing
    into bytes 4 to 7.
    """
    push({r4, r5, r6})
    mov(r4, r0)
    movwt(r5, 0x40000004)
    mov(r6, 40)
    ldr(r0, [r5, 0])
    mvn(r0, r0)
    mul(r0, r6)
    ldr(r1, [r4, 4])
    str(r0, [r1, 4])
    ldrh(r0, [r1, 0])
    str(r0, [r4, 8])
    mov(r1, r4)
    mov(r0, 5)
    data(2, 0xBEAB)
    mov(r1, r4)
    add(r1, 12)
    mov(r0, 6)
    data(2, 0xBEAB)
    ldr(r0, [r5, 0])
    mvn(r0, r0)
    mul(r0, r6)
    str(r0, [r4, 24])
    pop({r4, r5, r6})


@micropython.asm_thumb
def _computed_us(r0):
    """Microseconds of computing since the transaction whose control block is at r0."""
    movwt(r1, 0x40000004)
    ldr(r1, [r1, 0])
    mvn(r1, r1)
    mov(r2, 40)
    mul(r1, r2)
    ldr(r0, [r0, 24])
    sub(r0, r1, r0)
    movw(r1, 1000)
    udiv(r0, r0, r1)


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
    ],
)


def cycles_ns() -> int:
    """Nanoseconds of computing, modulo 2**32, in steps of 40."""
    return (~machine.mem32[_TIMER0 + _VALUE] * 40) & 0xFFFFFFFF


def i2c(number: int):
    """The I2C controller `number`, as a subset of machine.I2C."""
    return rig_i2c.HandI2C(_I2C[number])


def unique_id() -> bytes:
    """An emulated part has no factory id: its provisioned node name stands in for it."""
    return b"qemu-mps2"


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
    """Start TIMER0, for `cycles_ns` without a rig."""
    machine.mem32[_TIMER0 + _RELOAD] = 0xFFFFFFFF
    machine.mem32[_TIMER0 + _VALUE] = 0xFFFFFFFF
    machine.mem32[_TIMER0 + _CTRL] = 1


def start() -> None:
    """Open the rig bus, start the clock at zero and say hello."""
    global _cause
    _cause = rig_clock.take_cause(read_file, remove_file)
    _control[3] = _files.open("rig.reply", rig_files.MODE_RB)
    _control[0] = _files.open("rig.request", rig_files.MODE_WB)
    start_counter()
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
