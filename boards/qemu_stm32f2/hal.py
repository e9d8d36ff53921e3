"""Hardware access of `qemu_stm32f2`: an STM32F205 on QEMU's netduino2 machine.

The machine has timers but no I2C controller, so the rig bus stands in for every bus.  It travels
through Arm semihosting (Arm IHI 0050, BKPT 0xAB): SYS_WRITE and SYS_READ on two FIFOs in the
emulator's working folder.  The virtual CPU stands still while the rig thinks, so with
`-icount` the board's time depends on nothing but its own instructions.

TIM2 runs at 1 GHz and so counts nanoseconds of computing: 8 per instruction at shift=3.
"""

import array

import machine
import micropython
import rig_client
import rig_clock
import rig_devices
import rig_files
import uctypes

BOARD = "qemu_stm32f2"

_TIM2 = micropython.const(0x40000000)
_TIM_CR1 = micropython.const(0x00)
_TIM_EGR = micropython.const(0x14)
_TIM_CNT = micropython.const(0x24)
_TIM_PSC = micropython.const(0x28)
_TIM_ARR = micropython.const(0x2C)


@micropython.asm_thumb
def _semihost(r0, r1):
    data(2, 0xBEAB)


@micropython.asm_thumb
def _transact(r0):
    """One transaction over the control block at r0, without a word of Python in between.

    r0 -> handle, address, length (SYS_WRITE) | handle, address, length (SYS_READ) | TIM2 after.
    The request's own length, its first two bytes, goes into the SYS_WRITE; TIM2 into bytes 4 to 7.
    """
    push({r4, r5})
    mov(r4, r0)
    movwt(r5, 0x40000024)
    ldr(r0, [r5, 0])
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
    str(r0, [r4, 24])
    pop({r4, r5})


@micropython.asm_thumb
def _computed_us(r0):
    """Microseconds of computing since the transaction whose control block is at r0."""
    movwt(r1, 0x40000024)
    ldr(r1, [r1, 0])
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
    """Nanoseconds of computing, modulo 2**32: 8 for each instruction at icount shift 3."""
    return machine.mem32[_TIM2 + _TIM_CNT]


def unique_id() -> bytes:
    """An emulated part has no factory id: its provisioned node name stands in for it."""
    return b"qemu-stm32f2"


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
    """Start TIM2 at zero, for `cycles_ns` without a rig."""
    machine.mem32[_TIM2 + _TIM_PSC] = 0
    machine.mem32[_TIM2 + _TIM_ARR] = 0xFFFFFFFF
    machine.mem32[_TIM2 + _TIM_EGR] = 1
    machine.mem32[_TIM2 + _TIM_CNT] = 0
    machine.mem32[_TIM2 + _TIM_CR1] = 1


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
