"""How `machine` of MicroPython's STM32 port is asked for buses; why the chip started.

Copied to STM32 boards beside their hal.  The port fixes the pins of a controller, so a row names
the controller only.  A pin is 16 * port + index: PA5 is 5, PB0 is 16, PC13 is 45.
"""

import machine

_I2C_TIMEOUT_US = 50000
_BUFFER_BYTES = 2048
_PORTS = "ABCDEFGHIJK"

# RCC_CSR through modmachine.c.  Every reset of an STM32F4 pulls NRST and so sets the pin's flag:
# machine.reset() reads as "pin" too (RM0390 and RM0090, "RCC clock control & status register").
CAUSES = (
    (machine.PWRON_RESET, "power_on"),
    (machine.WDT_RESET, "watchdog"),
    (machine.HARD_RESET, "pin"),
    (machine.SOFT_RESET, "soft"),
)


def open_i2c(controller: int, frequency_hz: int):
    """A machine.I2C, which raises OSError(ETIMEDOUT) after 50 ms of a stretched clock."""
    return machine.I2C(controller, freq=frequency_hz, timeout=_I2C_TIMEOUT_US)


def open_spi(controller: int):
    """A machine.SPI; each chip sets its own speed and mode."""
    return machine.SPI(controller)


def open_uart(controller: int, baud: int):
    """A machine.UART whose reads do not wait; writes last as long as the bytes take."""
    return machine.UART(controller, baudrate=baud, rxbuf=_BUFFER_BYTES, timeout=0)


def make_pin(number: int):
    """The pin `number`, left as it is; the CPU's name, as a Nucleo's own `A5` is PC0."""
    return machine.Pin(getattr(machine.Pin.cpu, _PORTS[number >> 4] + str(number & 15)))
