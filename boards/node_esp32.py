"""How `machine` of MicroPython's ESP32 port is asked for buses; Wi-Fi; why the chip started.

Copied to ESP32 boards beside their hal.  Pins are GPIO numbers.
"""

import time

import machine
import network

_ETIMEDOUT = 110
_I2C_TIMEOUT_US = 50000
_BUFFER_BYTES = 2048
_POLL_US = 100000
_WIFI_TIMEOUT_S = 3

# esp_reset_reason() through modmachine.c: the EN button looks like power, a brown-out too, and
# HARD_RESET is what machine.reset() and a crash of the interpreter leave.
CAUSES = (
    (machine.PWRON_RESET, "power_on"),
    (machine.WDT_RESET, "watchdog"),
    (machine.HARD_RESET, "soft"),
    (machine.SOFT_RESET, "soft"),
)


def open_i2c(controller: int, scl: int, sda: int, frequency_hz: int):
    """A machine.I2C, which raises OSError(ETIMEDOUT) after 50 ms of a stretched clock."""
    return machine.I2C(
        controller,
        scl=machine.Pin(scl),
        sda=machine.Pin(sda),
        freq=frequency_hz,
        timeout=_I2C_TIMEOUT_US,
    )


def open_spi(controller: int, sck: int, mosi: int, miso: int):
    """A machine.SPI; each chip sets its own speed and mode."""
    return machine.SPI(
        controller, sck=machine.Pin(sck), mosi=machine.Pin(mosi), miso=machine.Pin(miso)
    )


def open_uart(controller: int, tx: int, rx: int, baud: int):
    """A machine.UART whose reads do not wait."""
    return machine.UART(
        controller, baudrate=baud, tx=tx, rx=rx, rxbuf=_BUFFER_BYTES, txbuf=_BUFFER_BYTES, timeout=0
    )


def make_pin(number: int):
    """The GPIO `number`, left as it is."""
    return machine.Pin(number)


def connect(settings, read_file, sleep_us) -> None:
    """Be in the Wi-Fi network of `settings`; OSError(ETIMEDOUT) while that is not so.

    A call waits `timeout_s` at most and leaves the attempt running, so the next call may find it
    done.  `settings` has `ssid`, and may have `password_file`, a provisioned file.
    """
    station = network.WLAN(network.STA_IF)
    if not station.active():
        station.active(True)
    if station.isconnected():
        return
    if station.status() != network.STAT_CONNECTING:
        password = None
        if settings.get("password_file"):
            password = read_file(settings["password_file"]).decode().strip()
        station.connect(settings["ssid"], password)
    end_ms = time.ticks_add(time.ticks_ms(), 1000 * settings.get("timeout_s", _WIFI_TIMEOUT_S))
    while not station.isconnected():
        if time.ticks_diff(end_ms, time.ticks_ms()) <= 0:
            raise OSError(_ETIMEDOUT)
        sleep_us(_POLL_US)


def date(day=None):
    """The chip's date (year, month, day), set to `day` first if given.

    A board starts in the year 2000, and Mbed TLS holds certificates against that date.
    """
    clock = machine.RTC()
    if day is not None:
        year, month, day_of_month = day
        clock.datetime((year, month, day_of_month, 0, 0, 0, 0, 0))
    return clock.datetime()[:3]
