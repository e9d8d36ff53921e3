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
import rig_devices
import uctypes

_SYS_OPEN = micropython.const(0x01)
_SYS_CLOSE = micropython.const(0x02)
_SYS_WRITE = micropython.const(0x05)
_SYS_READ = micropython.const(0x06)
_SYS_FLEN = micropython.const(0x0C)
_SYS_ERRNO = micropython.const(0x13)
_MODE_RB = micropython.const(1)
_MODE_WB = micropython.const(5)

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


def _open(name: str, mode: int) -> int:
    """A handle; OSError with the host's errno, so that only a missing file looks like one."""
    path = name.encode() + b"\0"
    handle = _semihost(_SYS_OPEN, array.array("I", [uctypes.addressof(path), mode, len(path) - 1]))
    if handle < 0:
        raise OSError(_semihost(_SYS_ERRNO, 0))
    return handle


def _move(operation: int, handle: int, content) -> None:
    """SYS_READ into or SYS_WRITE from all of `content`, then close; OSError(5) when cut short."""
    missing = 0
    if content:
        block = array.array("I", [handle, uctypes.addressof(content), len(content)])
        missing = _semihost(operation, block)
    _semihost(_SYS_CLOSE, array.array("I", [handle]))
    if missing:
        raise OSError(5)


def read_file(name: str) -> bytes:
    """The content of a provisioned file; OSError(2) when there is none."""
    handle = _open(name, _MODE_RB)
    content = bytearray(max(_semihost(_SYS_FLEN, array.array("I", [handle])), 0))
    _move(_SYS_READ, handle, content)
    return bytes(content)


def write_file(name: str, content: bytes) -> None:
    """Replace a file's content; a power cut in between leaves a part of it, or nothing."""
    _move(_SYS_WRITE, _open(name, _MODE_WB), content)


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


def ticks_us() -> int:
    """Microseconds since `start()`: time computed plus time granted by the rig; never wraps."""
    return _bus.now_us() + _computed_us(_control)


def cycles_ns() -> int:
    """Nanoseconds of computing, modulo 2**32: 8 for each instruction at icount shift 3."""
    return machine.mem32[_TIM2 + _TIM_CNT]


def sleep_until_us(wake_us: int) -> bool:
    """Sleep until `ticks_us()` reaches `wake_us`; True when UART input ended the sleep early."""
    duration_us = wake_us - ticks_us()
    return duration_us > 0 and _bus.sleep_for_us(duration_us, True)


def sleep_us(duration_us: int) -> None:
    """Sleep for a short, fixed time, such as a conversion; UART input does not end it."""
    _bus.sleep_for_us(duration_us, False)


def i2c(number: int):
    """The I2C bus `number`, as a subset of machine.I2C."""
    return rig_devices.RigI2C(_bus, number)


def spi(number: int):
    """The SPI chip select `number`, as a subset of machine.SPI."""
    return rig_devices.RigSPI(_bus, number)


def uart(number: int):
    """The UART `number` towards the gateway."""
    return rig_devices.RigUART(_bus, number)


def unique_id() -> bytes:
    """An emulated part has no factory id: its provisioned node name stands in for it."""
    return b"qemu-stm32f2"


def reset() -> None:
    """Restart the board."""
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
    _control[3] = _open("rig.reply", _MODE_RB)
    _control[0] = _open("rig.request", _MODE_WB)
    start_counter()
    _bus.hello(identity())


_bus = rig_client.RigBus(_transact, _control)

# What every board on the rig bus does in the same way.
pin = _bus.pin
log = _bus.log
stop = _bus.exit
identity = rig_client.identity
