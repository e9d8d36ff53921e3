"""Hardware access of `esp32_s3_devkitc`: an ESP32-S3 under MicroPython's stock image.

The tables say what `board.toml` says; a test holds them together.
"""

import node_esp32
import node_files
from node_board import NodeBoard

BOARD = "esp32_s3_devkitc"

# controller, SCL, SDA, Hz
_I2C = {0: (0, 9, 8, 400000), 1: (1, 7, 6, 400000)}
# each controller with SCK, MOSI, MISO
_SPIS = {1: (1, 12, 11, 13)}
# controller, Hz, mode, select
_SPI = {0: (1, 5000000, 0, 10), 1: (1, 5000000, 0, 14)}
# controller, TX, RX, baud
_UARTS = {0: (1, 17, 18, 115200)}
# controller, TX, RX, baud, driver enable
_RS485 = {1: (2, 15, 16, 19200, 21)}

_board = NodeBoard(node_esp32, i2c=_I2C, spi=_SPI, spis=_SPIS, uarts=_UARTS, rs485=_RS485)


def cycles_ns() -> int:
    """Nanoseconds of wall time, modulo 2**32: this board does not count instructions."""
    return (ticks_us() * 1000) & 0xFFFFFFFF


def network(settings) -> None:
    """Join the Wi-Fi network of `settings`; OSError(ETIMEDOUT) after its deadline."""
    node_esp32.connect(settings, read_file, sleep_us)


# What every real board does in the same way.
start = _board.start
stop = _board.stop
ticks_us = _board.clock.ticks_us
sleep_until_us = _board.clock.sleep_until_us
sleep_us = _board.clock.sleep_us
i2c = _board.i2c
spi = _board.spi
uart = _board.uart
rs485 = _board.rs485
pin = _board.pin
watchdog = _board.watchdog
reset = _board.reset
reset_cause = _board.reset_cause
unique_id = _board.unique_id
identity = _board.identity
log = _board.log
read_file = node_files.read_file
read_file_at = node_files.read_file_at
write_file = node_files.write_file
append_file = node_files.append_file
remove_file = node_files.remove_file
rename_file = node_files.rename_file
file_size = node_files.file_size
make_folder = node_files.make_folder
date = node_esp32.date
